"""One training in a process of its own: its memory, or its crash, goes with it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from googlenet_keras import records
from googlenet_keras.architecture.variants import Architecture
from googlenet_keras.exporting.conversion import redirect
from tuning.config import SearchConfig

TRIALS = "trials"  # the folder with a run for each


class TrialError(Exception):
    """A training that could not end."""


def trained(
    config: SearchConfig, name: str, arch: Architecture, **changes: Any
) -> dict[str, Any]:
    """Trains `arch` as `config` with `changes` says, in trials/<name>.

    Gives {"top1": by head, "epochs", "seconds", "peak_megabytes"} of the best epoch.
    What an earlier attempt left is removed first. Raises TrialError.
    """
    folder = config.run_folder / TRIALS
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / name, ignore_errors=True)
    description = folder / f"{name}.json"
    records.write_json(description, arch.to_json())
    training = config.training(
        architecture=description, width=1.0, run_folder=folder / name, **changes
    )
    context = multiprocessing.get_context("spawn")
    log = folder / f"{name}.log"
    with ProcessPoolExecutor(1, context, _begin, (log,)) as pool:
        try:
            return pool.submit(_train, training).result()
        except BrokenProcessPool as error:
            raise TrialError(f"its process died; {log} may say why") from error
        except Exception as error:  # whatever a training can raise
            raise TrialError(" ".join(str(error).split())) from error


def _begin(log: Path) -> None:
    redirect(log)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """Ends this process with the one that began it, however that one ends."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _train(config) -> dict[str, Any]:
    from googlenet_keras.training.fit import train

    stopwatch = records.Stopwatch()
    run = train(config)
    lines = records.read_lines(run.folder / records.METRICS)
    best = lines[run.best_epoch - 1]["validation"]
    shutil.rmtree(run.folder / records.CLASSIFIER)  # many, and none is for use
    return {
        "top1": {head: best[head]["top1"] for head in run.classifier.heads},
        "epochs": len(lines),
        **stopwatch.figures(),
    }
