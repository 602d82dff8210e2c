"""Trains the networks of a search in child processes and logs each in trials.jsonl."""

import json
import logging
import re
import shutil
import sys
import time
from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

from msgspec import Meta

from googlenet_keras import files
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.stopwatch import Spent, Stopwatch, peak_megabytes
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.tuning.budget import COST_NAMES
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.space import Values

log = logging.getLogger(__name__)

TRIAL_NAME = re.compile("[0-9]{1,6}")  # keras-tuner's; a baseline has another
Status = Literal["completed", "failed", "baseline"]
Amount = Annotated[float, Meta(ge=0, le=1e18)]
Count = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]


class TrainingFigures(Spent):
    """Metrics of a completed training run."""

    top1: dict[str, Fraction]  # of the saved epoch, by head
    epochs: Count


class _Row(TypedDict):
    """A line of trials.jsonl.

    learning_rate_factor, hyperparameters (keras-tuner's): not of a baseline.
    """

    trial: str
    architecture: dict[str, Any]
    macs: Count
    parameters: Count
    megabytes: Amount
    milliseconds: Amount
    learning_rate_factor: NotRequired[Amount]
    hyperparameters: NotRequired[dict[str, Any]]  # missing in older versions' lines
    search_peak_megabytes: NotRequired[float | None]


class FailedRow(_Row):
    """A line of a training that failed."""

    status: Literal["failed", "baseline"]
    reason: str
    top1: None
    seconds: None


class TrialRow(_Row, TrainingFigures):
    """A line of trials.jsonl, of a training that was completed if `reason` is None.

    A FailedRow is handled as one, too: without figures.
    """

    status: Status
    reason: str | None


class TrialLog:
    """The training runs of a search, each written to trials.jsonl when it ends."""

    def __init__(self, job: SearchJob) -> None:
        self._job, self._start = job, time.monotonic()
        self.rows: list[TrialRow] = []
        if (path := job.folder.trial_log).exists():
            self.rows = files.read_json_lines(path, _check_row, skip_damaged=True)
            text = "".join(json.dumps(row) + "\n" for row in self.rows)
            files.write_bytes(path, text.encode())
        self._trials_before = len(self.rows) - len(self.with_status("baseline"))

    def __contains__(self, trial: str) -> bool:
        return any(row["trial"] == trial for row in self.rows)

    def add(self, trial: str, status: Status, arch: Architecture, **more: Any) -> None:
        """Writes and logs a row; `more` has figures, or the reason of a failure."""
        row = {
            "trial": trial,
            "status": status,
            "architecture": arch.to_json(),
            **{name: self._job.budget.costs.of(arch, name) for name in COST_NAMES},
            **{"top1": None, "seconds": None, "reason": None},
            **more,
            "search_peak_megabytes": peak_megabytes(),
        }
        files.append_json_line(self._job.folder.trial_log, row)
        self.rows.append(cast(TrialRow, row))
        log.info(self._describe(self.rows[-1]))

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

    def ranking(self) -> list[TrialRow]:
        """The completed trials by main top-1, best first, and then by cost."""
        rows = self.with_status("completed")
        return sorted(rows, key=lambda row: (-row["top1"]["main"], row["macs"]))

    def baselines(self) -> list[TrialRow]:
        """The completed baselines, the cheapest first."""
        rows = [row for row in self.with_status("baseline") if not row["reason"]]
        return sorted(rows, key=lambda row: row["macs"])

    def _describe(self, row: TrialRow) -> str:
        outcome = f"failed: {row['reason']}"
        if not row["reason"]:
            outcome = (
                f"top-1 {row['top1']['main']:.4f} after {row['epochs']} epochs, "
                f"{row['macs'] / 1e6:.1f} M multiply-adds, {row['megabytes']:.2f} MB, "
                f"{row['milliseconds']:.2f} ms, {row['seconds']:.0f} s"
            )
        if row["status"] == "baseline":
            return f"{row['trial']}: {outcome}"
        trials = self._job.config.trials
        done = len(self.rows) - len(self.with_status("baseline"))
        line = f"trial {row['trial']}, {done} of {trials}: {outcome}"
        if ranked := self.ranking():
            line += f"; best {ranked[0]['top1']['main']:.4f}"
        left = max(trials - done, 0)  # a resumed search may have fewer
        seconds_each = (time.monotonic() - self._start) / (done - self._trials_before)
        minutes = seconds_each * left / 60
        return line + (f"; about {minutes:.0f} min left" if left else "")


def _check_row(row: dict[str, Any]) -> Any:
    """The row as a FailedRow or a completed TrialRow, or raises UserError."""
    kind = FailedRow if row.get("reason") else TrialRow
    checked = files.convert(row, kind, "a trial")
    Architecture.from_json(checked["architecture"])
    if kind is TrialRow and (
        checked["status"] == "failed" or "main" not in checked["top1"]
    ):
        raise UserError("a trial has figures, or it has failed and gives a reason.")
    if checked["status"] != "baseline" and not TRIAL_NAME.fullmatch(checked["trial"]):
        raise UserError(f"a trial's name is a number, not {checked['trial']!r:.100}.")
    return checked


def train_trial(
    job: SearchJob, name: str, values: Values, arch: Architecture | None = None
) -> TrainingFigures:
    """Trains the network that `values` describe, or `arch`, in trials/<name>.

    An unfinished earlier attempt is removed first. Raises ProcessError.
    """
    folder = job.folder.trials
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / name, ignore_errors=True)
    file = folder / f"{name}.json"
    files.write_json(file, (arch or job.space.to_architecture(values)).to_json())
    config = job.training(
        values.get("learning_rate", 1.0),
        architecture=file,
        run_folder=folder / name,
        checkpoint_minutes=0.0,
        epochs=values.get("tuner/epochs") or job.config.epochs,  # Hyperband's
    )
    with child_process(folder / f"{name}.log") as call:
        return call(_train, config)


def _train(config: TrainConfig) -> TrainingFigures:
    from googlenet_keras.training.trainer import train_network

    stopwatch = Stopwatch()
    trained = train_network(config)
    assert trained  # None only in further workers of one run
    folder = trained.job.folder
    lines = folder.read_epochs()
    saved = lines[trained.best_epoch - 1]["validation"]
    heads = trained.classifier.heads
    shutil.rmtree(folder.classifier)  # trials are many, and nobody uses their weights
    return {
        "top1": {head: saved[head]["top1"] for head in heads},
        "epochs": len(lines),
        **stopwatch.spent(),
    }


def train_baselines(job: SearchJob, trials: TrialLog) -> None:
    """Trains each baseline once, for as many epochs as the longest trial."""
    full = job.training(1.0).to_architecture()
    networks = {f"width-{x:g}": full.scale_width(x) for x in job.config.baselines}
    if job.space.base not in networks.values():
        networks["uniform"] = job.space.base
    for name, arch in networks.items():
        if name not in trials:
            try:
                trials.add(name, "baseline", arch, **train_trial(job, name, {}, arch))
            except ProcessError as error:
                trials.add(name, "baseline", arch, reason=str(error))


def retrain_best(job: SearchJob, best: TrialRow) -> None:
    """Trains the best network in full and exports it; exits if a check fails."""
    name = f"retrained-{best['trial']}-{job.config.retrain_epochs}-epochs"
    config = job.training(
        best.get("learning_rate_factor", 1.0),
        architecture=job.folder.best_architecture,
        variant=best["architecture"]["name"],
        run_folder=job.folder.path / name,
        resume=True,  # an earlier attempt may have been killed
        epochs=job.config.retrain_epochs,
    )
    with child_process(log=None) as call:  # which leaves a GPU free at its end
        try:
            passed = call(_train_and_export, config)
        except ProcessError as error:
            raise UserError(str(error)) from error
    if not passed:
        sys.exit(1)


def _train_and_export(config: TrainConfig) -> bool:
    from googlenet_keras.evaluation.tables import print_figures
    from googlenet_keras.exporting.report import print_report
    from googlenet_keras.exports import export
    from googlenet_keras.runs import train

    run = train(config)
    assert run  # None only in further workers of one run
    print_figures({part: run.result[part] for part in ("validation", "test")})
    bundle = export(run)
    print_report(bundle.report)
    log.info("everything is in %s", bundle.folder)
    return bundle.passed
