"""Plans a search: what fits into --minutes, and how long it still takes."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import median

from googlenet_keras.errors import UserError
from googlenet_keras.installation import command_line
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.oracle import trial_epochs
from googlenet_keras.tuning.trials import UNIFORM, TrialLog

log = logging.getLogger(__name__)

MIN_TRIALS = 4  # even width, and as many others as race by default


@dataclass(frozen=True)
class Pace:
    """Wall seconds of a training: once, to start and be judged; and of each epoch."""

    once: float
    epoch: float

    def training(self, epochs: int) -> float:
        """The seconds of a training of `epochs` epochs."""
        return self.once + epochs * self.epoch


def measure_pace(job: SearchJob, trials: TrialLog) -> Pace:
    """The pace of the network of even width, which a search trains first."""
    row = trials.find(UNIFORM)
    assert row, "the network of even width is trained first"
    epochs = [row["seconds"] / max(row["epochs"], 1)]
    with suppress(UserError):  # somebody has removed its folder
        folder = RunFolder(job.folder.trials / UNIFORM)
        epochs = [epoch["seconds"] for epoch in folder.read_epochs()] or epochs
    epoch = median(epochs)
    return Pace(max(0.0, row["seconds"] - row["epochs"] * epoch), epoch)


def forecast_search(job: SearchJob, trials: TrialLog) -> "Forecast":
    """The forecast of a search whose network of even width is trained."""
    return Forecast(job, trials, measure_pace(job, trials))


class Forecast:
    """Predicts what a search still takes from what its trainings have taken.

    pace: of even width. racers: networks of the race that have not left.
    """

    def __init__(self, job: SearchJob, trials: TrialLog, pace: Pace) -> None:
        self._job, self._trials, self._pace = job, trials, pace
        self._start, self._rows_before = time.monotonic(), len(trials.rows)
        self.racers = job.config.finalists and 1 + job.config.finalists

    def describe(self) -> str:
        """The time left, as "about 48 min left"; empty at the end."""
        left = self.seconds()
        return f"about {describe_duration(left)} left" if left else ""

    def seconds(self) -> float:
        """The wall seconds of what is to be trained."""
        return self._slowness() * sum(map(self._pace.training, self._epochs_left()))

    def _slowness(self) -> float:
        """The seconds of the trainings that have ended, divided by those expected."""
        rows = [x for x in self._trials.rows[self._rows_before :] if x["seconds"] != 0]
        longest = self._job.config.epochs or 1  # resolved
        epochs = [row.get("epochs", longest) for row in rows]  # a failure has none
        expected = sum(map(self._pace.training, epochs))
        return (time.monotonic() - self._start) / expected if expected else 1.0

    def _epochs_left(self) -> list[int]:
        """The epochs of each training to come."""
        config, ended = self._job.config, self._trials.trials()
        longest = config.epochs or 1  # resolved
        epochs = trial_epochs(config, ended)
        if not ended and epochs[0] == longest:
            epochs = epochs[1:]  # even width is not trained again
        retrained = f"retrained-*-{config.retrain_epochs}-epochs/result.json"
        is_retrained = any(self._job.folder.path.glob(retrained))
        retraining = config.retrain_epochs if config.retrain else None
        return [
            *epochs[len(ended) :],
            *[longest] * self._race_trainings_left(),
            *([retraining] if retraining and not is_retrained else []),
        ]

    def _race_trainings_left(self) -> int:
        numbers = [row["round"] for row in self._trials.with_status("race")]
        now = max(numbers, default=1)
        in_round = max(0, self.racers - numbers.count(now))
        return in_round + self.racers * max(0, self._job.config.rounds - now)


def plan_searches(jobs: Sequence[SearchJob], seconds: float) -> list[SearchJob]:
    """The jobs with as many trials and finalists as fit into `seconds`.

    Several divide the time by what they would take without a limit. Raises UserError
    if the least does not fit.
    """
    costs = [forecast_search(job, TrialLog(job)).seconds() for job in jobs]
    shares = divide(seconds, costs)
    return [_plan(job, share) for job, share in zip(jobs, shares, strict=True)]


def divide(seconds: float, costs: Sequence[float]) -> list[float]:
    """Divides `seconds` in proportion to the costs; evenly if nothing costs."""
    total = sum(costs)
    if not total:
        return [seconds / len(costs)] * len(costs)
    return [seconds * cost / total if cost else 0.0 for cost in costs]


def _plan(job: SearchJob, seconds: float) -> SearchJob:
    """`job` with as much as fits into `seconds`; says it. Raises UserError."""
    trials = TrialLog(job)
    pace, needed, candidate = measure_pace(job, trials), 0.0, job
    for candidate in _candidates(job, trials, pace, seconds):
        needed = Forecast(candidate, trials, pace).seconds()
        if needed <= max(0.0, seconds):
            break
    else:
        if not trials.with_status("race"):  # then the trials are over
            raise _too_little_error(candidate, needed, max(0.0, seconds))
    if needed:
        plan = job.prefix + _describe(candidate)
        log.info(f"{plan}: about {describe_duration(needed)}")
    return candidate


def _too_little_error(job: SearchJob, needed: float, seconds: float) -> UserError:
    short = math.ceil((needed - seconds) / 60)
    return UserError(
        f"a search within --minutes has at least {_describe(job)}; these take about "
        f"{describe_duration(needed)}, and {describe_duration(seconds)} are left for "
        f"them. Add at least {short} to --minutes with {command_line('search')} "
        f"--resume --run-folder {job.resumed_folder}, or leave out the race with "
        "--finalists 0, or start another search with fewer --epochs."
    )


def _candidates(
    job: SearchJob, trials: TrialLog, pace: Pace, seconds: float
) -> Iterator[SearchJob]:
    """The job, then with fewer and fewer trials, at the end with fewer finalists."""
    yield job
    config, ended = job.config, len(trials.trials())
    racing = {row["network"] for row in trials.with_status("race")}
    least = max(ended, 1 if racing else min(MIN_TRIALS, config.trials))
    # no more of the shortest trainings fit; it may be infinite
    most = ended + 2 + min(seconds / max(pace.training(1), 1e-9), config.trials)
    fewest = config
    for count in range(min(config.trials, max(least, int(most))), least - 1, -1):
        fewer = replace(config, trials=count)
        if config.epochs in trial_epochs(fewer, trials.trials()):
            fewest = fewer
            yield replace(job, config=fewest)
    fewest_finalists = max(1, len(racing) - 1)  # a race goes on with its networks
    for finalists in range(config.finalists - 1, fewest_finalists - 1, -1):
        yield replace(job, config=replace(fewest, finalists=finalists))


def plan_race(
    job: SearchJob, trials: TrialLog, forecast: Forecast, seconds: float
) -> SearchJob:
    """`job` with as many finalists as fit into `seconds`, at least one."""
    finalists = job.config.finalists
    if not finalists or trials.with_status("race"):
        return job
    while forecast.seconds() > seconds and forecast.racers > 2:
        forecast.racers -= 1
    if forecast.seconds() > seconds:
        late = describe_duration(forecast.seconds() - max(0.0, seconds))
        log.warning(f"what is left takes about {late} longer than --minutes allows")
    if forecast.racers <= finalists:
        log.info(
            f"{forecast.racers - 1} of {finalists} finalists race: the trials took "
            "longer than planned"
        )
    return replace(job, config=replace(job.config, finalists=forecast.racers - 1))


def _describe(job: SearchJob) -> str:
    """A plan as "12 trials of 18 epochs, race of 4 networks, 3 rounds"."""
    config, up_to = job.config, "up to " if job.config.tuner == "hyperband" else ""
    parts = [f"{config.trials} trials of {up_to}{config.epochs} epochs"]
    if config.finalists:
        parts += [f"race of {config.finalists + 1} networks", f"{config.rounds} rounds"]
    if config.retrain:
        parts.append(f"retraining of {config.retrain_epochs} epochs")
    return ", ".join(parts)


def describe_duration(seconds: float) -> str:
    """A duration as "40 s", "48 min" or "1 h 52 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
