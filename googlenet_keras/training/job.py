"""A training job: the options, data, start and devices of one run, resolved once."""

import hashlib
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypedDict

import keras

from googlenet_keras import machine
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training import checkpoints, memory, transfer
from googlenet_keras.training.distribution import Distribution, start_distribution
from googlenet_keras.training.options import (
    ResolvedConfig,
    TrainConfig,
    read_architecture,
)
from googlenet_keras.training.precision import choose_precision, device_names, use_xla
from googlenet_keras.training.stored_options import (
    read_stored_options,
    update_stored_options,
)

# they may differ among the workers of a run
PATH_OPTIONS = ("dataset", "data_dir", "run_folder", "architecture", "weights")
log = logging.getLogger(__name__)


class DataIdentity(TypedDict):
    """Identifies the training data, which must not change when a run is resumed."""

    images: int
    fingerprint: str
    epochs: int


@dataclass(frozen=True)
class TrainingJob:
    """Everything that decides a training run, resolved once.

    start: the Classifier whose weights the network starts from, if any. resumed:
    whether the folder holds a run that has started. network_file: the architecture that
    the run folder gets a copy of, before --width; None for a variant.
    """

    config: ResolvedConfig
    dataset: Dataset
    start: Classifier | None
    distribution: Distribution
    folder: RunFolder
    resumed: bool
    precision_reason: str
    network_file: dict[str, Any] | None

    @classmethod
    def from_config(
        cls, config: TrainConfig, find_weights: transfer.WeightsFinder | None = None
    ) -> Self:
        """Resolves `config`: starts the devices, opens the data, decides every option.

        find_weights: gives the folder of the Classifier that config.weights names;
        None: config.weights is the folder. Raises UserError.
        """
        _check_strategy(config)
        if config.batch_size == "auto":
            memory.grow_gpu_memory_on_demand()
        distribution = start_distribution(config.strategy)
        keras.utils.set_random_seed(config.seed)
        folder = RunFolder(config.run_folder) if config.run_folder else None
        resumed = bool(config.resume and folder and folder.is_started)
        if folder and resumed:
            config = update_stored_options(
                read_stored_options(TrainConfig, folder), config
            )
        elif folder and distribution.is_chief:
            folder.refuse_existing(config.resume)
        dataset = open_training_data(config)
        start = None
        if config.weights and not (
            folder and resumed and checkpoints.has_checkpoint(folder)
        ):
            config, start = transfer.load_initial_classifier(config, find_weights)
        resolved, reason = _resolve(resolve_data_options(config, dataset), dataset)
        file = resolved.architecture
        return cls(
            config=resolved,
            dataset=dataset,
            start=start,
            distribution=distribution,
            folder=folder or RunFolder(resolved.run_folder or ""),
            resumed=resumed,
            precision_reason=reason,
            network_file=read_architecture(file) if file else None,
        )

    @property
    def architecture(self) -> Architecture:
        """The network that is trained."""
        return self.config.network

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.class_names)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch. Raises UserError for too large a batch."""
        return pipeline.steps_per_epoch(self.dataset.train, self.config.batch_size)

    @cached_property
    def data_identity(self) -> DataIdentity:
        """Identifies the training images, their order and the number of epochs."""
        return {
            "images": self.dataset.train.count,
            "fingerprint": _fingerprint(self.dataset),
            "epochs": self.config.epochs,
        }

    def check_agreement(self) -> None:
        """Raises UserError unless all workers have the same job; paths may differ."""
        options = self.config.to_json().items()
        self.distribution.check_agreement(
            {name: value for name, value in options if name not in PATH_OPTIONS}
            | {
                "resumed": self.resumed,
                "start": transfer.digest(self.start),
                "network": self.architecture.to_json(),
                "classes": self.dataset.class_names,
                "training_images": self.dataset.train.count,
                "validation_images": self.dataset.validation.count,
            }
        )

    @contextmanager
    def claim_folder(self) -> Iterator[None]:
        """Makes the run folder with its config.json and locks it within the block.

        Only the chief does. Raises UserError if another process has the folder.
        """
        if not self.distribution.is_chief:
            yield
            return
        self._log_decisions()
        if not self.resumed:
            self.folder.create(self.config.resume)
        with self.folder.lock():
            if not self.resumed:
                # another process may have started meanwhile
                self.folder.refuse_existing(resume=True)
                self._write_description()
            log.info("run folder %s", self.folder)
            yield

    def _log_decisions(self) -> None:
        config, distribution = self.config, self.distribution
        log.info("precision %s: %s", config.precision, self.precision_reason)
        if distribution.name != "none":
            log.info(distribution.describe(config.batch_size, config.learning_rate))

    def _write_description(self) -> None:
        """Writes environment.json, a copy of the architecture, then config.json."""
        environment = machine.environment() | {
            "command": shlex.join(["python", *sys.orig_argv[1:]]),
            "devices": device_names(),
            "precision": self.config.precision,
            "precision_reason": self.precision_reason,
        }
        write_json(self.folder.environment, environment)
        options = self.config.to_json() | {"widths": self.architecture.widths()}
        if self.network_file:  # the user's file may change or be removed
            copy = RunFolder(self.folder.path.resolve()).architecture
            write_json(copy, self.network_file)
            options["architecture"] = str(copy)
        write_json(self.folder.config, options)


def open_training_data(config: TrainConfig) -> Dataset:
    """Opens the data set of `config`. Raises UserError."""
    return open_dataset(
        config.dataset,
        validation_fraction=config.validation_fraction,
        data_dir=config.data_dir,
        download=config.download,
    )


def resolve_data_options(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """Fills in the options that depend on the data, and makes paths absolute."""
    folder = expand_user(config.dataset)
    network = config.to_architecture()
    return replace(
        config,
        **config.defaults(dataset.kind, network.batch_norm),
        dataset=str(folder.resolve()) if dataset.train.files else config.dataset,
        data_dir=config.data_dir.resolve() if config.data_dir else None,
        variant=network.name,
        architecture=config.architecture.resolve() if config.architecture else None,
        weights=_absolute(config.weights),
    )


def _absolute(weights: str) -> str:
    path = expand_user(weights)
    return str(path.resolve()) if weights and path.exists() else weights


def _resolve(config: TrainConfig, dataset: Dataset) -> tuple[ResolvedConfig, str]:
    """Fills in the options that depend on the machine; also explains the precision."""
    policy, reason = choose_precision(config.precision)
    compiles = use_xla(config.xla) and config.strategy == "none"
    when = time.strftime("%Y%m%d-%H%M%S")
    default_folder = Path("runs", f"{dataset.name}-{config.variant}-{when}")
    resolved = config.resolve(
        dataset.kind,
        precision=policy,
        xla="on" if compiles else "off",
        run_folder=config.run_folder or default_folder,
    )
    if config.batch_size == "auto":
        classes, images = len(dataset.class_names), dataset.train.count
        batch_size = memory.largest_batch(resolved, classes, images)
        resolved = replace(resolved, batch_size=batch_size)
        log.info("batch size %d: as many images as fit, up to 256", batch_size)
    return resolved, reason


def _check_strategy(config: TrainConfig) -> None:
    """Raises UserError for options that --strategy does not support."""
    if config.strategy == "none":
        return
    flag = f"--strategy {config.strategy}"
    if config.xla == "on":
        raise UserError(f"--xla on compiles the steps of one device; not with {flag}.")
    if config.batch_size == "auto":
        raise UserError(f"--batch-size auto tries one device; with {flag}, a number.")
    if config.strategy == "multi-worker" and not config.run_folder:
        raise UserError(f"{flag} requires --run-folder, the same for all workers.")


def _fingerprint(dataset: Dataset) -> str:
    """A digest of the training split's classes, labels and file names."""
    split = dataset.train
    digest = hashlib.sha256(f"{split.count} {dataset.class_names}".encode())
    if split.listed is not None:
        digest.update(split.listed[0].numpy().tobytes())
    for path in split.files:
        digest.update(os.fsencode(Path(*path.parts[-2:])) + b"\n")
    return digest.hexdigest()
