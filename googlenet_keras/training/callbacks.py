"""What happens beside the steps: averaging, saving, watching, writing down."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.errors import DiskError, UserError
from googlenet_keras.files import append_json_line

STUCK = 0.99  # of chance's cross-entropy: a head above this has learnt nothing
STUCK_STEPS = 200  # after warm-up, before a head that learns nothing is called dead


class SaveBest(keras.callbacks.Callback):
    """Calls `save` after each epoch whose validation main top-1 is the best so far.

    The later of equals is the best: its learning rate was lower.
    """

    def __init__(self, save: Callable[[], None]) -> None:
        super().__init__()
        self._save = save
        self.best = -1.0
        self.best_epoch = 0

    def get_state(self) -> dict[str, Any]:
        """What `set_state` needs."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on as where `get_state` was called."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Compares and saves; weights that are not finite are never the best."""
        if math.isfinite(logs["val_loss"]) and logs["val_main_top1"] >= self.best:
            self.best, self.best_epoch = logs["val_main_top1"], epoch + 1
            self._save()


class NonFiniteLossError(UserError):
    """A step after which nothing more can be learnt."""


class WatchLearning(keras.callbacks.Callback):
    """Stops a run whose loss is not finite or whose main head does not learn.

    chance: the cross-entropy of knowing the classes' frequencies and nothing else. A
    run too short to be stopped ends with a warning.
    """

    def __init__(self, chance: float, warmup_steps: int, heads: Sequence[str]) -> None:
        super().__init__()
        self._chance = chance
        self._from_step = warmup_steps
        self._heads = heads
        self._steps = 0
        self._dead: str | None = None

    def get_state(self) -> dict[str, Any]:
        """What `set_state` needs."""
        return {"steps": self._steps}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on as where `get_state` was called."""
        self._steps = state["steps"]

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Raises NonFiniteLossError."""
        self._steps += 1
        if not math.isfinite(logs["loss"]):
            raise NonFiniteLossError(
                f"the loss must stay finite; at step {self._steps} it was "
                f"{logs['loss']}. Lower --learning-rate, lengthen --warmup-epochs or "
                "lower --clip-norm; with mixed_float16, try --precision float32."
            )

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Raises UserError for a main head that has learnt nothing for long."""
        learnt = {h: logs[f"{h}_cross_entropy"] < STUCK * self._chance
                  for h in self._heads}  # fmt: skip
        self._dead = None if learnt["main"] else self._message(epoch + 1, logs, learnt)
        if self._dead and self._steps - self._from_step >= STUCK_STEPS:
            raise UserError(self._dead)

    def warn(self) -> None:
        """Says at the end of a run that its last epoch still knew nothing."""
        if self._dead:
            print(f"warning: {self._dead}", file=sys.stderr)

    def _message(self, epoch: int, logs: dict, learnt: dict[str, bool]) -> str:
        losses = ", ".join(f"{h} {logs[f'{h}_cross_entropy']:.3f}" for h in self._heads)
        alive = [head for head, ok in learnt.items() if ok]
        what = (
            f"the main head is dead while {' and '.join(alive)} learnt"
            if alive
            else "no head learns"
        )
        return (
            f"{what}: after epoch {epoch} the cross-entropies are {losses}, and "
            f"chance is {self._chance:.3f}. Give it more --epochs, lower "
            "--learning-rate, lengthen --warmup-epochs, use --initialization he or "
            "--variant bn."
        )


class WriteMetrics(keras.callbacks.Callback):
    """Appends a line per epoch to metrics.jsonl: every figure of every head."""

    def __init__(self, path: Path, heads: Sequence[str], batch_size: int) -> None:
        super().__init__()
        self._path = path
        self._heads = heads
        self._batch_size = batch_size

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Starts the clock."""
        self._images = 0
        self._began = self._trained = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Counts the images; an epoch that is gone on with has fewer."""
        self._images += self._batch_size

    def on_test_begin(self, logs=None) -> None:
        """Training's part of the epoch is over."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Writes the line, and adds images per second to the bar."""
        speed = self._images / max(self._trained - self._began, 1e-9)
        logs["images_per_second"] = speed
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        line = {
            "epoch": epoch + 1,
            "learning_rate": rate,
            "seconds": round(time.perf_counter() - self._began, 3),
            "images_per_second": round(speed, 1),
            "train": self._figures(logs, ""),
            "validation": self._figures(logs, "val_"),
        }
        append_json_line(self._path, line)

    def _figures(self, logs: dict, prefix: str) -> dict[str, Any]:
        heads = {h: _head_figures(logs, f"{prefix}{h}_") for h in self._heads}
        return {"loss": logs[f"{prefix}loss"], **heads}


class ShortBar(keras.callbacks.ProgbarLogger):
    """Keras's progress bar with the figures that fit on a line."""

    def __init__(self, images_per_step: int) -> None:
        super().__init__()
        self._images_per_step = images_per_step

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Starts the clock and a new bar."""
        self._began = time.perf_counter()
        with suppress(BrokenPipeError):
            super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch, logs=None) -> None:
        """Moves the bar."""
        seconds = time.perf_counter() - self._began
        done = (batch + 1) * self._images_per_step
        with suppress(BrokenPipeError):  # who read it has gone; the run goes on
            super().on_train_batch_end(batch, _short(logs, done / seconds))

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Ends the bar with the validation's figures."""
        with suppress(BrokenPipeError):
            super().on_epoch_end(epoch, _short(logs, logs["images_per_second"]))


class Events(keras.callbacks.TensorBoard):
    """Keras's event files, whose errors are the disk's."""

    def set_model(self, model: keras.Model) -> None:
        """Opens the files. Raises DiskError."""
        with self._disk_errors():
            super().set_model(model)

    def on_test_end(self, logs=None) -> None:
        """Writes validation's figures. Raises DiskError."""
        with self._disk_errors():
            super().on_test_end(logs)

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Writes the epoch's figures. Raises DiskError."""
        with self._disk_errors():
            super().on_epoch_end(epoch, logs)

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            reason = str(error).strip().splitlines()[0]
            raise DiskError(f"{self.log_dir} cannot be written: {reason}.") from error


def _short(logs: dict, images_per_second: float) -> dict[str, float]:
    shown = {
        "loss": "loss",
        "main_top1": "top1",
        "val_main_top1": "val_top1",
        "val_main_cross_entropy": "val_loss",
    }
    short = {label: logs[key] for key, label in shown.items() if key in logs}
    return short | {"images/s": images_per_second}


def _head_figures(logs: dict, prefix: str) -> dict[str, float | None]:
    return {
        "top1": logs[f"{prefix}top1"],
        "top5": logs.get(f"{prefix}top5"),
        "loss": logs[f"{prefix}cross_entropy"],
    }
