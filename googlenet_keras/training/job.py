"""A training job: a run's options, data, initial weights and devices, resolved once."""

import hashlib
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import keras

from googlenet_keras import machine
from googlenet_keras.classifier import Classifier
from googlenet_keras.data import pipeline
from googlenet_keras.data.dataset import Dataset, Split, check_labels
from googlenet_keras.data.folds import Fold, open_fold
from googlenet_keras.data.none_pictures import (
    none_count,
    none_indices,
    open_none_folder,
)
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.files import expand_user, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training import checkpoints, memory, transfer
from googlenet_keras.training.defaults import defaults_of
from googlenet_keras.training.distribution import Distribution, start_distribution
from googlenet_keras.training.flags import resume_options
from googlenet_keras.training.job_checks import check_plan, check_strategy
from googlenet_keras.training.options import (
    ResolvedConfig,
    TrainConfig,
    read_architecture,
)
from googlenet_keras.training.precision import choose_precision, device_names, use_xla
from googlenet_keras.training.teachers import Teacher, open_teachers

# they may differ among the workers of a run
PATH_OPTIONS = (
    *("dataset", "data_dir", "none", "run_folder"),
    *("architecture", "weights", "teacher"),
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingJob:
    """Everything that decides a training run, resolved once.

    start: the Classifier whose weights the network starts from, if any. teachers: the
    networks whose answers it learns. resumed: whether the folder holds a run that has
    started. network_file: the architecture that the run folder gets a copy of, before
    --width; None for a variant.
    """

    config: ResolvedConfig
    dataset: Dataset
    start: Classifier | None
    teachers: tuple[Teacher, ...]
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
        check_strategy(config)
        check_plan(config)
        if config.batch_size == "auto":
            memory.grow_gpu_memory_on_demand()
        distribution = start_distribution(config.strategy)
        keras.utils.set_random_seed(config.seed)
        config = resume_options(TrainConfig, config)
        folder = RunFolder(config.run_folder or "")
        resumed = config.resume and folder.is_started
        if config.run_folder and distribution.is_chief and not resumed:
            folder.refuse_existing(config.resume)
        dataset, start = add_none_pictures(config, open_training_data(config)), None
        if config.weights and not (
            resumed and checkpoints.newest_checkpoint(folder.checkpoints, remove=False)
        ):
            config, start = transfer.load_initial_classifier(config, find_weights)
        if not resumed:  # what is trained already is finished, too
            check_labels(dataset.class_names)
        config = resolve_data_options(config, dataset)
        teachers = open_teachers(config, dataset.class_names)
        file = config.architecture
        network_file = read_architecture(file) if file else None
        resolved, reason = _resolve(config, dataset)
        return cls(
            config=resolved,
            dataset=dataset,
            start=start,
            teachers=teachers,
            distribution=distribution,
            folder=RunFolder(resolved.run_folder or ""),
            resumed=resumed,
            precision_reason="as until now" if resumed else reason,
            network_file=network_file,
        )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.class_names)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch. Raises UserError for too large a batch."""
        return pipeline.steps_per_epoch(self.dataset.train, self.config.batch_size)

    @cached_property
    def data_identity(self) -> dict[str, Any]:
        """The images, their order and the epochs, which a resumed run must share.

        Older runs have images, fingerprint (the names of the training images) and
        epochs alone; only runs with --none have none_contents, only those with
        --teacher have teachers.
        """
        split = self.dataset.train
        digest = hashlib.sha256(f"{split.count} {self.dataset.class_names}".encode())
        if split.listed is not None:
            digest.update(split.listed[0].numpy().tobytes())
        for path in split.files:
            digest.update(os.fsencode(Path(*path.parts[-2:])) + b"\n")
        none = self.dataset.none
        teachers = hashlib.sha256("".join(x.digest for x in self.teachers).encode())
        return {
            "images": split.count,
            "fingerprint": digest.hexdigest(),
            "epochs": self.config.epochs,
            "contents": split.fingerprint,
            "validation_images": self.dataset.validation.count,
            "validation_contents": self.dataset.validation.fingerprint,
            **({"none_contents": none.fingerprint} if none else {}),
            **({"teachers": teachers.hexdigest()} if self.teachers else {}),
        }

    @property
    def none_count(self) -> int:
        """Number of none pictures in a training step, of all devices."""
        if not self.dataset.none:
            return 0
        return none_count(self.config.batch_size, self.distribution.replicas)

    def step_images(self, epoch: int, step: int) -> list[tuple[Split, Sequence[int]]]:
        """The images that a training step reads: of each split their numbers.

        They are the images of its batch, and those that its none pictures are made of:
        of the none folder and, with none_synthetic, of the training images again.
        epoch, step: counted from 0.
        """
        config, train, none = self.config, self.dataset.train, self.dataset.none
        batch = pipeline.batch_indices(
            train,
            batch_size=config.batch_size,
            seed=config.seed,
            epoch=epoch,
            step=step,
        )
        images: list[tuple[Split, Sequence[int]]] = [(train, batch)]
        if not none:
            return images
        chosen = partial(
            none_indices,
            count=self.none_count,
            seed=config.seed,
            steps_done=epoch * self.steps_per_epoch + step,
        )
        sources = (none, train) if config.none_synthetic else (none,)
        return images + [(split, chosen(split)) for split in sources]

    def check_agreement(self) -> None:
        """Raises UserError unless all workers have the same job; paths may differ."""
        options = self.config.to_json().items()
        facts = {name: value for name, value in options if name not in PATH_OPTIONS}
        facts |= {
            "resumed": self.resumed,
            "start": transfer.digest(self.start),
            "teachers": [teacher.digest for teacher in self.teachers],
            "network": self.config.network.to_json(),
            "classes": self.dataset.class_names,
            "training_images": self.dataset.train.count,
            "validation_images": self.dataset.validation.count,
            "none_pictures": self.dataset.none and self.dataset.none.count,
        }
        self.distribution.check_agreement(facts)

    @contextmanager
    def claim_folder(self) -> Iterator[None]:
        """Makes the run folder with its config.json and locks it within the block.

        Only the chief does. Raises UserError if another process has the folder.
        """
        if not self.distribution.is_chief:
            yield
            return
        config, folder, distribution = self.config, self.folder, self.distribution
        log.info("precision %s: %s", config.precision, self.precision_reason)
        if distribution.name != "none":
            log.info(distribution.describe(config.batch_size, config.learning_rate))
        if none := self.dataset.none:
            batch = f"{self.none_count} with each batch of {config.batch_size} images"
            log.info("%d pictures of none of the classes, %s", none.count, batch)
        if not self.resumed:
            folder.create(config.resume)
        with folder.lock():
            if self.resumed:
                folder.remove_unfinished_files()
            else:
                # another process may have started meanwhile
                folder.refuse_existing(resume=True)
                self._write_description()
            log.info("run folder %s", folder)
            yield

    def _write_description(self) -> None:
        """Writes environment.json, a copy of the architecture, then config.json."""
        environment = machine.environment() | {
            "command": shlex.join(["python", *sys.orig_argv[1:]]),
            "devices": device_names(),
            "precision": self.config.precision,
            "precision_reason": self.precision_reason,
        }
        options = self.config.to_json() | {"widths": self.config.network.widths()}
        write_json(self.folder.environment, environment)
        if self.network_file:  # the user's file may change or be removed
            copy = self.folder.architecture.resolve()
            write_json(copy, self.network_file)
            options["architecture"] = str(copy)
        write_json(self.folder.config, options)


def open_training_data(config: TrainConfig) -> Dataset:
    """Opens the data set of `config`, divided as its fold asks. Raises UserError."""
    dataset = open_dataset(
        config.dataset,
        validation_fraction=config.validation_fraction,
        data_dir=config.data_dir,
        download=config.download,
    )
    fold = Fold.from_options(vars(config))
    return open_fold(dataset, fold) if fold else dataset


def add_none_pictures(config: TrainConfig, dataset: Dataset) -> Dataset:
    """`dataset` with the pictures below --none, if that is given. Raises UserError."""
    if not config.none:
        return dataset
    folder, label = expand_user(str(config.none)), len(dataset.class_names)
    return replace(dataset, none=open_none_folder(folder, config.dataset, label))


def resolve_data_options(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """Fills in the options that depend on the data, and makes paths absolute."""
    return replace(
        make_paths_absolute(config, dataset),
        **defaults_of(config, dataset.kind),
        variant=config.to_architecture().name,
    )


def make_paths_absolute(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """`config` with absolute paths of data, weights and architecture."""
    folder, weights = expand_user(config.dataset), expand_user(config.weights)
    is_path = config.weights and weights.exists()
    return replace(
        config,
        dataset=str(folder.resolve()) if dataset.train.files else config.dataset,
        data_dir=config.data_dir.resolve() if config.data_dir else None,
        none=expand_user(str(config.none)).resolve() if config.none else None,
        teacher=tuple(expand_user(str(path)).resolve() for path in config.teacher),
        architecture=config.architecture.resolve() if config.architecture else None,
        weights=str(weights.resolve()) if is_path else config.weights,
    )


def _resolve(config: TrainConfig, dataset: Dataset) -> tuple[ResolvedConfig, str]:
    """Fills in machine-dependent options; also returns the reason for the precision."""
    policy, reason = choose_precision(config.precision)
    compiles = use_xla(config.xla) and config.strategy == "none"
    name = f"{dataset.name}-{config.variant}-{time.strftime('%Y%m%d-%H%M%S')}"
    resolved = config.resolve(
        dataset.kind,
        precision=policy,
        xla="on" if compiles else "off",
        run_folder=config.run_folder or Path("runs", name),
    )
    if config.batch_size == "auto":
        classes, images = len(dataset.class_names), dataset.train.count
        batch_size = memory.largest_batch(resolved, classes, images)
        resolved = replace(resolved, batch_size=batch_size)
        log.info("batch size %d: as many images as fit, up to 256", batch_size)
    memory.check_memory(resolved, len(dataset.class_names))
    return resolved, reason
