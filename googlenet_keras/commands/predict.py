"""`predict`: what a Classifier sees in image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Predict:
    """The likeliest labels of image files, with probabilities."""

    model: Annotated[Path, tyro.conf.Positional]
    """A run, a folder with a saved classifier, or an exported file."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image files, or folders of them: JPEG, PNG, GIF, BMP, WebP."""
    top: int = 5
    """Labels per image."""

    def run(self) -> None:
        """Prints the table. Raises UserError."""
        from googlenet_keras.evaluation.predict import predict
        from googlenet_keras.evaluation.tables import print_predictions
        from googlenet_keras.exported import open_classifier

        classifier = open_classifier(self.model)
        print_predictions(predict(classifier, self.images, self.top))
