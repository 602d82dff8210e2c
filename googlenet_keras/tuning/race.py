"""The race: trains the best trials and the network of even width again, in rounds.

A search trains each network once. Of a dozen the best is to a good part the luckiest:
its seed and the validation images suit it. In each round of the race all networks have
another seed and are judged by other images, the same for all, so that luck averages out
and what is left of it can be told.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.processes import ProcessError
from googlenet_keras.tuning.comparison import Difference, compare
from googlenet_keras.tuning.image_results import ImageResults
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.trainings import train_for_race, uniform_failed_error
from googlenet_keras.tuning.trials import (
    UNIFORM,
    TrainingFigures,
    TrialLog,
    TrialRow,
    describe_network,
)

log = logging.getLogger(__name__)

FIRST_CUT = 2  # the round after which a network may leave
LOSS_TOLERANCE = 1e-4  # of a mean that is computed again
Train = Callable[[str, Architecture, float, int], TrainingFigures]


@dataclass
class Racer:
    """A network in the race, with its results in each round until it left.

    name: of its trial, or "uniform". factor: on the learning rate. left: why it left;
    empty as long as it has not.
    """

    name: str
    arch: Architecture
    factor: float = 1.0
    rounds: list[ImageResults] = field(default_factory=list)
    left: str = ""

    @property
    def loss(self) -> float:
        """The mean of its rounds' mean losses."""
        return float(np.mean([result.loss.mean() for result in self.rounds]))

    @property
    def top1(self) -> float:
        """The mean of its rounds' top-1."""
        return float(np.mean([result.correct.mean() for result in self.rounds]))


class Race:
    """A race of the finalists against the network of even width."""

    def __init__(
        self, job: SearchJob, trials: TrialLog, finalists: Sequence[TrialRow]
    ) -> None:
        self._job, self._trials = job, trials
        self.train: Train = partial(train_for_race, job)
        self.uniform = Racer(UNIFORM, job.space.base)
        self.racers = [self.uniform, *map(_racer, finalists)]

    @property
    def running(self) -> list[Racer]:
        """The networks that have not left."""
        return [racer for racer in self.racers if not racer.left]

    def run(self) -> None:
        """Runs what is left of the race: what has been trained is read.

        It ends early if only the network of even width is left. Raises UserError if
        that cannot be trained.
        """
        rounds = self._job.config.rounds
        for number in range(1, rounds + 1):
            if len(self.running) == 1:
                return
            if self._trials.forecast:
                self._trials.forecast.racers = len(self.running)
            log.info(
                f"round {number} of {rounds} of the race, {len(self.running)} networks"
            )
            for racer in self.running:
                self._run_round(racer, number)
            if FIRST_CUT <= number < rounds:
                self._cut()

    def winner(self) -> Racer:
        """The network with the smallest loss, if it is better with 95 % confidence.

        Else the network of even width.
        """
        others = [x for x in self.running if x is not self.uniform and x.rounds]
        best = min(others, key=lambda racer: racer.loss, default=self.uniform)
        return best if self.is_better(best) else self.uniform

    def is_better(self, racer: Racer) -> bool:
        """Whether its loss is below even width's in the whole 95 % interval."""
        difference = None if racer.left else self.difference(racer)
        return bool(difference and difference["loss_interval"][1] < 0)

    def difference(self, racer: Racer) -> Difference | None:
        """Its difference to the network of even width; None if it ran no round."""
        if racer is self.uniform or not racer.rounds:
            return None
        return self._compare(racer, self.uniform)

    def _compare(self, first: Racer, second: Racer) -> Difference:
        race = [racer.rounds for racer in self.racers if racer.rounds]
        return compare(first.rounds, second.rounds, race)

    def nearest(self) -> Racer | None:
        """The finalist that comes nearest to being better: of the most rounds first."""
        found = [x for x in self.racers if x is not self.uniform and x.rounds]
        return min(found, key=lambda x: (-len(x.rounds), x.loss), default=None)

    def _run_round(self, racer: Racer, number: int) -> None:
        """Adds a round's results to `racer`; it leaves if its training fails."""
        name = f"{racer.name}-round-{number}"
        row = self._trials.find(name)
        result = self._read_results(racer, row) if row else None
        if row and not (result or row["reason"]):
            self._trials.remove(name)
            row = None
        if not row:
            row, result = self._train(racer, name, number)
        if result:
            racer.rounds.append(result)
        else:
            racer.left = f"its training failed: {row['reason']}"

    def _read_results(self, racer: Racer, row: TrialRow) -> ImageResults | None:
        """The results of a training on each image; None if they are damaged.

        None, too, for a training that has failed.
        """
        if row["reason"]:
            return None
        path = self._job.folder.image_results(row["trial"])
        try:
            result = ImageResults.load(path)
            is_same = Architecture.from_json(row["architecture"]) == racer.arch
            if not is_same or abs(result.loss.mean() - row["loss"]) > LOSS_TOLERANCE:
                raise UserError(f"{path} is of another training.")
        except UserError as error:
            log.warning("%s %s is trained again", error, row["trial"])
            return None
        return result

    def _train(
        self, racer: Racer, name: str, number: int
    ) -> tuple[TrialRow, ImageResults | None]:
        """Trains `racer` for a round and logs it. Raises UserError for even width."""
        facts = {
            "network": racer.name,
            "round": number,
            "learning_rate_factor": racer.factor,
        }
        try:
            figures = self.train(name, racer.arch, racer.factor, number)
        except ProcessError as error:
            if racer is self.uniform:
                way_out = ", or leave out the race with --finalists 0"
                raise uniform_failed_error(self._job, name, error, way_out) from error
            row = self._trials.add(name, "race", racer.arch, reason=str(error), **facts)
            return row, None
        result = ImageResults.load(self._job.folder.image_results(name))
        return self._trials.add(name, "race", racer.arch, **figures, **facts), result

    def _cut(self) -> None:
        """Lets networks leave that are worse than the best with 95 % confidence."""
        best = min(self.running, key=lambda racer: racer.loss)
        for racer in self.running:
            if racer is best or racer is self.uniform:
                continue
            difference = self._compare(racer, best)
            if difference["loss_interval"][0] > 0:
                racer.left = (
                    f"worse than {describe_network(best.name)} after round "
                    f"{difference['rounds']}, with 95 % confidence"
                )
                name = describe_network(racer.name)
                log.info("%s leaves the race: %s", name, racer.left)


def _racer(row: TrialRow) -> Racer:
    arch = Architecture.from_json(row["architecture"])
    return Racer(row["trial"], arch, row.get("learning_rate_factor", 1.0))
