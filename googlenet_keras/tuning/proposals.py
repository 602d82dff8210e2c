"""The first proposals of a search, before keras-tuner's: even width, a trained network.

A trained network knows which of its channels it needs. Each way of asking it gives
every channel a score. One threshold for the whole network is chosen so that the
channels above it fit the budget, and their numbers are then scaled to fill it.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypedDict

import numpy as np
from msgspec import Meta

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.channels import channel_costs, convolutions
from googlenet_keras.classifier import Classifier, Description, description_file
from googlenet_keras.data.dataset import list_names
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation.channel_clusters import channel_distances
from googlenet_keras.evaluation.gamma_worth import channel_worths
from googlenet_keras.files import expand_user, read_json, write_json
from googlenet_keras.installation import command_line
from googlenet_keras.network.weights import named_weights
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.training.job import open_training_data
from googlenet_keras.tuning.budget import Budget
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.job import SearchJob
from googlenet_keras.tuning.space import Values
from googlenet_keras.tuning.trials import UNIFORM

GAMMAS, CLUSTERS, TUNER = "gammas", "clusters", "tuner"  # as UNIFORM, in trials.jsonl
# of the trained network's multiply-adds, or one that fits the budget as it is would
# propose its own widths
MAX_CUT_MACS = 0.5
TINY = np.finfo(float).tiny  # for a channel that costs nothing, as times may say
log = logging.getLogger(__name__)

Scores = Mapping[str, np.ndarray]
"""The score of each channel, [channels], by the convolution's name."""
Channels = Mapping[str, int]
"""A number of channels by the convolution's name."""


class Proposal(TypedDict):
    """Widths that a trained network proposes, an entry of proposals.json.

    channels: those of each convolution above the threshold. values: the hyperparameters
    of a trial; they fill the budget.
    """

    channels: dict[str, Annotated[int, Meta(ge=1)]]
    values: dict[str, int | float | str]


class TrainedNetwork(TypedDict):
    """The worths of a trained network's channels, and their distances, by convolution.

    worths: empty without gammas. distances: of `channel_distances`.
    """

    widths: Channels
    worths: Scores
    distances: Scores


def check_proposing_network(config: SearchConfig) -> None:
    """Raises UserError unless --propose-from, if given, has the network's layers."""
    if config.resume or not config.propose_from:
        return  # the run may be gone by now
    folder = expand_user(str(config.propose_from))
    description: Description = read_json(description_file(folder), Description)
    found = convolutions(Architecture.from_json(description["architecture"]))
    wanted = convolutions(config.training.to_architecture())
    lacks = [name for name in wanted if name not in found]
    more = [name for name in found if name not in wanted]
    if lacks or more:
        parts = [f"lacks {list_names(lacks)}"] * bool(lacks)
        parts += [f"has {list_names(more)} besides"] * bool(more)
        raise UserError(
            "--propose-from needs a network with the convolutions of the one whose "
            f"widths are searched; that of {folder} {' and '.join(parts)}. Name "
            "another run, or give the search that run's --architecture."
        )


def prepare_proposals(jobs: Sequence[SearchJob]) -> None:
    """Writes the proposals of --propose-from to each search's proposals.json, once.

    Raises UserError if the network cannot be read or the images cannot.
    """
    waiting = [
        job
        for job in jobs
        if job.config.propose_from and not job.folder.proposals.exists()
    ]
    if not waiting:
        return
    trained = _ask(waiting[0])
    for job in waiting:
        proposals = propose(trained, job)
        write_json(job.folder.proposals, proposals)
        log.info("it proposes the widths of %d trials", len(proposals))


def _ask(job: SearchJob) -> TrainedNetwork:
    """Reads the network of --propose-from in a child process, whose memory it needs."""
    log.info("asking %s which channels it needs", job.config.propose_from)
    with child_process(log=None) as call:
        try:
            trained: TrainedNetwork = call(read_trained_network, job.config)
        except ProcessError as error:
            raise UserError(
                f"--propose-from {job.config.propose_from} failed: {error} Remove the "
                f"cause, and ask it again with {command_line('search')} --resume "
                f"--run-folder {job.resumed_folder}."
            ) from error
    return trained


def read_trained_network(config: SearchConfig) -> TrainedNetwork:
    """Reads the network of --propose-from and what the validation images activate."""
    assert config.propose_from
    classifier = Classifier.load(config.propose_from)
    arch, images = classifier.architecture, open_training_data(config.training)
    return {
        "widths": arch.widths(),
        "worths": channel_worths(named_weights(classifier.network), arch),
        "distances": channel_distances(classifier, images.validation),
    }


def propose(trained: TrainedNetwork, job: SearchJob) -> dict[str, Proposal]:
    """The proposals of a trained network by their names.

    gammas: a channel's score is its worth for what it costs. clusters: that of a
    cluster of channels is the distance at which it joins another.
    """
    distances = trained["distances"].items()  # the last cluster joins no other
    scores: dict[str, Scores] = {
        CLUSTERS: {n: np.append(x, np.inf) for n, x in distances}
    }
    widths = {name: trained["widths"][name] for name in trained["distances"]}
    whole = job.space.base.with_widths(widths)
    if trained["worths"]:
        costs = channel_costs(whole, partial(_spent, job.budget))
        worths = {n: x / max(costs[n], TINY) for n, x in trained["worths"].items()}
        scores = {GAMMAS: worths, **scores}
    else:
        log.warning(
            "%s has no gammas of batch normalization, so that it proposes the widths "
            "of its clusters only",
            job.config.propose_from,
        )
    proposals: dict[str, Proposal] = {}
    for name, found in scores.items():
        channels = cut(found, partial(_fits, job, whole))
        proposals[name] = {"channels": channels, "values": _fill(job, channels)}
    return proposals


def cut(scores: Scores, fits: Callable[[Channels], bool]) -> dict[str, int]:
    """The number of channels above the lowest threshold at which they fit.

    The threshold is the same for all convolutions, of which each keeps a channel.
    """
    thresholds = np.unique(np.concatenate(list(scores.values())))

    def above(threshold: float) -> dict[str, int]:
        return {name: max(1, int((x > threshold).sum())) for name, x in scores.items()}

    first = bisect_left(thresholds, True, key=lambda x: fits(above(x)))
    return above(thresholds[min(first, len(thresholds) - 1)])


def _spent(budget: Budget, arch: Architecture) -> float:
    """The sum of a network's costs, each divided by its limit."""
    return sum(budget.costs.of(arch, x) / most for x, most in budget.limits.items())


def _fits(job: SearchJob, whole: Architecture, channels: Channels) -> bool:
    """Whether these channels of `whole` fit the budget, at half its cost at most."""
    arch = whole.with_widths(channels)
    macs, most = (job.budget.costs.of(x, "macs") for x in (arch, whole))
    return macs <= MAX_CUT_MACS * most and job.budget.allows(arch)


def _fill(job: SearchJob, channels: Channels) -> dict[str, Any]:
    """The hyperparameters of `channels`, scaled in proportion to fill the budget.

    A stage's factor has as many channels as its convolutions want.
    """
    space, budget = job.space, job.budget
    base = space.base.widths()
    scale = sum(channels.values()) / sum(base[name] for name in channels)

    def value(layers: Sequence[str]) -> float:
        wanted = sum(channels[name] for name in layers) / scale
        width = sum(base[name] for name in layers)
        return max(wanted, 1.0) if space.level == "fine" else wanted / width

    wanted = {name: value(layers) for name, layers in space.layers.items()}
    fitted = budget.fit(space.uniform_values() | wanted, space)
    # what fills the budget as it is need not be on the grid
    return budget.fit(space.scale(fitted, 1.0), space)


class Proposals:
    """The first proposals of a search, each once, and whose a trial's widths are."""

    def __init__(self, job: SearchJob) -> None:
        """Reads proposals.json, if there is one. Raises UserError if it is damaged."""
        self._job = job
        self._values: dict[str, Values] = {}
        uniform = job.space.uniform_values()  # they need not fill the budget
        if job.budget.allows(job.space.to_architecture(uniform)):
            self._values[UNIFORM] = uniform
        if job.folder.proposals.exists():
            found = read_json(job.folder.proposals, dict[str, Proposal])
            for name, proposal in found.items():
                self._check(proposal["values"])
                self._values.setdefault(name, proposal["values"])

    def _check(self, values: Values) -> None:
        try:
            fits = self._job.budget.allows(self._job.space.to_architecture(values))
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise UserError(
                f"{self._job.folder.proposals} must have widths of this search, within "
                "its budget, and has others. Start another search in a new "
                "--run-folder."
            )

    def next(self, tried: Collection[Values]) -> Values | None:
        """The first proposal that is not among the trials `tried`; None if all are."""
        for values in self._values.values():
            if not any(values.items() <= trial.items() for trial in tried):
                return values
        return None

    def name(self, values: Values) -> str:
        """Whose widths a trial has: uniform, gammas, clusters or tuner."""
        for name, proposed in self._values.items():
            if proposed.items() <= values.items():
                return name
        return TUNER
