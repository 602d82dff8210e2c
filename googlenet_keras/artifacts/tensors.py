"""The input and output that every exported file has, whatever its runtime."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

IMAGE_INPUT, PROBABILITIES_OUTPUT = "image", "probabilities"  # of every file
NUMBER_TYPES = ("float32", "uint8", "int8")  # of an input or output


class Tensor(NamedTuple):
    """An input or output as a file claims it; a free side is None or a text."""

    type: str
    shape: Sequence[Any]


def check_tensors(
    inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
) -> tuple[tuple[int, int], int]:
    """The (height, width) of the image and the number of classes.

    Raises ValueError unless the file takes and gives what an exported file does.
    """
    none = Tensor("", ())
    image = inputs.get(IMAGE_INPUT, none)
    answer = outputs.get(PROBABILITIES_OUTPUT, none)
    sides = (*image.shape[1:], *answer.shape[1:])
    if not (
        len(inputs) == 1
        and {image.type, answer.type} <= {*NUMBER_TYPES}
        and (len(image.shape), len(answer.shape)) == (4, 2)
        and all(type(side) is int and side > 0 for side in sides)
        and image.shape[3] == 3
    ):
        found = [
            f"{n} {t.type} {list(t.shape)}" for n, t in {**inputs, **outputs}.items()
        ]
        raise ValueError(
            f"an exported file takes {IMAGE_INPUT}, [batch, height, width, 3], and "
            f"gives {PROBABILITIES_OUTPUT}, [batch, classes], in float32 or scaled "
            f"8-bit numbers; this one has {', '.join(found) or 'neither'}."
        )
    return (image.shape[1], image.shape[2]), answer.shape[1]
