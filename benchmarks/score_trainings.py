"""Trains the networks of `benchmarks.scores`, and scores them by shared weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.tuning.image_results import ImageResults
from googlenet_keras.tuning.job import SearchFolder, SearchJob
from googlenet_keras.tuning.shared_weights import score_networks
from googlenet_keras.tuning.trainings import train_trial
from googlenet_keras.tuning.trials import TrialLog, TrialRow

WIDEST = "widest"  # the network of shared weights itself, in trials.jsonl
Networks = Sequence[dict[str, Any]]
"""The hyperparameters of each network."""


@dataclass(frozen=True)
class Trainings:
    """One training of each network, or one scoring by shared weights.

    losses, errors: [networks, images], cross-entropy in nats and 1 for a wrong answer.
    folders: of the trainings. images: a digest of the images.
    """

    losses: np.ndarray
    errors: np.ndarray
    rows: Sequence[TrialRow]
    folders: Sequence[RunFolder]
    images: str

    @property
    def cpu_seconds(self) -> float:
        """The mean over networks."""
        return float(np.mean([row["cpu_seconds"] for row in self.rows]))


def part_of(job: SearchJob, name: str, seed: int, epochs: int) -> SearchJob:
    """The job of one training of each network, with files as a search has them."""
    first = job.config.training.seed
    training = replace(job.config.training, seed=first + seed)
    config = replace(job.config, training=training, epochs=epochs)
    folder = SearchFolder(job.folder.path / name)
    folder.trials.mkdir(parents=True, exist_ok=True)
    return replace(job, config=config, folder=folder, name=name)


def train_alone(job: SearchJob, networks: Networks) -> Trainings:
    """Trains each network that has no row in trials.jsonl. Raises UserError."""
    log = TrialLog(job)
    for number, values in enumerate(networks):
        name, arch = str(number), job.space.to_architecture(values)
        if name in log:
            continue
        try:
            figures = train_trial(job, name, values)
        except ProcessError as error:
            raise failed_error(job.folder.trials / f"{name}.log", error) from error
        log.add(name, "completed", arch, **figures)
    return read_trainings(job, log, networks)


def failed_error(log: object, error: ProcessError) -> UserError:
    """The error for a training that failed."""
    return UserError(
        f"every network is compared, and a training failed: {error}. {log} may say "
        "more. Remove the cause and start again: what was trained is not repeated."
    )


def read_trainings(job: SearchJob, log: TrialLog, networks: Networks) -> Trainings:
    """Reads the results of each network. Raises UserError for another network's."""
    rows, results = [], []
    for number, values in enumerate(networks):
        row = log.find(str(number))
        arch = job.space.to_architecture(values)
        if not row or Architecture.from_json(row["architecture"]) != arch:
            raise UserError(
                f"trial {number} in {job.folder.trial_log} is of another network, "
                "which another version has drawn. Choose another --output."
            )
        rows.append(row)
        results.append(ImageResults.load(job.folder.image_results(row["trial"])))
    images = {result.images for result in results}
    if len(images) > 1:
        raise other_images_error(job.folder)
    return Trainings(
        np.stack([result.loss for result in results]).astype(float),
        np.stack([~result.correct for result in results]).astype(float),
        rows,
        [RunFolder(job.folder.trials / row["trial"]) for row in rows],
        images.pop(),
    )


def check_same_images(parts: Sequence[Trainings], folder: RunFolder) -> None:
    """Raises UserError unless all were judged by the same images."""
    if len({part.images for part in parts}) > 1:
        raise other_images_error(folder)


def other_images_error(folder: RunFolder) -> UserError:
    """The error for validation images that changed between two trainings."""
    return UserError(
        "networks are compared on the same validation images, and these have changed "
        f"since the first training in {folder}. Restore them, or choose another "
        "--output."
    )


def score_by_shared_weights(
    job: SearchJob, networks: Networks
) -> tuple[Trainings, float]:
    """Scores each network; also returns the CPU seconds of the shared training.

    Raises UserError.
    """
    log, folder = TrialLog(job), job.folder
    archs = {WIDEST: job.space.widest()}
    archs |= {str(k): job.space.to_architecture(x) for k, x in enumerate(networks)}
    missing = {name: arch for name, arch in archs.items() if name not in log}
    if missing:
        run, log_file = folder.path / "network", folder.path / "network.log"
        config = job.training(1.0, epochs=job.config.epochs, run_folder=run)
        with child_process(log_file) as call:
            try:
                found = call(
                    score_networks, config, job.space, job.budget, missing, folder
                )
            except ProcessError as error:
                raise failed_error(log_file, error) from error
        for name, figures in found.items():
            status = "baseline" if name == WIDEST else "completed"
            log.add(name, status, archs[name], **figures)
    widest = log.find(WIDEST)
    assert widest  # it is the first that is scored
    return read_trainings(job, log, networks), widest["cpu_seconds"]
