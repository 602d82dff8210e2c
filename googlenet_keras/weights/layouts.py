"""Transforms from other frameworks' weight layouts to Keras's."""

from collections.abc import Callable

import numpy as np

Transform = Callable[[np.ndarray], np.ndarray]


def identity(value: np.ndarray) -> np.ndarray:
    """Returns `value`: a vector has the same layout everywhere."""
    return value


def transpose_kernel(value: np.ndarray) -> np.ndarray:
    """[out, in, height, width] to [height, width, in, out]."""
    return value.transpose(2, 3, 1, 0)


def reverse_input_channels(value: np.ndarray) -> np.ndarray:
    """A kernel [height, width, in, out] for BGR to one for RGB."""
    return value[:, :, ::-1]


def zero_pad_kernel(value: np.ndarray, size: int) -> np.ndarray:
    """Pads a kernel with zeros to `size` x `size`; the convolution stays the same."""
    before = (size - value.shape[0]) // 2
    after = size - value.shape[0] - before
    return np.pad(value, ((before, after), (before, after), (0, 0), (0, 0)))


def transpose_dense(value: np.ndarray) -> np.ndarray:
    """[out, in] to [in, out]; old Caffe files have [1, 1, out, in]."""
    return value.reshape(value.shape[-2:]).T


def transpose_flattened_dense(value: np.ndarray, channels: int) -> np.ndarray:
    """[out, channels * height * width] to [height * width * channels, out].

    For a dense layer after Flatten: Caffe and PyTorch flatten channel by channel, Keras
    pixel by pixel.
    """
    value = value.reshape(value.shape[-2:])
    maps = value.reshape(len(value), channels, -1)  # [out, channels, pixels]
    return maps.transpose(2, 1, 0).reshape(-1, len(value))


def compose(*transforms: Transform) -> Transform:
    """The transform that applies `transforms` from left to right."""

    def composed(value: np.ndarray) -> np.ndarray:
        for transform in transforms:
            value = transform(value)
        return value

    return composed
