"""How well cheap scores rank the networks of a budget.

    python -m benchmarks.scores --dataset FOLDER --image-size 96 --max-macs 22.5M

Draws networks of the width search's space that fill the budget, even width first, and
trains each alone with several seeds. The table has Kendall's tau of each cheap score
with the mean of these trainings: costs; one training of as many epochs, of half and of
a quarter; shared weights. A score that ranks them alike has 1, one that knows nothing
0. What has been trained is in --output, and is not trained again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from msgspec import Meta

from benchmarks.rank_correlation import Score, rank_correlation
from benchmarks.score_trainings import (
    Networks,
    Trainings,
    check_same_images,
    part_of,
    score_by_shared_weights,
    train_alone,
)
from googlenet_keras import machine
from googlenet_keras.console import new_table, print_table, run_script
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.option_checks import check_options
from googlenet_keras.training.options import Count, TrainConfig
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.job import SearchJob, make_job, resolve_search

OUTPUT = Path("runs", "scores")
CHANGEABLE_OPTIONS = {"trials", "run_folder"}  # of a search's, in one --output
PARTS = {"half": 2, "a quarter": 4}  # of the epochs of a whole training
REFERENCES = ("cross-entropy", "top-1")
COLUMNS = (
    *(f"tau with {name}" for name in REFERENCES),
    *("CPU s of a network", "CPU s once"),
)


@dataclass(frozen=True)
class Options:
    """Which networks are trained, and how long. Raises UserError."""

    max_macs: str
    """Multiply-adds of an image that each network fills, such as 22.5M."""
    dataset: str = "digits"
    """digits, or a folder of class folders."""
    image_size: int = 64
    """Pixels."""
    networks: Annotated[int, Meta(ge=3, le=1000)] = 12
    """Networks, that of even width included."""
    seeds: Annotated[int, Meta(ge=2, le=100)] = 3
    """Whole trainings of each."""
    epochs: Count | None = None
    """Epochs of a whole training; none: the recipe's."""
    shared_epochs: Count | None = None
    """Epochs of the network of shared weights; none: those of a whole training."""
    output: Path = OUTPUT
    """Folder of all trainings, of which an earlier one may be resumed."""

    def __post_init__(self) -> None:
        check_options(self)


def main() -> None:
    """Trains what is not trained yet and prints the table."""
    options = tyro.cli(Options, description=__doc__)
    training = TrainConfig(dataset=options.dataset, image_size=(options.image_size,))
    print_scores(measure(options, training))


def measure(options: Options, training: TrainConfig) -> list[dict[str, Any]]:
    """The row of each score, which scores.json in --output has, too.

    training: as of a search; its epochs are those of `options`. Raises UserError.
    """
    job = prepare(options, training)
    networks = draw_networks(job, options.networks)
    folder = RunFolder(options.output)
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.lock():
        check_same_options(folder, options, job)
        scores, whole = run(options, job, networks)
        reference = {
            "cross-entropy": np.stack([x.losses for x in whole]),
            "top-1": np.stack([x.errors for x in whole]),
        }
        rows = [describe(score, reference) for score in scores]
        write_json(
            folder.path / "scores.json",
            {"scores": rows, "environment": machine.environment()},
        )
    return rows


def prepare(options: Options, training: TrainConfig) -> SearchJob:
    """The search whose space and budget the networks are of."""
    config = SearchConfig(
        replace(training, epochs=options.epochs),
        max_macs=(options.max_macs,),
        baselines=(),
        trials=options.networks,
    )
    config, dataset = resolve_search(config)
    config = replace(config, run_folder=options.output, epochs=config.training.epochs)
    return make_job(config, dataset)


def draw_networks(job: SearchJob, count: int) -> Networks:
    """The hyperparameters of the networks. Raises UserError if there are fewer."""
    found = job.budget.draw(job.space, count, job.config.training.seed)
    if len(found) < count:
        raise UserError(
            f"--networks {count} must differ, and {len(found)} were found that fill "
            "the budget. Lower --networks, or raise --max-macs."
        )
    return found


def check_same_options(folder: RunFolder, options: Options, job: SearchJob) -> None:
    """Writes config.json, or raises UserError if it has other options."""
    new = job.config.to_json() | {"shared_epochs": options.shared_epochs}
    new = json.loads(json.dumps(new))
    old = read_json(folder.config) if folder.config.exists() else new
    fixed = new.keys() - CHANGEABLE_OPTIONS
    if changed := sorted(x for x in fixed if old.get(x) != new[x]):
        listed = ", ".join(f"{x} was {old.get(x)!r} and is {new[x]!r}" for x in changed)
        raise UserError(
            f"the trainings in one --output have the same options; {listed}. Choose "
            "another --output, or the same options."
        )
    write_json(folder.config, new)


def run(
    options: Options, job: SearchJob, networks: Networks
) -> tuple[list[Score], list[Trainings]]:
    """Trains and scores all networks; returns the scores and the whole trainings."""
    epochs = job.config.epochs or 1  # resolved
    whole = [
        train_alone(part_of(job, f"seed-{n}", n, epochs), networks)
        for n in range(1, options.seeds + 1)
    ]
    # the seed of no whole training, whose luck it would share
    shorter = {
        name: train_alone(
            part_of(job, name.replace(" ", "-"), 0, max(1, round(epochs / divisor))),
            networks,
        )
        for name, divisor in PARTS.items()
    }
    shared_job = part_of(job, "shared", 0, options.shared_epochs or epochs)
    shared, once = score_by_shared_weights(shared_job, networks)
    check_same_images([*whole, *shorter.values(), shared], job.folder)
    scores = cost_scores(job, networks)
    scores += training_scores("one whole training", whole, is_reference=True)
    for name, trained in shorter.items():
        scores += training_scores(f"{name} of the epochs", [trained])
        scores.append(training_loss_score(f"{name} of the epochs", trained))
    scores += [
        replace(score, cpu_seconds_once=once)
        for score in training_scores("shared weights", [shared])
    ]
    return scores, whole


def cost_scores(job: SearchJob, networks: Networks) -> list[Score]:
    """The scores that take a network for better if it costs more."""
    archs = [job.space.to_architecture(values) for values in networks]
    return [
        Score(title, -of_networks([job.budget.costs.of(arch, name) for arch in archs]))
        for name, title in (("macs", "multiply-adds"), ("parameters", "parameters"))
    ]


def training_scores(
    name: str, parts: Sequence[Trainings], is_reference: bool = False
) -> list[Score]:
    """The scores by cross-entropy and by top-1 of the validation images."""
    seconds = float(np.mean([part.cpu_seconds for part in parts]))
    return [
        Score(
            f"{reference}, {name}",
            np.stack([getattr(part, field) for part in parts]),
            seconds,
            is_reference=is_reference,
        )
        for reference, field in zip(REFERENCES, ("losses", "errors"), strict=True)
    ]


def training_loss_score(name: str, part: Trainings) -> Score:
    """The score by the sum of the main head's training losses of all epochs."""
    sums = [
        sum(epoch["train"]["main"]["loss"] for epoch in folder.read_epochs())
        for folder in part.folders
    ]
    title = f"sum of training losses, {name}"
    return Score(title, of_networks(sums), part.cpu_seconds)


def of_networks(values: Sequence[float]) -> np.ndarray:
    """Numbers of networks as the `trainings` of a Score."""
    return np.array(values, float)[None, :, None]


def describe(score: Score, references: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The row of a score in scores.json."""
    taus = {
        name: rank_correlation(score, reference)
        for name, reference in references.items()
    }
    return {
        "score": score.name,
        "taus": {name: tau and tau._asdict() for name, tau in taus.items()},
        "cpu_seconds_of_a_network": score.cpu_seconds,
        "cpu_seconds_once": score.cpu_seconds_once,
    }


def print_scores(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table."""
    table = new_table("score", numbers=COLUMNS)
    for row in rows:
        table.add_row(
            row["score"],
            *(describe_tau(row["taus"][name]) for name in REFERENCES),
            f"{row['cpu_seconds_of_a_network']:.1f}",
            f"{row['cpu_seconds_once']:.0f}",
        )
    print_table(table)


def describe_tau(tau: Mapping[str, float] | None) -> str:
    """Tau with its interval, such as "0.52 (0.31 to 0.67)"."""
    if tau is None:
        return "does not vary"
    return "{value:.2f} ({low:.2f} to {high:.2f})".format(**tau)


if __name__ == "__main__":
    run_script(main)
