"""The shape of the counters and records in a checkpoint."""

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

MAX_ROLLBACKS = 3  # before a loss that is not finite ends a run

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]


class _Learning(TypedDict):
    """The state of WatchLearning."""

    steps: Count


class _Best(TypedDict):
    """The state of SaveLast."""

    best: Annotated[float, Meta(ge=-1, le=1)]
    best_epoch: Count


class _Patience(TypedDict):
    """The state of Patience."""

    best_loss: float
    waited_epochs: Count
    skipped_epochs: Count


class _Average(TypedDict):
    """The state of AverageWeights."""

    step: Count
    swapped_in: bool


class Progress(TypedDict):
    """The counters and records in a checkpoint. spent: wall and CPU seconds."""

    epoch: Count
    step: Count
    rollbacks: Annotated[int, Meta(ge=0, le=MAX_ROLLBACKS)]
    spent: tuple[Seconds, Seconds]
    data: dict[str, Any]
    learning: _Learning
    best: _Best
    average: NotRequired[_Average]
    patience: NotRequired[_Patience]
