"""The networks of a search that has ended, and which of them it hands over."""

from dataclasses import dataclass
from functools import cached_property

from googlenet_keras.tuning.finalists import best_trial
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.race import Race
from googlenet_keras.tuning.trials import TrialLog, TrialRow


@dataclass(frozen=True)
class Networks:
    """A search's trials and baselines, and its race, which is None without one."""

    job: SearchJob
    trials: TrialLog
    race: Race | None

    @cached_property
    def best(self) -> TrialRow:
        """The winner of the race, or else the trial with the smallest loss."""
        if not self.race:
            return best_trial(self.job, self.trials)
        row = self.trials.find(self.race.winner().name)
        assert row  # a trial's, or that of even width, which every search trains
        return row
