"""Other frameworks' order of axes turned into Keras's, one function a kind of layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Turn = Callable[[np.ndarray], np.ndarray]


def as_it_is(value: np.ndarray) -> np.ndarray:
    """`value` itself: a vector has one order only."""
    return value


def from_oihw(value: np.ndarray) -> np.ndarray:
    """[out, in, height, width] to [height, width, in, out]."""
    return value.transpose(2, 3, 1, 0)


def reversed_input(value: np.ndarray) -> np.ndarray:
    """A kernel [height, width, in, out] for RGB in place of BGR."""
    return value[:, :, ::-1]


def widened(value: np.ndarray, size: int) -> np.ndarray:
    """A kernel in the middle of a larger one of zeros: the same outputs."""
    before = (size - value.shape[0]) // 2
    after = size - value.shape[0] - before
    return np.pad(value, ((before, after), (before, after), (0, 0), (0, 0)))


def dense(value: np.ndarray) -> np.ndarray:
    """[out, in] to [in, out]; Caffe's older files say [1, 1, out, in]."""
    return value.reshape(value.shape[-2:]).T


def after_flatten(value: np.ndarray, channels: int) -> np.ndarray:
    """[out, channels * height * width] to [height * width * channels, out].

    Others flatten a map channel by channel, Keras pixel by pixel.
    """
    value = value.reshape(value.shape[-2:])
    maps = value.reshape(len(value), channels, -1)  # [out, channels, pixels]
    return maps.transpose(2, 1, 0).reshape(-1, len(value))


def in_turn(*turns: Turn) -> Turn:
    """The turns one after the other."""

    def turn(value: np.ndarray) -> np.ndarray:
        for each in turns:
            value = each(value)
        return value

    return turn
