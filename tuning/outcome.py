"""The end of a search: its best network, proven and drawn, and, if asked, shipped."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.processes import ProcessError, child_process
from googlenet_keras.run_folder import RunFolder
from tuning import probing
from tuning.budget import Budget, Costs
from tuning.config import SearchConfig
from tuning.ledger import Ledger, Row
from tuning.pareto import pareto, print_rows

BEST, PARETO, RETRAINED = "best_architecture.json", "pareto.png", "retrained"
MEASURED = 5  # of the best trials, whose time is measured where it is limited
MEASUREMENTS = "measured.json"  # each once, or noise would choose another network


def refuse_failure(ledger: Ledger) -> None:
    """Raises UserError where no trial ended well."""
    if not ledger.best():
        raise UserError(
            "a search needs one trial that ends well, and none did; the last failed "
            f"since {ledger.reasons()[-1]} The logs are in trials/ of the run folder."
        )


def conclude(config: SearchConfig, ledger: Ledger, budget: Budget) -> dict[str, Any]:
    """Writes best_architecture.json, pareto.png and result.json, and prints them.

    seconds and cpu_seconds in the result are those of all trainings together.
    """
    folder, trials = config.run_folder, ledger.best()
    best, milliseconds = _proven(config, trials, budget)
    write_json(folder / BEST, best["architecture"])
    pareto(trials, ledger.baselines(), config.limits(), folder / PARETO)
    print_rows([best, *ledger.baselines()])
    trained = [*trials, *ledger.baselines()]
    result = {
        "best": best,
        "measured_milliseconds": milliseconds,
        "baselines": ledger.baselines(),
        "trials": len(trials),
        "failed": len(ledger.reasons()),
        "seconds": round(sum(row["seconds"] for row in trained), 1),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in trained), 1),
    }
    write_json(RunFolder(folder).result, result)
    print(
        f"everything is in {folder}; train and export the best, trial {best['trial']}, "
        "with\n  python -m tuning.search --resume --retrain --run-folder "
        f"{shlex.quote(str(folder))}"
    )
    return result


def retrain(config: SearchConfig) -> None:
    """Trains the best network as train.py does, and exports it.

    Both are done in a process of their own, after which a GPU is free again. Exits with
    1 where a format fails its gate.
    """
    with child_process(log=None) as call:
        try:
            passed = call(_retrained, config)
        except ProcessError as error:
            raise UserError(str(error)) from error
    if not passed:
        sys.exit(1)


def _retrained(config: SearchConfig) -> bool:
    """Whether every format of the bundle passed."""
    from googlenet_keras.evaluation.tables import print_figures
    from googlenet_keras.exporting.report import print_report
    from googlenet_keras.exports import export
    from googlenet_keras.runs import train

    best = read_json(RunFolder(config.run_folder).result)["best"]
    name = f"{RETRAINED}-{best['trial']}-{config.retrain_epochs}-epochs"
    folder = config.run_folder / name
    finished = RunFolder(folder).is_finished
    run = train(
        config.training(
            architecture=config.run_folder / BEST,
            variant=best["architecture"]["name"],
            width=1.0,
            run_folder=folder,
            resume=True,  # it may have been cut off
            epochs=config.retrain_epochs,
            learning_rate=config.learning_rate * best["learning_rate_factor"],
        )
    )
    if not finished:
        print_figures({part: run.result[part] for part in ("validation", "test")})
    bundle = export(folder)
    print_report(bundle.report)
    print(f"everything is in {bundle.folder}")
    return bundle.passed


def _proven(
    config: SearchConfig, trials: list[Row], budget: Budget
) -> tuple[Row, float | None]:
    """The best trial, measured where time is limited; and its milliseconds then."""
    limit = config.max_milliseconds
    if not limit:
        return trials[0], None
    best = trials[:MEASURED]
    found = _measured(config.run_folder / MEASUREMENTS, best, budget.costs)
    for row, milliseconds in zip(best, found, strict=True):
        print(
            f"trial {row['trial']}: {milliseconds:.3f} ms measured, "
            f"{row['milliseconds']:.3f} predicted, at most {limit:g} allowed"
        )
    kept = [n for n, milliseconds in enumerate(found) if milliseconds <= limit]
    if not kept:
        print(
            "warning: none of these keeps the limit; the fastest is taken. Lower "
            "--max-milliseconds, or measure on an idle machine.",
            file=sys.stderr,
        )
    chosen = kept[0] if kept else found.index(min(found))
    return best[chosen], found[chosen]


def _measured(path: Path, rows: list[Row], costs: Costs) -> list[float]:
    """Milliseconds of the rows' int8 files; `path` keeps those of every trial."""
    known = read_json(path) if path.is_file() else {}
    new = [row for row in rows if row["trial"] not in known]
    if new:
        networks = [Architecture.from_json(row["architecture"]) for row in new]
        found = probing.measured(networks, costs.classes, costs.image_size)
        known |= dict(zip((row["trial"] for row in new), found, strict=True))
        write_json(path, known)
    return [known[row["trial"]] for row in rows]
