"""The end of a run: final figures on images it never trained on, and the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.evaluation import plots
from googlenet_keras.evaluation.evaluate import Evaluation, evaluate
from googlenet_keras.evaluation.report import NAME, Subject, write_report
from googlenet_keras.files import write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.stopwatch import Stopwatch


def conclude(
    folder: Path,
    classifier: Classifier,
    dataset: Dataset,
    best_epoch: int,
    stopwatch: Stopwatch,
) -> dict[str, Any]:
    """Evaluates the saved classifier, makes plots/, report.html and result.json.

    The figures are float32's, those that `evaluate` gives again, whatever the precision
    of training. The checkpoints go: a run with a result has nothing to go on with.
    """
    with RunFolder(folder).lock():
        lines = RunFolder(folder).read_epochs()
        validation = evaluate(classifier, dataset, "validation")
        test = evaluate(classifier, dataset, "test") if dataset.test else None
        _draw(RunFolder(folder).plots, lines, classifier, dataset, validation)
        result = {
            "validation": validation.figures(),
            "test": test.figures() if test else None,
            "epochs": len(lines),
            "best_epoch": best_epoch,
            **stopwatch.spent(),
        }
        results = {name: result[name] for name in ("validation", "test")}
        subject = Subject(
            (classifier,),
            (folder.name,),
            dataset,
            "validation",
            validation,
            results,
            run=folder,
            own_data=True,
        )
        write_report(subject, folder / NAME)
        write_json(RunFolder(folder).result, result)
        RunFolder(folder).remove_checkpoints()
    return result


def _draw(
    folder: Path,
    lines: list[dict[str, Any]],
    classifier: Classifier,
    dataset: Dataset,
    validation: Evaluation,
) -> None:
    folder.mkdir(exist_ok=True)
    plots.curves(lines).savefig(folder / "curves.png", dpi=100)
    title = f"{len(validation.labels)} validation images"
    plots.confusion_matrix(validation.confusion(), classifier.labels, title).savefig(
        folder / "confusion_matrix.png", dpi=100
    )
    plots.predictions(
        classifier, dataset.validation, validation, folder / "predictions.png"
    )
