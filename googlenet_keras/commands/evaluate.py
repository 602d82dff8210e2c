"""`evaluate`: evaluates a network or an ensemble on a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tyro.conf import Positional

from googlenet_keras.console import print_text
from googlenet_keras.errors import UserError
from googlenet_keras.files import check_output_files, expand_user, write_json
from googlenet_keras.run_folder import RunFolder

if TYPE_CHECKING:
    from googlenet_keras.data.dataset import Split
    from googlenet_keras.evaluation.evaluate import Evaluation
    from googlenet_keras.evaluation.refusal import RefusalFigures


class EvaluationReport(TypedDict):
    """The JSON file that --json writes.

    crops: by kind, the figures of each head, {"classes": figures by class name} and
    {"confusion": counts [true][predicted]}. phone_gap: {"top1": of the center crop
    minus that of a phone's crop, "interval": [low, high], 95 %}. refusal: of --none.
    """

    models: list[str]
    split: str
    crops: Mapping[str, Mapping[str, Any]]
    phone_gap: dict[str, Any] | None
    refusal: RefusalFigures | None


@dataclass(frozen=True)
class Evaluate:
    """Evaluates networks: top-1, top-5, macro-F1, loss and calibration error.

    Each figure has its 95 % interval. Several models are an ensemble.
    """

    models: Positional[tuple[Path, ...]]  # Runs, saved classifiers or exported files.
    crops: tuple[str, ...] = ("1",)
    """Crops of each image: 1 (the center), 10, 144 (as the paper tested), phone (the
    whole photo stretched, as MediaPipe Tasks does it), phone-square (the center as
    MediaPipe resizes it, given as its region of interest); several are compared."""
    dataset: str | None = None
    """digits, a folder of class folders or a TFDS name; none: the first run's own. Of
    another folder without split folders every image is evaluated."""
    split: str = "validation"  # train, validation or test.
    data_dir: Path | None = None
    """Folder of prepared TFDS data; none: the run's, else TFDS's own."""
    download: bool = False  # Let TFDS download and prepare the data set.
    none: Path | None = None
    """Folder of pictures of none of the classes, to see how many are refused."""
    threshold: float | None = None
    """Refuse a largest probability below this (0..1), with --none; default: that of the
    network, or else what refuses 5 % of the validation images."""
    report: Path | None = None  # Write a self-contained .html page on the first crops.
    json: Path | None = None  # Write figures, by class too, and the confusion matrix.

    def run(self) -> None:
        from googlenet_keras.artifacts.artifact import find_run
        from googlenet_keras.evaluation.tables import print_classes, print_figures

        self._check()
        run = RunFolder(find_run(self.models[0]))
        none = self._open_none(run)
        found = self._evaluate(run)
        figures = {kind: evaluation.figures() for kind, evaluation in found.items()}
        first = found[self.crops[0]]
        print_figures(figures, self._title)
        print_classes(first.by_class())
        first.warn_of_missing_classes()
        gap = _phone_gap(found)
        refusal = self._refusal(first, figures[self.crops[0]], none) if none else None
        if self.json:
            write_json(self.json, self._to_json(found, figures, gap, refusal))
        if self.report:
            self._write_report(self.report, first, figures, run, refusal)

    @property
    def _title(self) -> str:
        return f"{self.split}, crops"

    @property
    def _names(self) -> list[str]:
        return [str(path) for path in self.models]

    def _evaluate(self, run: RunFolder) -> dict[str, Evaluation]:
        """Evaluates all models together, with each kind of crops."""
        from googlenet_keras.artifacts.artifact import find_run, open_classifier
        from googlenet_keras.data.preprocessing import CENTER_CROP, PHONE_CROPS
        from googlenet_keras.evaluation.evaluate import (
            check_same_fold,
            evaluate,
            open_run_dataset,
        )

        others = [RunFolder.of_network(find_run(path)) for path in self.models[1:]]
        check_same_fold([run, *others], self.split, self.dataset)
        members = [open_classifier(path) for path in self.models]
        dataset = open_run_dataset(
            run,
            self.dataset,
            data_dir=self.data_dir,
            download=self.download,
            divide=False,
        )
        # a phone's figures say little without the center crop's
        with_phone = any(kind in PHONE_CROPS for kind in self.crops)
        kinds = dict.fromkeys(self.crops + (CENTER_CROP,) * with_phone)
        return {kind: evaluate(members, dataset, self.split, kind) for kind in kinds}

    def _open_none(self, run: RunFolder) -> Split | None:
        from googlenet_keras.data.none_pictures import open_none_folder

        if not self.none:
            return None
        config = run.read_config() if run.is_started else {}
        # without a name the evaluation will ask for one
        dataset = self.dataset or config.get("dataset", "digits")
        return open_none_folder(expand_user(str(self.none)), dataset)

    def _refusal(
        self, first: Evaluation, figures: Mapping[str, Any], none: Split
    ) -> RefusalFigures:
        """Scores the none pictures as the first crops; prints how many are refused."""
        from googlenet_keras.evaluation.refusal import evaluate_refusal
        from googlenet_keras.evaluation.tables import print_refusal

        found = evaluate_refusal(first, none, self.threshold)
        print_refusal(found, figures["main"], f"{self._title} {first.crops}")
        return found

    def _to_json(
        self,
        found: Mapping[str, Evaluation],
        figures: Mapping[str, Mapping[str, Any]],
        gap: dict[str, Any] | None,
        refusal: RefusalFigures | None,
    ) -> EvaluationReport:
        crops = {
            kind: {
                **figures[kind],
                "classes": evaluation.by_class(),
                "confusion": evaluation.confusion().tolist(),
            }
            for kind, evaluation in found.items()
        }
        return EvaluationReport(
            models=self._names,
            split=self.split,
            crops=crops,
            phone_gap=gap,
            refusal=refusal,
        )

    def _write_report(
        self,
        path: Path,
        first: Evaluation,
        figures: Mapping[str, Any],
        run: RunFolder,
        refusal: RefusalFigures | None,
    ) -> None:
        from googlenet_keras.evaluation.report import write_report

        results = {f"{self._title} {kind}": row for kind, row in figures.items()}
        own_data = run.is_own_data(self.dataset)
        names = self._names
        write_report(path, first, results, names, run, own_data, refusal)
        print_text(f"the report is {path}")

    def _check(self) -> None:
        from googlenet_keras.data.preprocessing import check_crops

        if not self.models:
            raise UserError("evaluate needs a run, a classifier or an exported file.")
        if not self.crops:
            raise UserError(
                "--crops needs one kind at least: 1, 10, 144, phone or phone-square."
            )
        for kind in self.crops:
            check_crops(kind)
        if self.threshold is not None and not self.none:
            raise UserError("--threshold is for --none; add --none FOLDER.")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(
                f"--threshold is a probability, 0 to 1; received {self.threshold:g}."
            )
        check_output_files(self.report, self.json)


def _phone_gap(found: dict[str, Evaluation]) -> dict[str, Any] | None:
    """Compares the top-1 of phone and center crops; prints a significant gap."""
    from googlenet_keras.data.preprocessing import CENTER_CROP, PHONE_CROP
    from googlenet_keras.evaluation.metrics import top1_difference

    if PHONE_CROP not in found:
        return None
    gap, (low, high) = top1_difference(found[CENTER_CROP].main, found[PHONE_CROP].main)
    if low > 0 or high < 0:
        near, far = sorted((abs(low), abs(high)))
        print(
            "a phone that stretches the whole photo, as MediaPipe Tasks does, reaches "
            f"{abs(gap):.3f} {'less' if gap > 0 else 'more'} top-1 than the center "
            f"crop (95 %: {near:.3f} to {far:.3f})"
            + (f"; {_advice(found[CENTER_CROP])}." if gap > 0 else ".")
        )
    return {"top1": gap, "interval": [low, high]}


def _advice(evaluation: Evaluation) -> str:
    """The remedy for a phone that stretches the whole photo, for a message."""
    if any(evaluation.members[0].preprocessing.margins):
        return "name the photographs' aspect ratio: export --phone-aspect"
    return "export the format phone, or pass the center as region of interest"
