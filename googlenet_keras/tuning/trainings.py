"""Trains the networks of a search, each in a child process."""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from googlenet_keras import files
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.installation import command_line
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.tuning.image_results import ImageResults
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.space import Values
from googlenet_keras.tuning.trials import (
    UNIFORM,
    TrainingFigures,
    TrialLog,
    TrialRow,
    read_rows,
)

if TYPE_CHECKING:
    from googlenet_keras.evaluation.evaluate import Evaluation

log = logging.getLogger(__name__)

MAX_SEED = 2**31 - 1


def train_trial(job: SearchJob, name: str, values: Values) -> TrainingFigures:
    """Trains the network that `values` describe, in trials/<name>.

    What the network of even width has been trained for already is not trained again.
    Raises ProcessError.
    """
    arch, factor = job.space.to_architecture(values), values.get("learning_rate", 1.0)
    epochs = values.get("tuner/epochs") or job.config.epochs  # Hyperband's
    is_trained = epochs == job.config.epochs and factor == 1
    if is_trained and job.space.is_uniform(arch) and (row := _uniform_row(job)):
        log.info("trial %s is the network of even width, trained already", name)
        return _same_figures(row)
    return _train_in_child(job, name, arch, factor, epochs=epochs)


def train_baselines(job: SearchJob, trials: TrialLog) -> None:
    """Trains the network of even width and the other baselines, each once.

    They have as many epochs as the longest trial. Raises UserError if the training of
    the first one fails: nothing could be compared with it.
    """
    full = job.training(1.0).to_architecture()
    networks = {f"width-{x:g}": full.scale_width(x) for x in job.config.baselines}
    others = {name: x for name, x in networks.items() if x != job.space.base}
    for name, arch in {UNIFORM: job.space.base, **others}.items():
        if name in trials:
            continue
        try:
            figures = _train_in_child(job, name, arch, 1.0, epochs=job.config.epochs)
        except ProcessError as error:
            if name == UNIFORM:
                raise uniform_failed_error(job, name, error) from error
            trials.add(name, "baseline", arch, reason=str(error))
        else:
            trials.add(name, "baseline", arch, **figures)


def train_for_race(
    job: SearchJob, name: str, arch: Architecture, factor: float, number: int
) -> TrainingFigures:
    """Trains a network for a round, in trials/<name>, judged by the round's fold.

    factor: on the learning rate. number: the round, from 1; it decides the seed and the
    fold. Without folds the validation images judge. Raises ProcessError.
    """
    seed = job.config.training.seed
    options: dict[str, Any] = {"seed": (seed + number) % MAX_SEED}
    if job.folds:  # all rounds divide the images alike
        fold = (number - 1) % job.folds + 1
        options |= {"folds": job.folds, "fold": fold, "fold_seed": seed}
    split = "test" if job.folds else "validation"
    options["epochs"] = job.config.epochs
    return _train_in_child(job, name, arch, factor, split, **options)


def uniform_failed_error(
    job: SearchJob, name: str, reason: Exception, way_out: str = ""
) -> UserError:
    """The error for a training `name` of the network of even width that failed.

    way_out: another one than to train it again.
    """
    return UserError(
        "a search compares its networks with GoogLeNet of even width, and the training "
        f"of that failed: {reason}. {job.folder.trials / name}.log may say more. "
        f"Remove the cause, and train it again with {command_line('search')} --resume "
        f"--run-folder {job.folder}{way_out}."
    )


def _uniform_row(job: SearchJob) -> TrialRow | None:
    """The row of the network of even width, which a worker's chief has written."""
    path = job.folder.trial_log
    rows = read_rows(path) if path.exists() else []
    return next((x for x in rows if x["trial"] == UNIFORM and not x["reason"]), None)


def _same_figures(row: TrialRow) -> TrainingFigures:
    """The figures of `row`, for a training that took no time."""
    return {
        "loss": row["loss"],
        "top1": row["top1"],
        "images": row["images"],
        "epochs": row["epochs"],
        "seconds": 0.0,
        "cpu_seconds": 0.0,
        "peak_megabytes": None,
    }


def _train_in_child(
    job: SearchJob,
    name: str,
    arch: Architecture,
    factor: float,
    split: str = "validation",
    **options: Any,
) -> TrainingFigures:
    """Trains `arch` in trials/<name> and judges it by the images of `split`.

    An unfinished earlier attempt is removed first. Raises ProcessError.
    """
    folder = job.folder.trials
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / name, ignore_errors=True)
    file = folder / f"{name}.json"
    files.write_json(file, arch.to_json())
    config = job.training(
        factor,
        architecture=file,
        run_folder=folder / name,
        checkpoint_minutes=0.0,
        **options,
    )
    with child_process(folder / f"{name}.log") as call:
        return call(train_and_judge, config, split, job.folder.image_results(name))


def train_and_judge(config: TrainConfig, split: str, path: Path) -> TrainingFigures:
    """Trains a network, and evaluates the weights that the training has saved.

    path: of the file with the results on each image.
    """
    from googlenet_keras.evaluation.evaluate import evaluate
    from googlenet_keras.training.trainer import train_network

    stopwatch = Stopwatch()
    trained = train_network(config)
    assert trained  # None only in further workers of one run
    folder, dataset = trained.job.folder, trained.job.dataset
    evaluation = evaluate(trained.classifier, dataset, split)
    shutil.rmtree(folder.classifier)  # trials are many, and nobody uses their weights
    return save_results(evaluation, path, len(folder.read_epochs()), stopwatch)


def save_results(
    evaluation: "Evaluation", path: Path, epochs: int, stopwatch: Stopwatch
) -> TrainingFigures:
    """Writes an evaluation's results on each image; returns the figures of a row."""
    main, heads = evaluation.main, evaluation.heads.items()
    images = evaluation.dataset.split(evaluation.split).fingerprint
    ImageResults(main.loss, main.correct, images).save(path)
    return {
        "loss": float(main.loss.mean()),
        "top1": {head: float(scores.correct.mean()) for head, scores in heads},
        "images": len(main.loss),
        "epochs": epochs,
        **stopwatch.spent(),
    }


def retrain_best(job: SearchJob, best: TrialRow) -> bool:
    """Trains the best network in full and exports it. False if a check fails."""
    config = job.training(
        best.get("learning_rate_factor", 1.0),
        architecture=job.folder.best_architecture,
        variant=best["architecture"]["name"],
        run_folder=retrained_run(job, best["trial"]).path,
        resume=True,  # an earlier attempt may have been killed
        epochs=job.config.retrain_epochs,
    )
    with child_process(log=None) as call:  # which leaves a GPU free at its end
        try:
            return bool(call(_train_and_export, config))
        except ProcessError as error:
            raise UserError(str(error)) from error


def retrained_run(job: SearchJob, trial: str) -> RunFolder:
    """The run of --retrain for the network of `trial`."""
    name = f"retrained-{trial}-{job.config.retrain_epochs}-epochs"
    return RunFolder(job.folder.path / name)


def _train_and_export(config: TrainConfig) -> bool:
    from googlenet_keras.evaluation.tables import print_figures
    from googlenet_keras.exporting.report import print_report
    from googlenet_keras.exports import export
    from googlenet_keras.runs import train

    run = train(config)
    assert run  # None only in further workers of one run
    print_figures({part: run.result[part] for part in ("validation", "test")})
    bundle = export(run)
    print_report(bundle.report)
    log.info("everything is in %s", bundle.folder)
    return bundle.passed
