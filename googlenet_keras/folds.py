"""Cross-validation: trains a network for each fold and evaluates it on the fold."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.folds import Fold, join_splits, open_fold
from googlenet_keras.errors import InterruptionError, UserError
from googlenet_keras.evaluation import fonts, metrics
from googlenet_keras.evaluation.evaluate import Evaluation, evaluate
from googlenet_keras.evaluation.report import write_report
from googlenet_keras.files import convert, read_json, write_json
from googlenet_keras.run_folder import FoldResult, FoldsResult, RunFolder
from googlenet_keras.runs import Run, train
from googlenet_keras.training.flags import resume_options
from googlenet_keras.training.job import make_paths_absolute, open_training_data
from googlenet_keras.training.options import TrainConfig, read_architecture
from googlenet_keras.training.training_state import resume_hint
from googlenet_keras.training.transfer import check_weights_of_folds

# the figures of a finished fold do not depend on them; another machine has other paths
OPTIONS_OF_A_MACHINE = ("strategy", "xla", "precision", "dataset", "data_dir", "none")
# of a loss: two kinds of processors differ by less, other images by more
LOSS_TOLERANCE = {"rel_tol": 0.01, "abs_tol": 0.001}


class CrossValidation:
    """The finished runs of all folds, and the figures of all their images."""

    def __init__(self, folder: RunFolder | Path | str) -> None:
        """Opens what `train_folds` left. Raises UserError if `folder` is not of it."""
        self.folder = RunFolder.open(Path(str(folder)))

    def __repr__(self) -> str:
        return f"CrossValidation({str(self.folder)!r})"

    @cached_property
    def result(self) -> FoldsResult:
        """The pooled figures and those of each fold."""
        file = self.folder.result
        return convert(read_json(file), FoldsResult, str(file))

    @cached_property
    def runs(self) -> list[Run]:
        """The run of each fold."""
        folds = (row["fold"] for row in self.result["folds"])
        return [Run(_fold_folder(self.folder, fold)) for fold in folds]


def train_folds(config: TrainConfig) -> CrossValidation:
    """For each fold, trains a network on the other folds and tests it on that one.

    The training and validation images are divided into folds; those for test are not
    used. The run folder gets a run for each, fold-1 and so on, and report.html and
    result.json of all images, each classified by the network that has not seen it.
    With `resume` finished folds are skipped, whichever machine has trained them. Raises
    UserError, and InterruptionError after a signal.
    """
    _check(config)
    folder = RunFolder(config.run_folder or "")
    config, resumed = resume_options(TrainConfig, config), folder.is_started
    if resumed and folder.is_finished and config.resume:
        return CrossValidation(folder)
    dataset = open_training_data(config)
    open_fold(dataset, _fold(config, 1))  # raises for too few images
    if not config.run_folder:
        name = f"{dataset.name}-{config.folds}-folds-{time.strftime('%Y%m%d-%H%M%S')}"
        folder = RunFolder(Path("runs", name))
    has_folds = any(_fold_folder(folder, i + 1).is_dir() for i in range(config.folds))
    if not (config.resume and (resumed or has_folds)):  # other machines trained some
        folder.create(config.resume)
    with folder.lock(), _no_retracing_warnings():
        if not folder.is_started:
            config = make_paths_absolute(config, dataset)
            config = _write_options(folder, replace(config, run_folder=folder.path))
        runs = [_train_fold(folder, config, i + 1) for i in range(config.folds)]
        _write_results(folder, [_evaluate(x, dataset, config) for x in runs], runs)
    return CrossValidation(folder)


@contextmanager
def _no_retracing_warnings() -> Iterator[None]:
    """Silences a warning of TensorFlow: each fold's network needs its own functions."""

    def is_other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _check(config: TrainConfig) -> None:
    if not config.folds or config.fold:
        raise UserError(
            "train_folds needs folds, 2 or more, and no single fold; received "
            f"folds={config.folds} and fold={config.fold}."
        )
    if config.strategy == "multi-worker":
        raise UserError(
            "--folds trains one network after the other in one process, and "
            "--strategy multi-worker can train one. Give each --fold, from 1 to "
            f"{config.folds}, with its own --run-folder; then all of them together, "
            "without --strategy."
        )
    check_weights_of_folds(config)


def _write_options(folder: RunFolder, config: TrainConfig) -> TrainConfig:
    """Writes a copy of the architecture, which may change or go, and config.json.

    Returns `config` with the copy.
    """
    if config.architecture:
        write_json(folder.architecture, read_architecture(config.architecture))
        config = replace(config, architecture=folder.architecture.resolve())
    write_json(folder.config, config.to_json())
    return config


def _fold(config: TrainConfig, number: int) -> Fold:
    fold = Fold.from_options(vars(replace(config, fold=number)))
    assert fold  # it has a number
    return fold


def _fold_folder(folder: RunFolder, fold: int) -> Path:
    return folder.path / f"fold-{fold}"


def _train_fold(folder: RunFolder, config: TrainConfig, fold: int) -> Run:
    path = _fold_folder(folder, fold)
    config = replace(config, fold=fold, run_folder=path, resume=True)
    if RunFolder(path).is_finished:
        config = _with_options_of_machine(config, Run(path).config)
    try:
        train(config)
    except InterruptionError as error:
        hint = f"That is fold {fold} alone; for all of them: {resume_hint(folder)}"
        message = f"{error}\n{hint}"
        raise InterruptionError(message, error.args[1]) from error
    return Run(path)  # the trained one holds its network


def _with_options_of_machine(config: TrainConfig, trained: TrainConfig) -> TrainConfig:
    """`config` with the machine's options that a finished fold was trained with."""
    values = {name: getattr(trained, name) for name in OPTIONS_OF_A_MACHINE}
    # a path that only one of them has is another training
    both = {name: x for name, x in values.items() if x and getattr(config, name)}
    return replace(config, **both)


def _write_results(
    folder: RunFolder, evaluations: Sequence[Evaluation], runs: Sequence[Run]
) -> None:
    pooled = _pool(evaluations, [runs[0].classifier])
    results = [
        cast(FoldResult, {"fold": i, **run.result}) for i, run in enumerate(runs, 1)
    ]
    result: FoldsResult = {
        "pooled": pooled.figures(),
        "folds": results,
        "seconds": round(sum(row["seconds"] for row in results), 3),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in results), 3),
    }
    fonts.warn_of_numbers(pooled.class_names)
    figures = {f"fold {row['fold']}": row["test"] for row in results}
    names = [str(run.folder) for run in runs]
    write_report(folder.report, pooled, figures | {"pooled": result["pooled"]}, names)
    write_json(folder.result, result)


def _evaluate(run: Run, dataset: Dataset, config: TrainConfig) -> Evaluation:
    """The figures of a run's fold, without its network, which takes memory.

    Raises UserError if they are not those that the run had: of other images, which the
    network may have been trained on.
    """
    classifier = Classifier.load(run.folder.classifier)
    fold = open_fold(dataset, _fold(config, run.config.fold))
    evaluation = evaluate(classifier, fold, "test")
    losses, before = evaluation.main.loss, run.result["test"]
    if not (
        before
        and before["images"] == len(losses)
        and math.isclose(before["main"]["loss"], losses.mean(), **LOSS_TOLERANCE)
    ):
        raise UserError(
            f"the folds of a cross-validation divide the same images; {run.folder} was "
            f"trained when {dataset.name} had others. Remove that folder to train the "
            "fold again, or restore the images."
        )
    return replace(evaluation, members=())


def _pool(
    evaluations: Sequence[Evaluation], members: Sequence[Classifier]
) -> Evaluation:
    """The images of all folds, each as the network of its fold classified it."""
    first, tests = evaluations[0], [x.dataset.split("test") for x in evaluations]
    return replace(
        first,
        heads={
            head: metrics.concatenate([x.heads[head] for x in evaluations])
            for head in first.heads
        },
        log_probabilities=np.concatenate([x.log_probabilities for x in evaluations]),
        dataset=replace(first.dataset, test=join_splits(tests)),
        members=members,
        out_of_fold=True,
    )
