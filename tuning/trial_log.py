"""trials.jsonl: a row for every training run of a search, failed ones included."""

import logging
import time
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.files import append_json_line, read_json_lines, write_bytes
from googlenet_keras.stopwatch import peak_megabytes
from tuning.job import SearchJob

log = logging.getLogger(__name__)


Status = Literal["completed", "failed", "baseline"]


class TrainingFigures(TypedDict):
    """Metrics of a completed training run.

    top1: of the best epoch, by head.
    """

    top1: dict[str, float]
    epochs: int
    seconds: float
    cpu_seconds: float
    peak_megabytes: float | None


class TrialRow(TrainingFigures):
    """A line of trials.jsonl.

    Of a training that failed, which has a reason, top1 and seconds are null and its
    other figures missing. learning_rate_factor: not of a baseline.
    """

    trial: str
    status: Status
    architecture: dict[str, Any]
    macs: int
    parameters: int
    megabytes: float
    milliseconds: float
    reason: str | None
    learning_rate_factor: NotRequired[float]
    search_peak_megabytes: float | None


class TrialLog:
    """The training runs of a search, each written to trials.jsonl when it ends."""

    def __init__(self, job: SearchJob) -> None:
        self._path, self._costs = job.folder.trial_log, job.budget.costs
        self._trials = job.config.trials
        self.rows = _read_rows(self._path)
        self._trials_before = len(self._trial_rows())
        self._start = time.monotonic()

    def __contains__(self, trial: str) -> bool:
        return any(row["trial"] == trial for row in self.rows)

    def add(
        self,
        trial: str,
        status: Status,
        arch: Architecture,
        outcome: TrainingFigures | str,
        **more: float,
    ) -> None:
        """Writes and logs the row of a training run.

        outcome: figures, or the reason of a failure.
        """
        row = {
            "trial": trial,
            "status": status,
            "architecture": arch.to_json(),
            **self._costs.all_of(arch),
            "top1": None,
            "seconds": None,
            "reason": None,
            **({"reason": outcome} if isinstance(outcome, str) else outcome),
            **more,
            "search_peak_megabytes": peak_megabytes(),
        }
        append_json_line(self._path, row)
        self.rows.append(cast(TrialRow, row))
        log.info(self._describe(self.rows[-1]))

    def check_any_completed(self) -> None:
        """Raises UserError if no trial was completed."""
        if not self.ranked():
            raise UserError(
                "a search needs one trial that completes, and all failed, the last "
                f"since {self.failure_reasons()[-1]} The logs are in trials/ of the "
                "run folder."
            )

    def failure_reasons(self) -> list[str]:
        """The reasons why trials failed, the latest one last."""
        return [row["reason"] or "" for row in self.rows if row["status"] == "failed"]

    def ranked(self) -> list[TrialRow]:
        """The completed trials by main top-1, the best and cheapest first."""
        rows = [row for row in self.rows if row["status"] == "completed"]
        return sorted(rows, key=lambda row: (-row["top1"]["main"], row["macs"]))

    def baselines(self) -> list[TrialRow]:
        """The completed baselines, the cheapest first."""
        rows = [r for r in self.rows if r["status"] == "baseline" and not r["reason"]]
        return sorted(rows, key=lambda row: row["macs"])

    def _trial_rows(self) -> list[TrialRow]:
        return [row for row in self.rows if row["status"] != "baseline"]

    def _describe(self, row: TrialRow) -> str:
        outcome = f"failed: {row['reason']}" if row["reason"] else _figures(row)
        if row["status"] == "baseline":
            return f"{row['trial']}: {outcome}"
        done, ranked = len(self._trial_rows()), self.ranked()
        line = f"trial {row['trial']}, {done} of {self._trials}: {outcome}"
        if ranked:
            line += f"; best {ranked[0]['top1']['main']:.4f}"
        left = max(self._trials - done, 0)  # a resumed search may have fewer
        seconds_each = (time.monotonic() - self._start) / (done - self._trials_before)
        minutes = seconds_each * left / 60
        return line + (f"; about {minutes:.0f} min left" if left else "")


def _figures(row: TrialRow) -> str:
    return (
        f"top-1 {row['top1']['main']:.4f} after {row['epochs']} epochs, "
        f"{row['macs'] / 1e6:.1f} M multiply-adds, {row['megabytes']:.2f} MB, "
        f"{row['milliseconds']:.2f} ms, {row['seconds']:.0f} s"
    )


def _read_rows(path: Path) -> list[TrialRow]:
    """Reads trials.jsonl and removes a last line that a kill has cut off."""
    if not path.exists():
        return []
    text = path.read_text()
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        write_bytes(path, complete.encode())
    return [cast(TrialRow, row) for row in read_json_lines(path)]
