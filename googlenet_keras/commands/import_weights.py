"""`import-weights`: published weights become a Classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from googlenet_keras import records
from googlenet_keras.errors import UserError


@dataclass(frozen=True)
class ImportWeights:
    """Makes a Classifier of GoogLeNet weights that others have published."""

    source: Annotated[str, tyro.conf.Positional]
    """torchvision, onnx-zoo, caffe or slim."""
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """[FILE] RUN: the file, which is downloaded where it is left out, and the new
    folder for the Classifier."""
    variant: str | None = None
    """What it becomes: bn keeps the outputs of torchvision's or slim's weights in true
    5x5 branches; none: the network that the source has."""
    labels: Path | None = None
    """A text file with a class name on each line; none: ImageNet's 1,000."""

    def run(self) -> None:
        """Imports, saves, and says where. Raises UserError."""
        if len(self.paths) not in (1, 2):
            raise UserError(
                "import-weights needs a source, a file or none, and a folder for the "
                f"Classifier; received {len(self.paths)} paths."
            )
        *file, folder = self.paths
        records.refuse_existing(folder)
        labels = None
        if self.labels:
            labels = tuple(_text(self.labels).splitlines())
        from googlenet_keras.weights.importing import import_weights

        classifier = import_weights(
            self.source, file[0] if file else None, variant=self.variant, labels=labels
        )
        classifier.save(folder)
        print(
            f"{classifier.architecture.name}, {len(classifier.labels)} classes, is in "
            f"{folder}; try\n  python -m googlenet_keras predict {folder} IMAGE...\n"
            f"  python train.py --recipe finetune --weights {folder} --dataset FOLDER"
        )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} holds no labels: {error}.") from error
