"""Callbacks that save the network, detect failed training and log metrics."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.files import append_json_line
from googlenet_keras.training.stages import Stage, describe_size, stage_at

DEAD_LOSS_FRACTION = 0.99  # of chance: a head above this has learned nothing
DEAD_HEAD_STEPS = 200  # after warm-up, before the run ends for it
SECONDS_BETWEEN_LINES = 60.0  # within an epoch, in a file
CLEAR_DIFFERENCE = 2.0  # standard errors between an epoch and a better one
log = logging.getLogger(__name__)

Logs = dict[str, float]


class StatefulCallback(keras.callbacks.Callback):
    """A callback whose attributes in STATE are saved in checkpoints."""

    STATE: ClassVar[tuple[str, ...]]

    def get_state(self) -> dict[str, Any]:
        """The values of the attributes in STATE, by name."""
        return {name: getattr(self, name) for name in self.STATE}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores the attributes that `get_state` returned."""
        for name in self.STATE:
            setattr(self, name, state[name])


class SaveLast(StatefulCallback):
    """Calls `save` after each epoch, unless an earlier one was clearly better.

    The best of many epochs is the luckiest on the validation images, and its figures on
    them are too good. So an epoch is left out only if its main validation top-1 is
    below the best one by more than two standard errors. images: of validation. save:
    None where another worker saves. best: the best top-1 so far. best_epoch: the saved
    one, from 1. stage: gives the stage of an epoch, from 0; epochs of different stages
    are not compared, since their validation images have different sizes.
    """

    STATE = ("best", "best_epoch")

    def __init__(
        self,
        save: Callable[[], None] | None,
        images: int,
        stage: Callable[[int], Stage],
    ) -> None:
        super().__init__()
        self._save, self._images, self._stage = save, images, stage
        self.best, self.best_epoch = -1.0, 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if not math.isfinite(logs["val_loss"]):
            return
        if self.best_epoch and self._stage(self.best_epoch - 1) != self._stage(epoch):
            self.best = -1.0
        top1 = logs["val_main_top1"]
        self.best = max(self.best, top1)
        if top1 >= self.best - CLEAR_DIFFERENCE * standard_error(top1, self._images):
            self.best_epoch = epoch + 1
            if self._save:
                self._save()


def standard_error(fraction: float, images: int) -> float:
    """The standard error of a fraction of `images`, which is not 0 at 0 and 1.

    Agresti and Coull's (1998), which adds two hits and two misses.
    """
    count = images + 4
    hits = (fraction * images + 2) / count
    return math.sqrt(hits * (1 - hits) / count)


class NonFiniteLossError(UserError):
    """The loss or a weight is not finite after a training step."""


class WatchLearning(StatefulCallback):
    """Ends a run whose loss is not finite or whose main head does not learn.

    chance: the cross-entropy of knowing the classes' frequencies and nothing else. A
    run too short to be judged ends with a warning.
    """

    STATE = ("steps",)

    def __init__(self, chance: float, warmup_steps: int, heads: Sequence[str]) -> None:
        super().__init__()
        self._chance, self._warmup_steps, self._heads = chance, warmup_steps, heads
        self.steps = 0
        self._problem: str | None = None

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self.steps += 1
        if not math.isfinite(logs["loss"]):
            raise NonFiniteLossError(
                f"the loss must stay finite; at step {self.steps} it was "
                f"{logs['loss']}. Lower --learning-rate, lengthen --warmup-epochs or "
                "lower --clip-norm; with mixed_float16, try --precision float32."
            )

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        dead_loss = DEAD_LOSS_FRACTION * self._chance
        losses = {head: logs[f"{head}_cross_entropy"] for head in self._heads}
        alive = [head for head, loss in losses.items() if loss < dead_loss]
        if "main" in alive:
            self._problem = None
            return
        problem = f"the main head is dead while {' and '.join(alive)} learned"
        self._problem = (
            f"{problem if alive else 'no head learns'}: after epoch {epoch + 1} the "
            "cross-entropies are "
            f"{', '.join(f'{head} {loss:.3f}' for head, loss in losses.items())}, and "
            f"chance is {self._chance:.3f}. Give it more --epochs, lower "
            "--learning-rate, lengthen --warmup-epochs, use --initialization he or "
            "--variant bn."
        )
        if self.steps - self._warmup_steps >= DEAD_HEAD_STEPS:
            raise UserError(self._problem)

    def warn(self) -> None:
        """Logs a warning if the main head had learned nothing by the last epoch."""
        if self._problem:
            log.warning(self._problem)


def chance_level(
    counts: Sequence[int] | None, classes: int, smoothing: float, none: float = 0.0
) -> float:
    """Cross-entropy of a network that has learned the classes' frequencies alone.

    It is that of the images of the classes. counts: images of each class; None: as many
    of each. none: the part of a batch that is of none of them, which has an output.
    """
    images = np.ones(classes) if counts is None else np.asarray(counts)
    frequencies = images / images.sum()
    spread = smoothing / (classes + (none > 0))
    predicted = (1 - smoothing) * (1 - none) * frequencies + spread
    present = frequencies > 0
    return float(-(frequencies[present] * np.log(predicted[present])).sum())


class WriteMetrics(keras.callbacks.Callback):
    """Appends a line per epoch to metrics.jsonl, with the metrics of every head.

    stage: gives the stage of an epoch, from 0.
    """

    def __init__(
        self,
        path: Path,
        heads: Sequence[str],
        batch_size: int,
        stage: Callable[[int], Stage],
    ) -> None:
        super().__init__()
        self._path, self._heads, self._batch_size = path, heads, batch_size
        self._stage = stage

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._images = 0  # an epoch that is resumed has fewer
        self._began = self._trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._images += self._batch_size

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        speed = self._images / max(self._trained - self._began, 1e-9)
        height, width = self._stage(epoch).size
        own = {"images_per_second": speed, "image_height": height, "image_width": width}
        logs.update(own)  # for the callbacks after this one
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        line = {
            "epoch": epoch + 1,
            "image_size": [height, width],
            "learning_rate": rate,
            "seconds": round(time.perf_counter() - self._began, 3),
            "images_per_second": round(speed, 1),
            "train": self._figures(logs, ""),
            "validation": self._figures(logs, "val_"),
        }
        append_json_line(self._path, line)

    def _figures(self, logs: Logs, prefix: str) -> dict[str, Any]:
        figures: dict[str, Any] = {"loss": logs[f"{prefix}loss"]}
        for head in self._heads:
            figures[head] = {
                "top1": logs[f"{prefix}{head}_top1"],
                "top5": logs.get(f"{prefix}{head}_top5"),
                "loss": logs[f"{prefix}{head}_cross_entropy"],
            }
        return figures


class LogEpochs(keras.callbacks.Callback):
    """Logs a line per epoch, and one a minute within a long epoch.

    It has the image size if there are several. The losses are cross-entropies of the
    main head, without label smoothing. steps: of an epoch. last_epoch, steps_done: give
    the number of the last epoch, and at the start of one how many of its steps an
    earlier process has done.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        steps: int,
        last_epoch: Callable[[], int],
        steps_done: Callable[[], int],
    ) -> None:
        super().__init__()
        self._stages, self._steps = stages, steps
        self._last_epoch, self._steps_done = last_epoch, steps_done

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch, self._logged = epoch, time.perf_counter()
        self._first_step = self._steps_done()

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        if time.perf_counter() - self._logged < SECONDS_BETWEEN_LINES:
            return
        self._logged = time.perf_counter()
        step = self._first_step + batch + 1
        self._log(self._epoch, f"step {step} of {self._steps}, {_figures(logs)}")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        speed = f"{logs['images_per_second']:.0f} images/s"
        text = f"{_figures(logs)}; validation {_figures(logs, 'val_')}; {speed}"
        self._log(epoch, text)

    def _log(self, epoch: int, text: str) -> None:
        name = f"epoch {epoch + 1}/{self._last_epoch()}"
        if len(self._stages) > 1:
            name += f" at {describe_size(stage_at(self._stages, epoch).size)} px"
        with suppress(BrokenPipeError):  # the reader has left; the run continues
            log.info(f"{name}: {text}")


def _figures(logs: Logs, prefix: str = "") -> str:
    loss, top1 = (logs[f"{prefix}main_{name}"] for name in ("cross_entropy", "top1"))
    return f"loss {loss:.3f}, top-1 {top1:.3f}"


class ProgressBar(keras.callbacks.ProgbarLogger):
    """Keras's progress bar with the metrics that fit on a line.

    last_epoch: gives the number of the last epoch, which may not be that of this fit.
    """

    FIGURES = {
        "main_cross_entropy": "loss",
        "main_top1": "top1",
        "val_main_top1": "val_top1",
        "val_main_cross_entropy": "val_loss",
    }

    def __init__(self, batch_size: int, last_epoch: Callable[[], int]) -> None:
        super().__init__()
        self._batch_size, self._last_epoch = batch_size, last_epoch

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began, self.epochs = time.perf_counter(), self._last_epoch()
        with suppress(BrokenPipeError):  # the reader has left; the run continues
            super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        speed = (batch + 1) * self._batch_size / (time.perf_counter() - self._began)
        with suppress(BrokenPipeError):
            super().on_train_batch_end(batch, self._select(logs, speed))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        with suppress(BrokenPipeError):
            super().on_epoch_end(epoch, self._select(logs, logs["images_per_second"]))

    def _select(self, logs: Logs, images_per_second: float) -> Logs:
        figures = {name: logs[key] for key, name in self.FIGURES.items() if key in logs}
        return figures | {"images/s": images_per_second}


class WriteEvents(keras.callbacks.TensorBoard):
    """Keras's TensorBoard callback; raises DiskError if the files cannot be written."""

    def set_model(self, model: keras.Model) -> None:
        self._call(super().set_model, model)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call(super().on_test_end, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call(super().on_epoch_end, epoch, logs)

    def _call(self, write: Callable[..., None], *arguments: Any) -> None:
        try:
            write(*arguments)
        except tf.errors.OpError as error:
            reason = str(error).strip().splitlines()[0]
            raise DiskError(f"{self.log_dir} cannot be written: {reason}.") from error
