"""`evaluate`: a Classifier's figures on a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from googlenet_keras import records
from googlenet_keras.errors import UserError

if TYPE_CHECKING:
    from googlenet_keras.data.splits import Dataset


@dataclass(frozen=True)
class Evaluate:
    """Top-1, top-5, macro-F1 and loss of each head, every image counted once."""

    run_folder: Annotated[Path, tyro.conf.Positional]
    """A run, or a folder with a saved classifier."""
    dataset: str | None = None
    """digits, a folder of class folders or a TFDS name; none: the run's own."""
    split: str = "validation"
    """train, validation or test."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data; none: the run's, else TFDS's own."""
    download: bool = False
    """Let TFDS download and prepare the data set."""
    json: Path | None = None
    """Write the figures to this JSON file too."""

    def run(self) -> None:
        """Prints the table. Raises UserError."""
        from googlenet_keras.classifier import Classifier
        from googlenet_keras.evaluation.evaluate import evaluate
        from googlenet_keras.evaluation.tables import print_figures

        classifier = Classifier.load(self.run_folder)
        data = self._data()
        figures = evaluate(classifier, data, self.split).figures()
        print_figures({self.split: figures})
        if self.json:
            records.write_json(self.json, {self.split: figures})

    def _data(self) -> Dataset:
        from googlenet_keras.data.sources import open_dataset

        own = self.run_folder / records.CONFIG
        config = records.read_json(own) if own.is_file() else {}
        name = self.dataset or config.get("dataset")
        if name is None:
            raise UserError(
                f"{self.run_folder} does not say what it was trained on; name the data "
                "with --dataset."
            )
        kept = config.get("data_dir") if self.dataset is None else None
        return open_dataset(
            name,
            validation_fraction=config.get("validation_fraction", 0.2),
            data_dir=self.data_dir or (Path(kept) if kept else None),
            download=self.download,
        )
