"""A search job: options, folder, space and budget, resolved before the first trial."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from googlenet_keras import machine
from googlenet_keras.artifacts.runtimes import hide_gpus
from googlenet_keras.data.dataset import Dataset, check_labels
from googlenet_keras.data.folds import largest_fold_count
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user, read_json, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.job import open_training_data, resolve_data_options
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.teachers import open_teachers
from googlenet_keras.tuning.budget import Budget, Costs
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.image_results import IMAGE_RESULTS_FILE
from googlenet_keras.tuning.latency import LatencyModel, Task, load_latency_model
from googlenet_keras.tuning.space import Space

TRIAL_EPOCHS_FRACTION = 0.5  # of a full training's, for the longest trial
RACE_FOLDS = 5  # of which a round holds one out
MEDIAN_ERROR_MARGIN, MAX_LATENCY_MARGIN = 3, 0.3  # in median errors; as a fraction


class SearchFolder(RunFolder):
    """The folder of a search, with a run folder for each trial in trials/."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.latency = self.path / "latency.json"
        self.base_architecture = self.path / "base_architecture.json"
        self.trials = self.path / "trials"
        self.trial_log = self.path / "trials.jsonl"
        self.measurements = self.path / "measured.json"
        self.proposals = self.path / "proposals.json"
        self.best_architecture = self.path / "best_architecture.json"
        self.pareto = self.path / "pareto.png"
        self.early_files += [self.latency, self.base_architecture]

    def save_options(self, config: SearchConfig) -> None:
        """Writes config.json for --resume, with a copy of the base architecture."""
        options = replace(config, resume=False)
        if file := options.training.architecture:
            copy = self.base_architecture.resolve()
            write_json(copy, read_json(file))
            training = replace(options.training, architecture=copy)
            options = replace(options, training=training)
        write_json(self.config, options.to_json())

    def image_results(self, name: str) -> Path:
        """The file with a training's results on each image."""
        return self.trials / name / IMAGE_RESULTS_FILE


@dataclass(frozen=True)
class SearchJob:
    """A search with every option resolved, its folder, space and budget.

    folds: into which a race divides the images; 0: it has the validation images.
    name: of the budget among several, such as "macs-50M"; empty for the only one.
    """

    config: SearchConfig
    folder: SearchFolder
    space: Space
    budget: Budget
    folds: int = 0
    name: str = ""

    @property
    def prefix(self) -> str:
        """The start of a message on this search: of several budgets, which."""
        return f"{self.name}: " if self.name else ""

    @property
    def resumed_folder(self) -> Path:
        """The folder that --resume takes: of several budgets that around all."""
        return self.folder.path.parent if self.name else self.folder.path

    def create_folder(self, resume: bool = False) -> None:
        """Makes the folder of a new search. Raises UserError, as RunFolder.create."""
        self.folder.create(resume)
        write_json(self.folder.environment, machine.environment())
        write_json(self.folder.latency, vars(self.budget.costs.latency))

    def save_options(self) -> None:
        """Writes config.json for --resume."""
        self.folder.save_options(self.config)

    def training(self, learning_rate_factor: float, **changes: Any) -> TrainConfig:
        """The TrainConfig of one of the search's networks."""
        rate = self.config.training.learning_rate
        rate = rate and rate * learning_rate_factor
        return replace(self.config.training, width=1.0, learning_rate=rate, **changes)


def prepare_search(config: SearchConfig) -> SearchJob:
    """Opens the data, resolves every option and makes the folder of a new search.

    Raises UserError, before the folder is made if that can be known.
    """
    config, dataset = resolve_search(config)
    job = make_job(config, dataset)
    if not config.resume:
        job.create_folder()
    return job


def resolve_search(config: SearchConfig) -> tuple[SearchConfig, Dataset]:
    """Opens the data and resolves every option. Raises UserError."""
    if config.run_folder and not config.resume:
        SearchFolder(config.run_folder).refuse_existing()
    hide_gpus()  # the trials, which are other processes, need a GPU's memory
    dataset = open_training_data(config.training)
    check_labels(dataset.class_names)
    when = time.strftime("%Y%m%d-%H%M%S")
    path = config.run_folder or Path("runs", f"search-{dataset.name}-{when}")
    config = replace(config, run_folder=path)
    if not config.resume:
        training = resolve_data_options(replace(config.training, grow="off"), dataset)
        open_teachers(training, dataset.class_names)  # raises before any trial
        full = training.epochs or 1  # resolved
        epochs = config.epochs or max(1, round(full * TRIAL_EPOCHS_FRACTION))
        retrain_epochs = config.retrain_epochs or max(full, epochs)
        config = replace(
            config, training=training, epochs=epochs, retrain_epochs=retrain_epochs
        )
        if run := config.propose_from:
            run = expand_user(str(run)).resolve()
            config = replace(config, propose_from=run)
    return config, dataset


def make_job(config: SearchConfig, dataset: Dataset, name: str = "") -> SearchJob:
    """The job of a search whose options are resolved.

    name: of the budget among several. Raises UserError for one that is too small.
    """
    folder = SearchFolder(config.run_folder or "")
    budget = _budget(config, folder, dataset)
    base = budget.largest_uniform(config.training.to_architecture())
    # a teacher has seen the images of every fold
    folds = 0 if config.training.teacher else largest_fold_count(dataset, RACE_FOLDS)
    space = Space(base, config.level, config.tune)
    return SearchJob(config, folder, space, budget, folds, name)


def _budget(config: SearchConfig, folder: SearchFolder, dataset: Dataset) -> Budget:
    arch, limits = config.training.to_architecture(), config.limits()
    label_bytes = sum(len(label.encode()) + 1 for label in dataset.class_names)
    classes, size = len(dataset.class_names), config.training.image_size
    costs = Costs(classes, size, label_bytes=label_bytes)
    countable = {name: x for name, x in limits.items() if name != "milliseconds"}
    # raises for a budget that is too small, before minutes of measuring
    Budget(countable, costs).largest_uniform(arch)
    if config.resume:  # workers on other machines would measure other times
        model = LatencyModel.from_json(read_json(folder.latency))
        if Task(model.classes, model.image_size) != Task(classes, size):
            raise UserError(
                f"{folder.latency} must be of {classes} classes and images of {size} "
                f"pixels, as the search; it is of {model.classes} and "
                f"{model.image_size}."
            )
    else:
        model = load_latency_model(arch, costs)
    margin = min(MEDIAN_ERROR_MARGIN * model.median_error, MAX_LATENCY_MARGIN)
    return Budget(limits, replace(costs, latency=model), margin)
