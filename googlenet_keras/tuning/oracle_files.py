"""The content of keras-tuner's files, which a search checks before it reads them."""

from typing import NotRequired, TypedDict


class PromotedTrial(TypedDict):
    """A trial of a Hyperband round, and the trial whose widths it has again."""

    past_id: str | None
    id: str


class Bracket(TypedDict):
    """A bracket of Hyperband."""

    bracket_num: int
    rounds: list[list[PromotedTrial]]


class OracleState(TypedDict):
    """The content of keras-tuner's oracle.json; the last three are Hyperband's."""

    ongoing_trials: dict[str, str]
    start_order: list[str]
    end_order: list[str]
    run_times: dict[str, int]
    retry_queue: list[str]
    seed_state: int
    tried_so_far: list[str]
    id_to_hash: dict[str, str | None]
    brackets: NotRequired[list[Bracket]]
    current_bracket: NotRequired[int]
    current_iteration: NotRequired[int]


class TrialState(TypedDict):
    """The content of keras-tuner's trial.json."""

    trial_id: str
    status: str
    score: float | None
