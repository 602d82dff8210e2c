"""Sizes and padding of convolutions and max pooling along one axis."""


def convolution_padding(
    size: int, kernel: int, stride: int, rule: str
) -> tuple[int, int]:
    """Zeros that a convolution adds before and after an axis of `size` values.

    rule: "symmetric" and "floor" pad (kernel - 1) / 2 on both sides, as Caffe and
    PyTorch do; "same" pads what TensorFlow's SAME does: 2 before and 3 after for 7x7/2
    on 224.
    """
    if rule == "same":
        return _same(size, kernel, stride)
    return (kernel - 1) // 2, (kernel - 1) // 2


def pool_padding(size: int, window: int, stride: int, rule: str) -> tuple[int, int]:
    """Zeros that max pooling adds before and after an axis of `size` values.

    rule: "symmetric" is Caffe's ceil mode, padded at the end only; "floor" is not
    padded if the stride is above 1; "same" is TensorFlow's SAME.
    """
    if stride == 1 or rule == "same":
        return _same(size, window, stride)
    if rule == "floor":
        return 0, max(window - size, 0)  # one whole window at least
    outputs = -(-max(size - window, 0) // stride) + 1
    return 0, max((outputs - 1) * stride + window - size, 0)


def convolved(size: int, kernel: int, stride: int, rule: str) -> int:
    """Output size of a convolution along an axis of `size` values."""
    padding = convolution_padding(size, kernel, stride, rule)
    return outputs(size, kernel, stride, padding)


def pooled(size: int, window: int, stride: int, rule: str) -> int:
    """Output size of max pooling along an axis of `size` values."""
    return outputs(size, window, stride, pool_padding(size, window, stride, rule))


def outputs(size: int, window: int, stride: int, padding: tuple[int, int]) -> int:
    """The number of windows on a padded axis."""
    return (size + sum(padding) - window) // stride + 1


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
