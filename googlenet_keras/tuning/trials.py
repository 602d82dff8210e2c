"""The log of a search's trainings, trials.jsonl."""

import json
import logging
import re
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Protocol, TypedDict, cast

from msgspec import Meta

from googlenet_keras import files
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.stopwatch import Spent, peak_megabytes
from googlenet_keras.tuning.budget import COST_NAMES
from googlenet_keras.tuning.job import SearchJob

log = logging.getLogger(__name__)

UNIFORM = "uniform"  # the name of the network of even width, of the budget's size
TRIAL_NAME = re.compile("[0-9]{1,6}")  # keras-tuner's; others have other names
Status = Literal["completed", "failed", "baseline", "race"]
ProposalName = Literal["uniform", "gammas", "clusters", "tuner"]
Amount = Annotated[float, Meta(ge=0, le=1e18)]
Count = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]


class TrainingFigures(Spent):
    """Metrics of the weights that a training has saved, and its epochs.

    loss: the main head's mean cross-entropy in nats. top1: of each head. images: how
    many have judged.
    """

    loss: Amount
    top1: dict[str, Fraction]
    images: Count
    epochs: Count


class _Row(TypedDict):
    """A line of trials.jsonl. search_seconds: of the whole search until then.

    learning_rate_factor: not of a baseline. proposal, hyperparameters (keras-tuner's):
    of a trial alone; older ones do not say who proposed their widths. network, round:
    of a race; the network is a trial's name or "uniform".
    """

    trial: str
    architecture: dict[str, Any]
    macs: Count
    parameters: Count
    megabytes: Amount
    milliseconds: Amount
    learning_rate_factor: NotRequired[Amount]
    proposal: NotRequired[ProposalName]
    hyperparameters: NotRequired[dict[str, Any]]
    network: NotRequired[str]
    round: NotRequired[Count]
    search_peak_megabytes: NotRequired[float | None]
    search_seconds: NotRequired[Amount]


class FailedRow(_Row):
    """A line of a training that failed."""

    status: Literal["failed", "baseline", "race"]
    reason: str
    loss: None
    top1: None
    seconds: None


class TrialRow(_Row, TrainingFigures):
    """A line of trials.jsonl, of a training that was completed if `reason` is None.

    A FailedRow is handled as one, too: without figures.
    """

    status: Status
    reason: str | None


class TimeLeft(Protocol):
    """A forecast of the time left; its module imports this one.

    racers: networks of the race that have not left.
    """

    racers: int

    def describe(self) -> str: ...


class _OlderRowError(Exception):
    """A line has no loss, which every version writes that minimizes it."""


class TrialLog:
    """The training runs of a search, each written to trials.jsonl when it ends.

    forecast: tells the time left; None before a network of the search was trained.
    Raises UserError for the log of an older version.
    """

    forecast: TimeLeft | None = None

    def __init__(self, job: SearchJob) -> None:
        self._job = job
        self.rows: list[TrialRow] = []
        if (path := job.folder.trial_log).exists():
            self.rows = read_rows(path)
            self._write()
        before = max((row.get("search_seconds", 0) for row in self.rows), default=0)
        self._start = time.monotonic() - before

    @property
    def seconds(self) -> float:
        """The seconds that the search has taken, those before --resume included."""
        return round(time.monotonic() - self._start, 1)

    def __contains__(self, trial: str) -> bool:
        return any(row["trial"] == trial for row in self.rows)

    def add(
        self, trial: str, status: Status, arch: Architecture, **more: Any
    ) -> TrialRow:
        """Writes, logs and returns a row; `more` has figures, or why there are none."""
        row = {
            "trial": trial,
            "status": status,
            "architecture": arch.to_json(),
            **{name: self._job.budget.costs.of(arch, name) for name in COST_NAMES},
            **dict.fromkeys(("loss", "top1", "seconds", "reason")),
            **more,
            "search_peak_megabytes": peak_megabytes(),
            "search_seconds": self.seconds,
        }
        files.append_json_line(self._job.folder.trial_log, row)
        self.rows.append(cast(TrialRow, row))
        left = self.forecast.describe() if self.forecast else ""
        log.info(
            self._job.prefix + self._describe(self.rows[-1]) + (left and f"; {left}")
        )
        return self.rows[-1]

    def remove(self, trial: str) -> None:
        """Removes a row, so that its training can be repeated."""
        self.rows = [row for row in self.rows if row["trial"] != trial]
        self._write()

    def _write(self) -> None:
        text = "".join(json.dumps(row) + "\n" for row in self.rows)
        files.write_bytes(self._job.folder.trial_log, text.encode())

    def check_any_completed(self) -> None:
        """Raises UserError if no trial was completed."""
        if not self.ranking():
            failed = self.with_status("failed")
            if not failed:
                raise UserError(
                    "a search needs one trial that completes, and none was started: "
                    "nothing new fits the budget. Raise a limit."
                )
            raise UserError(
                f"a search needs one trial that completes; {len(failed)} failed, the "
                f"last since {failed[-1]['reason']} The logs are in trials/ of the run "
                "folder."
            )

    def with_status(self, status: Status) -> list[TrialRow]:
        """The rows with this status, the latest last."""
        return [row for row in self.rows if row["status"] == status]

    def find(self, trial: str) -> TrialRow | None:
        """The row of this name, if there is one."""
        return next((row for row in self.rows if row["trial"] == trial), None)

    def trials(self) -> list[TrialRow]:
        """The rows of keras-tuner's trials, the latest last."""
        return [row for row in self.rows if row["status"] in ("completed", "failed")]

    def ranking(self) -> list[TrialRow]:
        """The completed trials by loss, best first, and then by cost."""
        rows = self.with_status("completed")
        return sorted(rows, key=lambda row: (row["loss"], row["macs"]))

    def races(self) -> list[TrialRow]:
        """The completed trainings of the race."""
        return [row for row in self.with_status("race") if not row["reason"]]

    def baselines(self) -> list[TrialRow]:
        """The completed baselines, the cheapest first."""
        rows = [row for row in self.with_status("baseline") if not row["reason"]]
        return sorted(rows, key=lambda row: row["macs"])

    def _describe(self, row: TrialRow) -> str:
        outcome = f"failed: {row['reason']}"
        if not row["reason"]:
            outcome = (
                f"loss {row['loss']:.4f}, top-1 {row['top1']['main']:.4f} "
                f"after {row['epochs']} epochs, "
                f"{row['macs'] / 1e6:.1f} M multiply-adds, {row['megabytes']:.2f} MB, "
                f"{row['milliseconds']:.2f} ms, {row['seconds']:.0f} s"
            )
        if row["status"] == "baseline":
            return f"{row['trial']}: {outcome}"
        if row["status"] == "race":
            return (
                f"round {row['round']}, {describe_network(row['network'])}: {outcome}"
            )
        trials, done = self._job.config.trials, len(self.trials())
        line = f"trial {trial_label(row)}, {done} of {trials}: {outcome}"
        if ranked := self.ranking():
            line += f"; best loss {ranked[0]['loss']:.4f}"
        return line


def describe_network(trial: str) -> str:
    """A network's name in a sentence: "trial 7" or "GoogLeNet of even width"."""
    return "GoogLeNet of even width" if trial == UNIFORM else f"trial {trial}"


def trial_label(row: TrialRow) -> str:
    """The name of a training, and who proposed its widths if not keras-tuner."""
    proposal = row.get("proposal", "tuner")
    return row["trial"] if proposal == "tuner" else f"{row['trial']} ({proposal})"


def read_rows(path: Path) -> list[TrialRow]:
    """Reads trials.jsonl without its damaged lines.

    Raises UserError for the log of an older version.
    """
    try:
        return files.read_json_lines(path, _check_row, skip_damaged=True)
    except _OlderRowError as error:
        raise UserError(
            f"a search compares its trainings by their loss; those in {path} have "
            "none, since an older version of this program has written them. Start "
            "another search in a new --run-folder."
        ) from error


def _check_row(row: dict[str, Any]) -> Any:
    """The row as a FailedRow or a completed TrialRow, or raises UserError."""
    if "top1" in row and "loss" not in row:
        raise _OlderRowError
    kind = FailedRow if row.get("reason") else TrialRow
    checked = files.convert(row, kind, "a trial")
    Architecture.from_json(checked["architecture"])
    if kind is TrialRow and (
        checked["status"] == "failed" or "main" not in checked["top1"]
    ):
        raise UserError("a trial has figures, or it has failed and gives a reason.")
    is_trial = checked["status"] in ("completed", "failed")
    if is_trial and not TRIAL_NAME.fullmatch(checked["trial"]):
        raise UserError(f"a trial's name is a number, not {checked['trial']!r:.100}.")
    return checked
