"""The stages of a run whose image size changes, as --image-sizes or --grow have it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.errors import UserError

GROWTH = ((5 / 8, 24), (3 / 4, 14), (1, 17))  # parts of a side, and of the epochs
MIN_GROWING_SIDE = 32
STAGE_PATTERN = re.compile(r"([0-9]{1,6})(?:x([0-9]{1,6}))?:([0-9]{1,6})", re.ASCII)


@dataclass(frozen=True)
class Stage:
    """The epochs from `start` to before `end`, counted from 0, at one image size.

    size: height and width in pixels.
    """

    start: int
    end: int
    size: tuple[int, int]


def parse_stages(texts: Sequence[str]) -> tuple[Stage, ...]:
    """The stages that texts such as "80:24" and "96x128:10" describe, in their order.

    A text is SIZE:EPOCHS, where SIZE is one number of pixels or HEIGHTxWIDTH. Sizes may
    also shrink: nothing depends on their order, and the last is the network's. Raises
    UserError.
    """
    stages: list[Stage] = []
    for text in texts:
        match = STAGE_PATTERN.fullmatch(text)
        if not match or not int(match[3]):
            raise UserError(
                "image_sizes must be SIZE:EPOCHS each, with at least one epoch, such "
                f"as 80:24 or 96x128:10; received {text!r:.200}."
            )
        size = height_and_width((int(match[1]), int(match[2] or match[1])))
        start = stages[-1].end if stages else 0
        stages.append(Stage(start, start + int(match[3]), size))
    return tuple(stages)


def growing_stages(epochs: int, size: tuple[int, int]) -> tuple[Stage, ...]:
    """The stages of `epochs` epochs whose images grow to `size`, height and width.

    Of few epochs the last stages have one each, and of small sizes several are one.
    """
    whole, done = sum(part for _, part in GROWTH), 0
    starts: dict[tuple[int, int], int] = {}  # by size
    for factor, part in GROWTH:
        height, width = (min(x, max(MIN_GROWING_SIDE, round(x * factor))) for x in size)
        starts.setdefault((height, width), epochs * done // whole)
        done += part
    ends = [*[*starts.values()][1:], epochs]
    stages = zip(starts.values(), ends, starts, strict=True)
    return tuple(Stage(*stage) for stage in stages if stage[0] < stage[1])


def check_epochs_and_size(
    stages: Sequence[Stage], epochs: int | None, image_size: tuple[int, ...]
) -> None:
    """Raises UserError unless `epochs` and `image_size`, if given, are the stages'."""
    if not stages:
        return
    end, size = stages[-1].end, stages[-1].size
    if epochs not in (None, end):
        raise UserError(
            f"the epochs of image_sizes sum to those of the run; they sum to {end}, "
            f"and epochs is {epochs}. Leave epochs out."
        )
    if image_size and height_and_width(image_size) != size:
        raise UserError(
            "the last of image_sizes is the network's image size; it is "
            f"{describe_size(size)}, and image_size is "
            f"{describe_size(height_and_width(image_size))}. Leave image_size out."
        )


def stage_at(stages: Sequence[Stage], epoch: int) -> Stage:
    """The stage of an epoch, counted from 0."""
    return next(stage for stage in stages if epoch < stage.end)


def describe_size(size: tuple[int, int]) -> str:
    """Height and width as text, such as "96 x 128"."""
    return f"{size[0]} x {size[1]}"
