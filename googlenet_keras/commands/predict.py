"""`predict`: predicts the labels of image files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional


@dataclass(frozen=True)
class Predict:
    """Predicts the likeliest labels of image files, with probabilities."""

    model: Annotated[Path, Positional]
    """A run, a folder with a saved classifier, or an exported file."""
    images: Annotated[tuple[Path, ...], Positional]
    """Image files, or folders of them: JPEG, PNG, GIF, BMP, WebP."""
    top: int = 5
    """Labels per image."""
    explain: Path | None = None
    """Folder for a picture of each image: where the network sees its likeliest labels
    (class activation maps); none: no pictures."""

    def run(self) -> None:
        """Prints the table and draws the pictures. Raises UserError."""
        from googlenet_keras.artifacts.artifact import open_classifier
        from googlenet_keras.console import track
        from googlenet_keras.evaluation.activation_map import Explainer
        from googlenet_keras.evaluation.tables import print_predictions

        classifier = open_classifier(self.model)
        explainer = Explainer(classifier, self.explain) if self.explain else None
        predictions = classifier.predict(self.images, self.top)
        print_predictions(predictions)
        if explainer:
            pictures = [explainer(x) for x in track(predictions, "drawing") if x.top]
            print(f"{len(pictures)} activation maps are in {self.explain}")
