"""`evaluate`: a Classifier's figures on a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from googlenet_keras import records


@dataclass(frozen=True)
class Evaluate:
    """Top-1, top-5, macro-F1 and loss of each head, every image counted once."""

    model: Annotated[Path, tyro.conf.Positional]
    """A run, a folder with a saved classifier, or an exported file."""
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
        from googlenet_keras.data.sources import open_run_dataset
        from googlenet_keras.evaluation.evaluate import evaluate
        from googlenet_keras.evaluation.tables import print_figures
        from googlenet_keras.exported import open_classifier, run_of

        classifier = open_classifier(self.model)
        data = open_run_dataset(
            run_of(self.model),
            self.dataset,
            data_dir=self.data_dir,
            download=self.download,
        )
        figures = evaluate(classifier, data, self.split).figures()
        print_figures({self.split: figures})
        if self.json:
            records.write_json(self.json, {self.split: figures})
