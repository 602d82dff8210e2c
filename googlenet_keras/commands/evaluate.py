"""`evaluate`: the figures of a Classifier, or of several as one, on a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from googlenet_keras import records

if TYPE_CHECKING:
    from googlenet_keras.evaluation.evaluate import Evaluation

CENTRE, PHONE = "1", "phone"
NAMES = {CENTRE: "centre crop", PHONE: "whole, stretched"}


@dataclass(frozen=True)
class Evaluate:
    """Top-1, top-5, macro-F1, loss and calibration, every image counted once.

    Each figure has its 95 % interval. Several models are an ensemble.
    """

    models: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Runs, folders with a saved classifier, or exported files."""
    crops: tuple[str, ...] = (CENTRE,)
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
        """Prints the tables. Raises UserError."""
        from googlenet_keras.data.crops import check_kind
        from googlenet_keras.data.sources import open_run_dataset
        from googlenet_keras.errors import UserError
        from googlenet_keras.evaluation.evaluate import evaluate
        from googlenet_keras.evaluation.report import Subject, write_report
        from googlenet_keras.evaluation.tables import print_classes, print_figures
        from googlenet_keras.exported import open_classifier, run_of

        if not self.models:
            raise UserError("evaluate needs a run, a classifier or an exported file.")
        for kind in self.crops:
            check_kind(kind)
        members = [open_classifier(path) for path in self.models]
        data = open_run_dataset(
            run_of(self.models[0]),
            self.dataset,
            data_dir=self.data_dir,
            download=self.download,
        )
        kinds = dict.fromkeys((CENTRE,) * (PHONE in self.crops) + self.crops)
        found = {kind: evaluate(members, data, self.split, kind) for kind in kinds}
        figures = {kind: made.figures() for kind, made in found.items()}
        print_figures(figures, f"{self.split}, crops")
        classes = {kind: made.by_class() for kind, made in found.items()}
        print_classes(next(iter(classes.values())))
        report = {
            "models": [str(path) for path in self.models],
            "split": self.split,
            "crops": {
                kind: figures[kind]
                | {"classes": classes[kind], "confusion": made.confusion().tolist()}
                for kind, made in found.items()
            },
            "phone_gap": _phone_gap(found),
        }
        if self.json:
            records.write_json(self.json, report)
        if self.report:
            subject = Subject(
                members[0],
                data,
                self.split,
                next(iter(found.values())),
                {
                    f"{self.split}, {NAMES.get(kind, f'{kind} crops')}": row
                    for kind, row in figures.items()
                },
                run_of(self.models[0]),
            )
            write_report(subject, self.report)
            print(f"the report is {self.report}")


def _phone_gap(found: dict[str, Evaluation]) -> dict[str, Any] | None:
    """By how much a phone's top-1 is lower than the centre crop's; said if it is."""
    from googlenet_keras.evaluation.metrics import gap

    if PHONE not in found:
        return None
    lower, (least, most) = gap(found[CENTRE].heads["main"], found[PHONE].heads["main"])
    if least > 0:
        print(
            f"a phone that stretches the whole photo, as MediaPipe Tasks does, reaches "
            f"{lower:.3f} less top-1 than the centre crop (95 %: {least:.3f} to "
            f"{most:.3f}); cut the middle of the photo in the app."
        )
    elif most < 0:
        print(
            f"a phone that stretches the whole photo, as MediaPipe Tasks does, reaches "
            f"{-lower:.3f} more top-1 than the centre crop (95 %: {-most:.3f} to "
            f"{-least:.3f})."
        )
    return {"top1": lower, "interval": [least, most]}
