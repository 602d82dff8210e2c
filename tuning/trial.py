"""One training of a search."""

from __future__ import annotations

import shutil
from typing import Any

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.files import write_json
from googlenet_keras.processes import child_process
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.options import TrainConfig
from tuning.config import SearchConfig

TRIALS = "trials"  # the folder with a run for each


def trained(
    config: SearchConfig, name: str, arch: Architecture, **changes: Any
) -> dict[str, Any]:
    """Trains `arch` as `config` with `changes` says, in trials/<name>.

    Gives {"top1": by head, "epochs", "seconds", "cpu_seconds", "peak_megabytes"} of the
    best epoch. What an earlier attempt left is removed first. Raises ProcessError.
    """
    folder = config.run_folder / TRIALS
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / name, ignore_errors=True)
    description = folder / f"{name}.json"
    write_json(description, arch.to_json())
    training = config.training(
        architecture=description,
        width=1.0,
        run_folder=folder / name,
        resume=False,
        checkpoint_minutes=0.0,
        **changes,
    )
    with child_process(folder / f"{name}.log") as call:
        return call(_train, training)


def _train(config: TrainConfig) -> dict[str, Any]:
    from googlenet_keras.training.trainer import train_network

    stopwatch = Stopwatch()
    run = train_network(config)
    folder = run.job.folder
    lines = folder.read_epochs()
    best = lines[run.best_epoch - 1]["validation"]
    shutil.rmtree(folder.classifier)  # many, and none is for use
    return {
        "top1": {head: best[head]["top1"] for head in best if head != "loss"},
        "epochs": len(lines),
        **stopwatch.spent(),
    }
