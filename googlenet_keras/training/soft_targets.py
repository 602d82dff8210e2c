"""Soft targets: a teacher's answers to the training crops, computed once and cached.

A crop depends on (seed, epoch, index of the image) alone, and so does the answer to it.
Networks of any width and size that are trained with the same data, seed and
augmentation share the cached answers of a teacher.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import tensorflow as tf

from googlenet_keras.data.dataset import Dataset, Split
from googlenet_keras.data.decode import DECODING_VERSION
from googlenet_keras.data.pipeline import (
    EVALUATION_BATCH_SIZE,
    TrainingPipeline,
    explain_unreadable,
)
from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.files import atomic_file, cache_folder, disk_errors
from googlenet_keras.training.input_pipeline import augmentation, regularization
from googlenet_keras.training.memory import FAILED_STEP_ERRORS
from googlenet_keras.training.options import ResolvedConfig
from googlenet_keras.training.teachers import Teacher

ANSWERS_VERSION = 1  # raised with every change of the crops, or of a file
DIGEST_BYTES = 32  # at the end of a file
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SoftTargets:
    """A teacher's probabilities for the training crops of each epoch, on disk.

    The folder's name is a digest of all that the answers depend on. Each epoch, from 0,
    has a file: [images, classes] float16 in reading order, then their SHA-256.
    """

    teacher: Teacher
    pipeline: TrainingPipeline  # of crops of the teacher's size
    precision: str

    @classmethod
    def from_config(
        cls, config: ResolvedConfig, dataset: Dataset, teacher: Teacher
    ) -> Self:
        """The answers of `teacher` to the training crops of `config`.

        The teacher always reads the images themselves, whatever --cache says.
        """
        return cls(
            teacher,
            TrainingPipeline(
                dataset.train,
                augmentation(config, teacher.size),
                heads=(),
                batch_size=1,
                seed=config.seed,
                # answers are mixed as the labels are, when a batch is made
                regularization=replace(
                    regularization(config, classes=0), mixup=0.0, cutmix=0.0
                ),
            ),
            config.precision,
        )

    @cached_property
    def folder(self) -> Path:
        facts = {
            "version": [ANSWERS_VERSION, DECODING_VERSION],
            "teacher": [self.teacher.digest, self.teacher.classes],
            "precision": self.precision,
            "images": [self.pipeline.split.count, contents(self.pipeline.split)],
            "seed": self.pipeline.seed,
            "augmentation": asdict(self.pipeline.augmentation),
            "regularization": asdict(self.pipeline.regularization),
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        return cache_folder() / "teachers" / digest.hexdigest()[:32]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of images and of classes."""
        return self.pipeline.split.count, len(self.teacher.classes)

    @property
    def file_bytes(self) -> int:
        """Size of an epoch's file."""
        images, classes = self.shape
        return images * classes * np.dtype(np.float16).itemsize + DIGEST_BYTES

    def prepare(
        self,
        epochs: Sequence[int],
        check_stop: Callable[[], None],
        log_level: int = logging.INFO,
    ) -> None:
        """Computes the answers of those `epochs` that are not in the cache.

        check_stop: called after each batch; may raise. Raises UserError for an image
        that cannot be read any more, for answers that are not finite and for a teacher
        that does not fit into memory, and DiskError.
        """
        say = partial(log.log, log_level)
        missing = [epoch for epoch in epochs if not self.is_intact(epoch)]
        say(
            "teacher %s: answers of %d epochs, %.1f MB, %d of them from the cache",
            self.teacher.folder,
            len(epochs),
            len(epochs) * self.file_bytes / 1e6,
            len(epochs) - len(missing),
        )
        if not missing:
            return
        say("the others go to %s", self.folder)
        try:
            answers = self._answers(missing, check_stop)
            for number, epoch in enumerate(missing, start=1):
                say("teacher's answers: epoch %d of %d", number, len(missing))
                self._write(epoch, next(answers))
        except FAILED_STEP_ERRORS as error:
            raise UserError(
                f"the teacher {self.teacher.folder} does not fit into memory with "
                f"{EVALUATION_BATCH_SIZE} images; name a smaller one."
            ) from error

    def check(self, epochs: Sequence[int], cause: Exception) -> None:
        """Raises DiskError, from `cause`, if an epoch's file is no longer intact."""
        if not all(map(self.is_intact, epochs)):
            raise DiskError(
                f"{self.folder}, which has a teacher's answers, has been removed or "
                "changed; they are computed again when the run is resumed."
            ) from cause

    def is_intact(self, epoch: int) -> bool:
        """Whether an epoch's file exists and has the checksum at its end."""
        try:
            data = self._file(epoch).read_bytes()
        except OSError:
            return False
        rows, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        is_whole = len(data) == self.file_bytes
        return is_whole and hashlib.sha256(rows).digest() == digest

    def read(self, epoch: tf.Tensor) -> tf.Tensor:
        """The probabilities of an epoch, [images, classes] float16, within tf.data."""
        path = tf.strings.join([os.fsencode(self.folder), b"/", tf.as_string(epoch)])
        values = tf.io.decode_raw(tf.io.read_file(path), tf.float16)
        images, classes = self.shape
        return tf.reshape(values[: images * classes], self.shape)  # without the digest

    def _file(self, epoch: int) -> Path:
        return self.folder / str(epoch)

    def _answers(
        self, epochs: Sequence[int], check_stop: Callable[[], None]
    ) -> Iterator[np.ndarray]:
        """Computes the answers of one epoch after another, each [images, classes]."""
        network, (images, _) = self.teacher.load(), self.shape
        with explain_unreadable(self.pipeline.split):
            batches = iter(self.pipeline.crops(epochs, EVALUATION_BATCH_SIZE))
            for _ in epochs:
                rows = []
                for batch in islice(batches, math.ceil(images / EVALUATION_BATCH_SIZE)):
                    rows.append(tf.nn.softmax(network.predict_on_batch(batch)).numpy())
                    check_stop()
                yield np.concatenate(rows)[:, self.teacher.classes]

    def _write(self, epoch: int, answers: np.ndarray) -> None:
        if not np.isfinite(answers).all():
            raise UserError(
                f"a teacher's answers must be finite; those of {self.teacher.folder} "
                "are not. Name another teacher, or give --precision float32."
            )
        data = answers.astype("<f2").tobytes()
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._file(epoch)) as temporary:
            temporary.write_bytes(data + hashlib.sha256(data).digest())


def mean_of(teachers: Sequence[SoftTargets]) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """Returns the mean of teachers' answers as a function of the epoch; None for none.

    Of [images, classes] float32, for TrainingPipeline.
    """
    if not teachers:
        return None

    def read(epoch: tf.Tensor) -> tf.Tensor:
        answers = [tf.cast(one.read(epoch), tf.float32) for one in teachers]
        return tf.add_n(answers) / len(answers)

    return read


def contents(split: Split) -> str:
    """A digest of the images of a split, in reading order.

    Where the source does not know it, the references are the encoded images.
    """
    if split.fingerprint:
        return split.fingerprint
    digest = hashlib.sha256()
    for _, _, image in split.in_order().as_numpy_iterator():
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()
