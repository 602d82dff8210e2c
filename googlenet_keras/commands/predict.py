"""`predict`: predicts the likeliest labels of image files."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from googlenet_keras.console import print_text, track
from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_files
from googlenet_keras.line_output import STANDARD_OUTPUT, LineOutput, line_outputs

if TYPE_CHECKING:
    from googlenet_keras.evaluation.plots import Explainer
    from googlenet_keras.evaluation.prediction_rows import LineFormat
    from googlenet_keras.predictor import Prediction, Predictor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predict:
    """Predicts the likeliest labels of image files, with probabilities.

    --json and --csv write a line for each image as soon as it is predicted, in place of
    the table; an image that cannot be read has its problem there, and makes the exit
    status 1.
    """

    model: Positional[Path]  # A run, a saved classifier or an exported file.
    images: Positional[tuple[Path, ...]]  # JPEG, PNG, GIF, BMP, WebP files, or folders.
    top: int = 5  # Labels per image.
    json: Path | None = None
    """File to write or replace, with a JSON object per line; -: standard output."""
    csv: Path | None = None
    """File to write or replace, with a row of CSV per image; -: standard output."""
    explain: Path | None = None
    """Folder for a picture of each image: where the network sees its likeliest labels
    (class activation maps); none: no pictures."""

    def run(self) -> None:
        from googlenet_keras.artifacts.artifact import open_classifier
        from googlenet_keras.evaluation.plots import Explainer

        self._check()
        problems = 0
        with line_outputs(*self._outputs) as outputs:
            classifier = open_classifier(self.model)
            explainer = Explainer(classifier, self.explain) if self.explain else None
            if outputs:
                problems = self._write(classifier, explainer, outputs)
            else:
                self._show(classifier, explainer)
        if problems:
            sys.exit(1)

    @property
    def _outputs(self) -> list[Path]:
        return [path for path in (self.json, self.csv) if path]

    def _check(self) -> None:
        files = [path for path in self._outputs if path != STANDARD_OUTPUT]
        check_output_files(*files)
        if self.json and self.csv and self.json.resolve() == self.csv.resolve():
            raise UserError(
                f"--json and --csv need two different files; received {self.json} "
                "for both."
            )
        if both := [path for path in self.images if self._is_output(path)]:
            raise UserError(
                f"an image would be replaced by the output; {both[0]} is both. Name "
                "another file."
            )

    def _is_output(self, path: Path) -> bool:
        outputs = [output for output in self._outputs if output.name == path.name]
        return any(output.resolve() == path.resolve() for output in outputs)

    def _show(self, classifier: Predictor, explainer: Explainer | None) -> None:
        from googlenet_keras.evaluation.tables import print_predictions

        predictions = classifier.predict(self.images, self.top)
        print_predictions(predictions)
        if explainer:
            pictures = [explainer(x) for x in track(predictions, "drawing") if x.top]
            print_text(f"{len(pictures)} activation maps are in {self.explain}")

    def _write(
        self,
        classifier: Predictor,
        explainer: Explainer | None,
        outputs: Sequence[LineOutput],
    ) -> int:
        """Writes each prediction to all outputs; returns how many have a problem."""
        files = self._files()
        predictions = self._stream(classifier, files)
        writers = list(zip(outputs, self._formats(classifier), strict=True))
        problems = 0
        for output, format_ in writers:
            output.write(format_.header)
        for prediction in predictions:
            for output, format_ in writers:
                output.write(format_.line(prediction))
            problems += prediction.problem is not None
            if explainer and prediction.top:
                explainer(prediction)
            elif not explainer and not any(output.has_reader for output in outputs):
                return 0  # what follows would be for nobody
        self._summarize(len(files), problems)
        return problems

    def _files(self) -> list[Path]:
        from googlenet_keras.predictor import image_files

        found = [file for path in self.images for file in image_files(path)]
        files = [file for file in found if not self._is_output(file)]
        if not files:
            raise UserError("predict needs at least one image file or folder.")
        return files

    def _formats(self, classifier: Predictor) -> list[LineFormat]:
        """The format of each output."""
        from googlenet_keras.evaluation.prediction_rows import JSON_LINES, csv_format

        csv = csv_format(min(self.top, len(classifier.labels)))
        formats = ((self.json, JSON_LINES), (self.csv, csv))
        return [format_ for path, format_ in formats if path]

    def _stream(
        self, classifier: Predictor, files: Sequence[Path]
    ) -> Iterable[Prediction]:
        """The predictions, with a progress bar unless the lines go to a terminal."""
        predictions = classifier.stream(files, self.top)
        if STANDARD_OUTPUT in self._outputs:
            return predictions
        return track(predictions, "predicting", len(files))

    def _summarize(self, images: int, problems: int) -> None:
        if problems:
            log.warning(
                "%d of %d images cannot be read; their lines say why", problems, images
            )
        for path in self._outputs:
            if path != STANDARD_OUTPUT:
                print_text(f"{images} images are in {path}")
        if self.explain:
            print_text(f"{images - problems} activation maps are in {self.explain}")
