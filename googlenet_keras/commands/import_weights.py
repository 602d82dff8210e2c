"""`import-weights`: published weights become a Classifier."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

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
    labels: str = "names"
    """Of ImageNet's classes: names (tench) or wordnet (n01440764, as its folders and
    TFDS call them); for other classes a text file with a name on each line."""

    def run(self) -> None:
        """Imports, saves, and says where. Raises UserError."""
        from googlenet_keras.weights.catalogue import published
        from googlenet_keras.weights.importing import import_weights, save_whole

        *files, folder = self._checked(published(self.source).suffixes)
        classifier = import_weights(
            self.source,
            files[0] if files else None,
            variant=self.variant,
            labels=self._labels(),
        )
        save_whole(classifier, folder)
        print(
            f"{classifier.architecture.name}, {len(classifier.labels)} classes, is in "
            f"{folder}; try\n  python -m googlenet_keras predict {folder} IMAGE...\n"
            f"  python train.py --recipe finetune --weights {folder} --dataset FOLDER"
        )

    def _checked(self, suffixes: tuple[str, ...]) -> tuple[Path, ...]:
        """[FILE] RUN. Raises UserError where RUN is missing or there already."""
        if len(self.paths) not in (1, 2) or self.paths[-1].name.endswith(suffixes):
            raise UserError(
                "import-weights needs a source, a file or none, and a new folder for "
                f"the Classifier: {self.source} [FILE] RUN; received "
                f"{' '.join(map(str, self.paths)) or 'no path'}."
            )
        if os.path.lexists(self.paths[-1]):
            raise UserError(
                f"nothing is overwritten, and {self.paths[-1]} exists; name a new "
                "folder for the Classifier."
            )
        if not self.paths[-1].parent.is_dir():
            raise UserError(f"no such folder: {self.paths[-1].parent}.")
        return self.paths

    def _labels(self) -> tuple[str, ...]:
        from googlenet_keras.weights.importing import imagenet_labels, wordnet_numbers

        if self.labels in ("names", "wordnet"):
            return imagenet_labels() if self.labels == "names" else wordnet_numbers()
        try:
            return tuple(Path(self.labels).read_text("utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.labels} holds no labels: {error}.") from error
