"""Trains the networks of a search, each in a child process."""

import shutil
from dataclasses import replace
from typing import Any

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.files import write_json
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.options import TrainConfig
from tuning.job import SearchJob
from tuning.space import Values
from tuning.trial_log import TrainingFigures, TrialLog


def train_trial(job: SearchJob, trial: str, values: Values) -> TrainingFigures:
    """Trains the network that `values` describe. Raises ProcessError."""
    return train_candidate(
        job,
        trial,
        job.space.to_architecture(values),
        epochs=values.get("tuner/epochs"),  # Hyperband's
        learning_rate_factor=values.get("learning_rate", 1.0),
    )


def train_baselines(job: SearchJob, log: TrialLog) -> None:
    """Trains each baseline once, for as many epochs as the longest trial."""
    full = replace(job.config.training, width=1.0).to_architecture()
    networks = {f"width-{x:g}": full.scale_width(x) for x in job.config.baselines}
    if job.space.base not in networks.values():
        networks["uniform"] = job.space.base
    for name, arch in networks.items():
        if name not in log:
            try:
                log.add(name, "baseline", arch, train_candidate(job, name, arch))
            except ProcessError as error:
                log.add(name, "baseline", arch, str(error))


def train_candidate(
    job: SearchJob, name: str, arch: Architecture, **changes: Any
) -> TrainingFigures:
    """Trains `arch` in the folder trials/<name>.

    changes: as SearchJob.training has them. An unfinished earlier attempt is removed
    first. Raises ProcessError.
    """
    folder = job.folder.trials
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / name, ignore_errors=True)
    file = folder / f"{name}.json"
    write_json(file, arch.to_json())
    config = job.training(
        architecture=file, run_folder=folder / name, checkpoint_minutes=0.0, **changes
    )
    with child_process(folder / f"{name}.log") as call:
        return call(_train, config)


def _train(config: TrainConfig) -> TrainingFigures:
    from googlenet_keras.training.trainer import train_network

    stopwatch = Stopwatch()
    trained = train_network(config)
    assert trained  # None only in further workers of one run
    folder = trained.job.folder
    lines = folder.read_epochs()
    best = lines[trained.best_epoch - 1]["validation"]
    heads = trained.classifier.heads
    shutil.rmtree(folder.classifier)  # trials are many, and nobody uses their weights
    return {
        "top1": {head: best[head]["top1"] for head in heads},
        "epochs": len(lines),
        **stopwatch.spent(),
    }
