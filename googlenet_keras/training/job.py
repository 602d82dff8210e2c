"""A run's options as they will be used, and what they and the machine were."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from googlenet_keras import machine
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training import memory, precision
from googlenet_keras.training.options import TrainConfig, read_architecture


def check(config: TrainConfig) -> None:
    """Raises UserError for options that do not go together."""
    if config.resume and not config.run_folder:
        raise UserError("resume goes on with a run_folder; none came.")
    if config.strategy == "none":
        return
    given = f"--strategy {config.strategy}"
    if config.xla == "on":
        raise UserError(f"--xla on compiles the steps of one device; not with {given}.")
    if config.batch_size == "auto":
        raise UserError(f"--batch-size auto tries one device; with {given}, a number.")
    if config.strategy == "multi-worker" and not config.run_folder:
        raise UserError(f"{given} needs --run-folder, the same for all workers.")


def opened(config: TrainConfig) -> Dataset:
    """The data that `config` names. Raises UserError."""
    return open_dataset(
        config.dataset,
        validation_fraction=config.validation_fraction,
        data_dir=config.data_dir,
        download=config.download,
    )


def resolved(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """Every option that the data decide as it will be used, wherever from."""
    data = expand_user(config.dataset)
    return replace(
        config.resolved(dataset.defaults),
        dataset=str(data.resolve()) if dataset.train.files else config.dataset,
        data_dir=config.data_dir.resolve() if config.data_dir else None,
        variant=config.to_architecture().name,
        architecture=config.architecture.resolve() if config.architecture else None,
        weights=_absolute(config.weights),
    )


def _absolute(weights: str) -> str:
    path = expand_user(weights)
    return str(path.resolve()) if weights and path.exists() else weights


def settled(config: TrainConfig, dataset: Dataset) -> tuple[TrainConfig, str]:
    """Every option as it will be used, and why the precision is what it is."""
    policy, reason = precision.choose_precision(config.precision)
    config = resolved(config, dataset)
    config = replace(
        config,
        run_folder=config.run_folder or _default_folder(config, dataset),
        precision=policy,
        xla="on"
        if precision.use_xla(config.xla) and config.strategy == "none"
        else "off",
    )
    if config.batch_size == "auto":
        classes, images = len(dataset.class_names), dataset.train.count
        config = replace(
            config, batch_size=memory.largest_batch(config, classes, images)
        )
        print(f"batch size {config.batch_size}: as many images as fit, up to 256")
    return config, reason


def shared(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """What several workers must have in common; paths may differ."""
    paths = ("dataset", "data_dir", "run_folder", "architecture", "weights")
    options = {k: v for k, v in config.to_json().items() if k not in paths}
    return options | {
        "network": config.to_architecture().to_json(),
        "classes": dataset.class_names,
        "training_images": dataset.train.count,
        "validation_images": dataset.validation.count,
    }


def fingerprint(dataset: Dataset) -> str:
    """Changes when the training images are others, or stand in another order."""
    split = dataset.train
    digest = hashlib.sha256(f"{split.count} {dataset.class_names}".encode())
    if split.listed is not None:
        digest.update(split.listed[0].numpy().tobytes())
    for path in split.files:
        digest.update(os.fsencode(Path(*path.parts[-2:])) + b"\n")
    return digest.hexdigest()


def _default_folder(config: TrainConfig, dataset: Dataset) -> Path:
    when = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{dataset.name}-{config.variant}-{when}"


@contextmanager
def kept_folder(config: TrainConfig, reason: str, begun: bool) -> Iterator[None]:
    """The run folder, with its options in it, for this process alone.

    reason: of the precision. Raises UserError where another process has the folder.
    """
    folder = config.run_folder
    if not begun:
        RunFolder(folder).create(config.resume)
    with RunFolder(folder).lock():
        if not begun:  # unless another process has, in the meantime
            RunFolder(folder).refuse_existing(resume=True)
            _write(folder, config, reason)
        print(f"run folder {folder}", flush=True)
        yield


def _write(folder: Path, config: TrainConfig, reason: str) -> None:
    """Writes environment.json, a copy of the architecture, and config.json at last."""
    environment = machine.environment() | {
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "devices": precision.device_names(),
        "precision": config.precision,
        "precision_reason": reason,
    }
    write_json(RunFolder(folder).environment, environment)
    if config.architecture:  # the user's file may change or go
        copy = RunFolder(folder.resolve()).architecture
        write_json(copy, read_architecture(config.architecture))
        config = replace(config, architecture=copy)
    widths = config.to_architecture().widths()
    write_json(RunFolder(folder).config, config.to_json() | {"widths": widths})
