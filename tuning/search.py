"""python -m tuning.search: the best widths for a budget. --help lists the options."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from googlenet_keras import records
from googlenet_keras.errors import UserError, run_script
from tuning import workers
from tuning.config import SearchConfig, read_search_flags

if TYPE_CHECKING:
    from googlenet_keras.data.splits import Dataset
    from tuning.budget import Budget
    from tuning.latency import LatencyModel
    from tuning.ledger import Ledger
    from tuning.oracle import Trial
    from tuning.space import Space

LATENCY = "latency.json"
EPOCHS_SHARE = 2  # the longest trial has half of a training's epochs
MARGIN = 3  # median errors of the predicted time that a limit keeps free


def main() -> None:
    """Searches, and says what came out and where it is."""
    part = workers.role()
    if part == "worker":
        workers.reach_chief()
    config = read_search_flags()
    if part == "worker":
        if not config.resume:
            raise UserError(
                "a worker takes its options from the chief's run folder; give it "
                "--resume --run-folder FOLDER and nothing else."
            )
        _work(config)
        return
    stopwatch = records.Stopwatch()
    search(config, stopwatch)


def search(config: SearchConfig, stopwatch: records.Stopwatch) -> dict[str, Any]:
    """Runs the search that `config` asks for to its end; gives its result.json.

    The run folder has trials.jsonl, best_architecture.json and pareto.png. Raises
    UserError, before the folder is made where that can be known.
    """
    from tuning.outcome import conclude, retrain

    if not config.resume and config.run_folder:
        records.refuse_existing(config.run_folder)
    dataset = _data(config)
    config = config if config.resume else _resolved(config, dataset)
    plan = _plan(config, len(dataset.class_names))
    print(f"run folder {config.run_folder}", flush=True)
    tuner = _tuner(config, plan)
    if config.workers:
        with workers.local_workers(config.workers, config.run_folder):
            tuner.search()
    else:
        tuner.search()
    _train_baselines(config, plan)
    result = conclude(config, plan.ledger, plan.budget, stopwatch)
    if config.retrain:
        retrain(config)
    return result


@dataclass(frozen=True)
class _Plan:
    """What is searched, within what, and where it is written down."""

    space: Space
    budget: Budget
    ledger: Ledger


def _data(config: SearchConfig) -> Dataset:
    from googlenet_keras.data.sources import open_dataset

    return open_dataset(
        config.dataset,
        validation_fraction=config.validation_fraction,
        data_dir=config.data_dir,
        download=config.download,
    )


def _resolved(config: SearchConfig, dataset: Dataset) -> SearchConfig:
    """Every option as it will be used."""
    defaults = dataset.defaults
    epochs = config.epochs or max(2, round(defaults.get("epochs", 35) / EPOCHS_SHARE))
    when = time.strftime("%Y%m%d-%H%M%S")
    data = Path(config.dataset).expanduser()
    return replace(
        replace(config, epochs=epochs).resolved(defaults),
        dataset=str(data.resolve()) if dataset.train.files else config.dataset,
        run_folder=config.run_folder or Path("runs", f"search-{dataset.name}-{when}"),
    )


def _plan(config: SearchConfig, classes: int) -> _Plan:
    from tuning.budget import Budget, Costs
    from tuning.ledger import Ledger
    from tuning.space import Space

    whole, limits, folder = config.to_architecture(), config.limits(), config.run_folder
    timeless = {name: most for name, most in limits.items() if name != "milliseconds"}
    # raises for a budget that nothing can keep, before minutes of measuring
    Budget(timeless, Costs(classes, config.image_size)).uniform(whole)
    model = _latency(config, classes)
    if "milliseconds" in limits:
        limits["milliseconds"] *= 1 - MARGIN * model.median_error
    costs = Costs(classes, config.image_size, model)
    budget = Budget(limits, costs)
    space = Space(budget.uniform(whole), config.level, config.tune)
    if not config.resume:
        records.create_run(folder)
        records.write_json(folder / records.ENVIRONMENT, records.environment())
        records.write_json(folder / LATENCY, model.to_json())
        records.write_json(folder / records.CONFIG, config.to_json())
    return _Plan(space, budget, Ledger(folder, costs, config.trials))


def _latency(config: SearchConfig, classes: int) -> LatencyModel:
    """The search's own model where it has begun, for workers elsewhere have others."""
    from tuning.latency import LatencyModel
    from tuning.probing import latency_model

    if config.resume:
        return LatencyModel.from_json(records.read_json(config.run_folder / LATENCY))
    return latency_model(config.to_architecture(), classes, config.image_size)


def _tuner(config: SearchConfig, plan: _Plan):
    from keras_tuner import errors

    from tuning.oracle import Tuner, oracle
    from tuning.trial import TrialError, trained

    def run(trial: str, values: dict[str, Any]) -> dict[str, float]:
        changes: dict[str, Any] = {"epochs": values.get("tuner/epochs", config.epochs)}
        if "learning_rate" in values:
            changes["learning_rate"] = config.learning_rate * values["learning_rate"]
        try:
            found = trained(
                config, trial, plan.space.to_architecture(values), **changes
            )
        except TrialError as error:
            raise errors.FailedTrialError(str(error)) from error
        top1 = {f"val_{head}_top1": value for head, value in found.pop("top1").items()}
        return top1 | {key: value for key, value in found.items() if value is not None}

    def ended(trial: Trial) -> None:
        report(trial, plan.space, plan.ledger)

    return Tuner(oracle(config, plan.space, plan.budget, ended), config.run_folder, run)


def report(trial: Trial, space: Space, ledger: Ledger) -> None:
    """Writes down how a trial ended, once."""
    from tuning.ledger import COMPLETED, FAILED

    if trial.trial_id in ledger:
        return
    values = trial.hyperparameters.values
    arch = space.to_architecture(values)
    tried = {"learning_rate_factor": values.get("learning_rate", 1.0)}
    if trial.status != "COMPLETED":
        reason = (trial.message or "no figures").strip().splitlines()[-1]
        reason = reason.removeprefix("keras_tuner.src.errors.FailedTrialError: ")
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


def _train_baselines(config: SearchConfig, plan: _Plan) -> None:
    """Trains the uniform networks as long as the longest trial."""
    from tuning.ledger import BASELINE, FAILED
    from tuning.trial import TrialError, trained

    whole = config.to_architecture()
    networks = {f"width-{width:g}": whole.widened(width) for width in config.baselines}
    for name, arch in {"uniform": plan.space.base, **networks}.items():
        if name in plan.ledger:
            continue
        try:
            plan.ledger.add(name, BASELINE, arch, trained(config, name, arch))
        except TrialError as error:
            plan.ledger.add(name, FAILED, arch, reason=str(error))


def _work(config: SearchConfig) -> None:
    """Trains what the chief gives out, until it has no more."""
    workers.end_with_chief()
    plan = _plan(config, len(_data(config).class_names))
    with workers.chief_errors():
        _tuner(config, plan).search()


if __name__ == "__main__":
    run_script(main)
