"""`predict`: what a Classifier sees in image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from googlenet_keras.classifier import Classifier
    from googlenet_keras.evaluation.predict import Prediction
    from googlenet_keras.exported import Exported


@dataclass(frozen=True)
class Predict:
    """The likeliest labels of image files, with probabilities."""

    model: Annotated[Path, tyro.conf.Positional]
    """A run, a folder with a saved classifier, or an exported file."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image files, or folders of them: JPEG, PNG, GIF, BMP, WebP."""
    top: int = 5
    """Labels per image."""
    explain: Path | None = None
    """Folder for a picture of each image: where the network sees its likeliest labels
    (class activation maps); none: no pictures."""

    def run(self) -> None:
        """Prints the table. Raises UserError."""
        from googlenet_keras.evaluation.predict import predict
        from googlenet_keras.evaluation.tables import print_predictions
        from googlenet_keras.exported import open_classifier

        classifier = open_classifier(self.model)
        predictions = list(predict(classifier, self.images, self.top))
        print_predictions(predictions)
        if self.explain:
            _explain(classifier, predictions, self.explain)


def _explain(
    classifier: Classifier | Exported, predictions: list[Prediction], folder: Path
) -> None:
    import sys

    from rich.console import Console
    from rich.progress import track

    from googlenet_keras.evaluation.activation_map import explain

    drawn = explain(classifier, predictions, folder)
    console = Console(file=sys.stderr)
    count = len(predictions)
    made = list(track(drawn, "drawing", count, console=console, transient=True))
    print(f"{len(made)} activation maps are in {folder}")
