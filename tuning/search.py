"""python -m tuning.search: the best widths for a budget. --help lists the options."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from googlenet_keras import machine
from googlenet_keras.console import run_script
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.run_folder import RunFolder
from tuning import workers
from tuning.config import SearchConfig, read_search_flags

if TYPE_CHECKING:
    from googlenet_keras.architecture.architecture import Architecture
    from googlenet_keras.data.dataset import Dataset
    from tuning.budget import Budget
    from tuning.latency import LatencyModel
    from tuning.ledger import Ledger
    from tuning.oracle import Trial, Tuner
    from tuning.space import Space

LATENCY, BASE = "latency.json", "base_architecture.json"
EPOCHS_SHARE = 2  # the longest trial has half of a training's epochs
MARGIN, MOST_MARGIN = 3, 0.3  # median errors of predicted time that a limit keeps free


def main() -> None:
    """Searches, and says what came out and where it is."""
    part = workers.role()
    if part == "worker":
        workers.end_with_chief()
        workers.reach_chief()
    config = read_search_flags()
    if part == "worker":
        _work(config)
        return
    if part == "chief":
        if config.workers:
            raise UserError(
                "--workers starts a chief and its workers on this machine; with "
                f"{workers.ID} set they are started by hand: --workers 0."
            )
        workers.check_address()
    search(config)


def search(config: SearchConfig) -> dict[str, Any]:
    """Runs the search that `config` asks for to its end; gives its result.json.

    The run folder has trials.jsonl, best_architecture.json and pareto.png. Raises
    UserError, before the folder is made where that can be known.
    """
    if not config.resume and config.run_folder:
        RunFolder(config.run_folder).refuse_existing()
    dataset = _data(config)
    config = config if config.resume else _resolved(config, dataset)
    space, budget = _space(config, dataset)
    print(f"run folder {config.run_folder}", flush=True)
    with RunFolder(config.run_folder).lock():
        return _searched(config, dataset, space, budget)


def _searched(
    config: SearchConfig, dataset: Dataset, space: Space, budget: Budget
) -> dict[str, Any]:
    """The trials, the baselines and what comes of them."""
    from tuning.ledger import Ledger
    from tuning.outcome import conclude, refuse_failure, retrain

    if config.resume:
        _keep_options(config)  # some may have changed
    ledger = Ledger(config.run_folder, budget.costs, config.trials)
    tuner = _tuner(config, space, budget, ledger)
    if config.workers and not tuner.is_done():
        with workers.local_workers(config.workers, config.run_folder):
            tuner.search()
    elif not tuner.is_done():
        tuner.search()
    if not tuner.is_done():
        print(f"ended before {config.trials} trials: no new network fits the budget")
    refuse_failure(ledger)
    _train_baselines(config, space.base, ledger)
    result = conclude(config, ledger, budget)
    if config.retrain:
        retrain(config)
    return result


def _data(config: SearchConfig) -> Dataset:
    from googlenet_keras.artifacts.runtimes import hide_gpus
    from googlenet_keras.training.job import open_training_data

    hide_gpus()  # the trials, which are other processes, need a GPU's memory
    return open_training_data(config)


def _resolved(config: SearchConfig, dataset: Dataset) -> SearchConfig:
    """Every option as it will be used."""
    from googlenet_keras.training.job import resolve_data_options
    from googlenet_keras.training.recipes import recipe

    given = config.epochs
    config = resolve_data_options(
        replace(config, epochs=recipe(config.recipe).epochs), dataset
    )
    epochs = given or max(1, round(config.epochs / EPOCHS_SHARE))
    when = time.strftime("%Y%m%d-%H%M%S")
    return replace(
        config,
        epochs=epochs,
        retrain_epochs=config.retrain_epochs or max(config.epochs, epochs),
        run_folder=config.run_folder or Path("runs", f"search-{dataset.name}-{when}"),
    )


def _space(config: SearchConfig, dataset: Dataset) -> tuple[Space, Budget]:
    """What is searched, and within what; a new search's folder is made here."""
    from tuning.budget import Budget, Costs
    from tuning.space import Space

    whole, limits, folder = config.to_architecture(), config.limits(), config.run_folder
    labels = dataset.class_names
    costs = Costs(
        len(labels),
        config.image_size,
        label_bytes=sum(len(label.encode()) + 1 for label in labels),
    )
    timeless = {name: most for name, most in limits.items() if name != "milliseconds"}
    # raises for a budget that nothing can keep, before minutes of measuring
    Budget(timeless, costs).uniform(whole)
    model = _latency(config, len(labels))
    margin = min(MARGIN * model.median_error, MOST_MARGIN)
    budget = Budget(limits, replace(costs, latency=model), margin)
    space = Space(budget.uniform(whole), config.level, config.tune)
    if not config.resume:
        RunFolder(folder).create()
        write_json(RunFolder(folder).environment, machine.environment())
        write_json(folder / LATENCY, model.to_json())
        _keep_options(config)
    return space, budget


def _keep_options(config: SearchConfig) -> None:
    """Writes the options for --resume, with a copy of the network begun with."""
    options = replace(config, resume=False)
    if config.architecture:
        copy = config.run_folder.resolve() / BASE
        write_json(copy, read_json(config.architecture))
        options = replace(options, architecture=copy)
    write_json(RunFolder(config.run_folder).config, options.to_json())


def _latency(config: SearchConfig, classes: int) -> LatencyModel:
    """The search's own model where it has begun, for workers elsewhere have others."""
    from tuning.latency import LatencyModel
    from tuning.probing import latency_model

    if config.resume:
        return LatencyModel.from_json(read_json(config.run_folder / LATENCY))
    return latency_model(config.to_architecture(), classes, config.image_size)


def _tuner(
    config: SearchConfig, space: Space, budget: Budget, ledger: Ledger | None
) -> Tuner:
    """keras-tuner's part; a worker has no ledger, for its chief writes."""
    from tuning.oracle import Tuner, oracle
    from tuning.trial import trained

    def run(trial: str, values: dict[str, Any]) -> dict[str, float]:
        arch = space.to_architecture(values)
        changes: dict[str, Any] = {"epochs": values.get("tuner/epochs", config.epochs)}
        if "learning_rate" in values:
            changes["learning_rate"] = config.learning_rate * values["learning_rate"]
        found = trained(config, trial, arch, **changes)
        top1 = {f"val_{head}_top1": value for head, value in found.pop("top1").items()}
        return top1 | {key: value for key, value in found.items() if value is not None}

    def ended(trial: Trial, reason: str) -> None:
        report(trial, reason, space, ledger)

    return Tuner(oracle(config, space, budget, ended), config.run_folder, run)


def report(trial: Trial, reason: str, space: Space, ledger: Ledger | None) -> None:
    """Writes down how a trial ended, once."""
    from tuning.ledger import COMPLETED, FAILED

    if ledger is None or trial.trial_id in ledger:
        return
    values = trial.hyperparameters.values
    arch = space.to_architecture(values)
    tried = {"learning_rate_factor": values.get("learning_rate", 1.0)}
    if trial.status != "COMPLETED":
        reason = reason or "its figures are not finite"
        ledger.add(trial.trial_id, FAILED, arch, reason=reason, **tried)
        return
    found = {n: trial.metrics.get_last_value(n) for n in trial.metrics.metrics}
    heads = [head.name for head in arch.heads]
    results = {
        "top1": {head: found[f"val_{head}_top1"] for head in ("main", *heads)},
        "epochs": int(found["epochs"]),
        "seconds": found["seconds"],
        "cpu_seconds": found["cpu_seconds"],
        "peak_megabytes": found.get("peak_megabytes"),
    }
    ledger.add(trial.trial_id, COMPLETED, arch, results, **tried)


def _train_baselines(
    config: SearchConfig, uniform: Architecture, ledger: Ledger
) -> None:
    """Trains even multiples of the network as long as the longest trial, each once."""
    from googlenet_keras.processes import ProcessError
    from tuning.ledger import BASELINE
    from tuning.trial import trained

    whole = replace(config, width=1.0).to_architecture()
    networks = {
        f"width-{width:g}": whole.scale_width(width) for width in config.baselines
    }
    if uniform not in networks.values():
        networks["uniform"] = uniform
    for name, arch in networks.items():
        if name in ledger:
            continue
        try:
            ledger.add(name, BASELINE, arch, trained(config, name, arch))
        except ProcessError as error:
            ledger.add(name, BASELINE, arch, reason=str(error))


def _work(config: SearchConfig) -> None:
    """Trains what the chief gives out, until it has no more. Raises UserError."""
    if not config.resume:
        raise UserError(
            "a worker takes its options from the chief's run folder; give it "
            "--resume --run-folder FOLDER and nothing else."
        )
    space, budget = _space(config, _data(config))
    with workers.chief_errors():
        _tuner(config, space, budget, ledger=None).search()


if __name__ == "__main__":
    run_script(main)
