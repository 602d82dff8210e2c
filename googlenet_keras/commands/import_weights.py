"""`import-weights`: imports published weights as a Classifier."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_folder


@dataclass(frozen=True)
class ImportWeights:
    """Imports published GoogLeNet weights as a Classifier."""

    source: Annotated[str, tyro.conf.Positional]
    """torchvision, onnx-zoo, caffe or slim."""
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """[FILE] RUN: the file, which is downloaded if it is left out, and the new folder
    for the Classifier."""
    variant: str | None = None
    """The network that the weights become: bn keeps the outputs of torchvision's or
    slim's weights in true 5x5 branches; none: the network that the source has."""
    labels: str = "names"
    """ImageNet's classes by names (tench) or wordnet (n01440764, as its folders and
    TFDS call them); for other classes a text file with a label on each line."""

    def run(self) -> None:
        """Imports, saves, and prints the next steps. Raises UserError."""
        from googlenet_keras.weights.catalog import get_published
        from googlenet_keras.weights.importing import import_weights

        *files, folder = self._check_paths(get_published(self.source).suffixes)
        classifier = import_weights(
            self.source,
            files[0] if files else None,
            variant=self.variant,
            labels=self.labels,
        )
        with atomic_folder(folder) as temporary:
            classifier.save(temporary)
        print(
            f"{classifier.architecture.name}, {len(classifier.labels)} classes, is in "
            f"{folder}; try\n  python -m googlenet_keras predict {folder} IMAGE...\n"
            f"  python train.py --recipe finetune --weights {folder} --dataset FOLDER"
        )

    def _check_paths(self, suffixes: tuple[str, ...]) -> tuple[Path, ...]:
        """Returns [FILE] RUN. Raises UserError if RUN is missing or exists."""
        if len(self.paths) not in (1, 2) or self.paths[-1].name.endswith(suffixes):
            raise UserError(
                "import-weights needs a source, a file or none, and a new folder for "
                f"the Classifier: {self.source} [FILE] RUN; received "
                f"{' '.join(map(str, self.paths)) or 'no path'}."
            )
        folder = self.paths[-1]
        if os.path.lexists(folder):
            raise UserError(
                f"nothing is overwritten, and {folder} exists; name a new folder for "
                "the Classifier."
            )
        if not folder.parent.is_dir():
            raise UserError(f"no such folder: {folder.parent}.")
        return self.paths
