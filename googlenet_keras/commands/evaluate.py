"""`evaluate`: the figures of a Classifier, or of several as one, on a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_file, write_json

if TYPE_CHECKING:
    from googlenet_keras.data.dataset import Dataset
    from googlenet_keras.evaluation.evaluate import Evaluation
    from googlenet_keras.prediction import Predictor


@dataclass(frozen=True)
class Evaluate:
    """Top-1, top-5, macro-F1, loss and calibration, every image counted once.

    Each figure has its 95 % interval. Several models are an ensemble.
    """

    models: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Runs, folders with a saved classifier, or exported files."""
    crops: tuple[str, ...] = ("1",)
    """Crops of each image: 1 (the centre), 10, 144 (as the paper tested), phone (the
    whole photo stretched, as MediaPipe Tasks does it); several are compared."""
    dataset: str | None = None
    """digits, a folder of class folders or a TFDS name; none: the first run's own."""
    split: str = "validation"
    """train, validation or test."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data; none: the run's, else TFDS's own."""
    download: bool = False
    """Let TFDS download and prepare the data set."""
    report: Path | None = None
    """Write one self-contained page, .html, about the first kind of crops."""
    json: Path | None = None
    """Write the figures, each class's too, and the confusion matrix to this file."""

    def run(self) -> None:
        """Prints the tables, and writes what was asked for. Raises UserError."""
        from googlenet_keras.artifacts.artifact import containing_run, open_classifier
        from googlenet_keras.data.crops import CENTER_CROP, PHONE_CROP
        from googlenet_keras.evaluation.evaluate import evaluate
        from googlenet_keras.evaluation.run_dataset import open_run_dataset
        from googlenet_keras.evaluation.tables import print_classes, print_figures
        from googlenet_keras.run_folder import RunFolder

        self._check()
        members = [open_classifier(path) for path in self.models]
        data = open_run_dataset(
            RunFolder(containing_run(self.models[0])),
            self.dataset,
            data_dir=self.data_dir,
            download=self.download,
        )
        # a phone's figures say little without the centre crop's
        kinds = dict.fromkeys(self.crops + (CENTER_CROP,) * (PHONE_CROP in self.crops))
        found = {kind: evaluate(members, data, self.split, kind) for kind in kinds}
        figures = {kind: made.figures() for kind, made in found.items()}
        print_figures(figures, f"{self.split}, crops")
        print_classes(found[self.crops[0]].by_class())
        gap = _phone_gap(found)
        if self.json:
            write_json(self.json, self._findings(found, figures, gap))
        if self.report:
            self._write_report(members, data, found, figures)

    def _check(self) -> None:
        from googlenet_keras.data.crops import check_crops

        if not self.models:
            raise UserError("evaluate needs a run, a classifier or an exported file.")
        if not self.crops:
            raise UserError("--crops needs one kind at least: 1, 10, 144 or phone.")
        for kind in self.crops:
            check_crops(kind)
        for target in (self.report, self.json):
            if target:
                check_output_file(target)

    def _findings(
        self,
        found: dict[str, Evaluation],
        figures: dict[str, dict[str, Any]],
        gap: dict[str, Any] | None,
    ) -> dict[str, Any]:
        return {
            "models": [str(path) for path in self.models],
            "split": self.split,
            "crops": {
                kind: figures[kind]
                | {"classes": made.by_class(), "confusion": made.confusion().tolist()}
                for kind, made in found.items()
            },
            "phone_gap": gap,
        }

    def _write_report(
        self,
        members: list[Predictor],
        data: Dataset,
        found: dict[str, Evaluation],
        figures: dict[str, dict[str, Any]],
    ) -> None:
        from googlenet_keras.artifacts.artifact import containing_run
        from googlenet_keras.evaluation.report import Subject, write_report

        subject = Subject(
            members,
            [str(path) for path in self.models],
            data,
            self.split,
            found[self.crops[0]],
            {f"{self.split}, crops {kind}": row for kind, row in figures.items()},
            crops=self.crops[0],
            run=containing_run(self.models[0]),
            own_data=self.dataset is None,
        )
        write_report(subject, self.report)
        print(f"the report is {self.report}")


def _phone_gap(found: dict[str, Evaluation]) -> dict[str, Any] | None:
    """By how much a phone's top-1 is lower than the centre crop's; said if it is."""
    from googlenet_keras.data.crops import CENTER_CROP, PHONE_CROP
    from googlenet_keras.evaluation.metrics import gap

    if PHONE_CROP not in found:
        return None
    lower, (least, most) = gap(
        found[CENTER_CROP].heads["main"], found[PHONE_CROP].heads["main"]
    )
    if least > 0 or most < 0:
        more_or_less = "less" if least > 0 else "more"
        near, far = sorted((abs(least), abs(most)))
        print(
            f"a phone that stretches the whole photo, as MediaPipe Tasks does, reaches "
            f"{abs(lower):.3f} {more_or_less} top-1 than the centre crop (95 %: "
            f"{near:.3f} to {far:.3f})"
            + ("; cut the middle of the photo in the app." if least > 0 else ".")
        )
    return {"top1": lower, "interval": [least, most]}
