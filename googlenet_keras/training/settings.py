"""A run's options as they will be used, and what they and the machine were."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from googlenet_keras import records
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.data.splits import Dataset
from googlenet_keras.errors import UserError
from googlenet_keras.training import device
from googlenet_keras.training.config import TrainConfig


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
    data = Path(config.dataset).expanduser()
    return replace(
        config.resolved(dataset.defaults),
        dataset=str(data.resolve()) if dataset.train.files else config.dataset,
        data_dir=config.data_dir.resolve() if config.data_dir else None,
        variant=config.to_architecture().name,
        architecture=config.architecture.resolve() if config.architecture else None,
    )


def settled(config: TrainConfig, dataset: Dataset) -> tuple[TrainConfig, str]:
    """Every option as it will be used, and why the precision is what it is."""
    policy, reason = device.choose_precision(config.precision)
    config = resolved(config, dataset)
    config = replace(
        config,
        run_folder=config.run_folder or _default_folder(config, dataset),
        precision=policy,
        xla=_xla(config),
    )
    return config, reason


def _xla(config: TrainConfig) -> str:
    if config.strategy == "none":
        return "on" if device.choose_xla(config.xla) else "off"
    if config.xla == "on":
        raise UserError(
            "--xla on compiles the steps of one device; with --strategy "
            f"{config.strategy} it must be auto or off."
        )
    return "off"


def shared(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """What several workers must have in common; paths may differ."""
    paths = ("dataset", "data_dir", "run_folder", "architecture")
    options = {k: v for k, v in config.to_json().items() if k not in paths}
    return options | {
        "network": config.to_architecture().to_json(),
        "classes": dataset.class_names,
        "training_images": dataset.train.count,
        "validation_images": dataset.validation.count,
    }


def _default_folder(config: TrainConfig, dataset: Dataset) -> Path:
    when = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{dataset.name}-{config.variant}-{when}"


def write(folder: Path, config: TrainConfig, reason: str) -> None:
    """Writes config.json and environment.json; reason: of the precision."""
    widths = config.to_architecture().widths()
    records.write_json(folder / records.CONFIG, config.to_json() | {"widths": widths})
    environment = records.environment() | {
        "devices": device.names(),
        "precision": config.precision,
        "precision_reason": reason,
    }
    records.write_json(folder / records.ENVIRONMENT, environment)
