"""The end of a search: its best network, proven and drawn, and, if asked, shipped."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from googlenet_keras import records
from googlenet_keras.architecture.variants import Architecture
from googlenet_keras.errors import UserError
from tuning import probing
from tuning.budget import Budget
from tuning.config import SearchConfig
from tuning.ledger import FAILED, Ledger, Row
from tuning.pareto import pareto, print_rows

BEST, PARETO, RETRAINED = "best_architecture.json", "pareto.png", "retrained"
MEASURED = 5  # of the best trials, whose time is measured where it is limited


def conclude(
    config: SearchConfig, ledger: Ledger, budget: Budget, stopwatch: records.Stopwatch
) -> dict[str, Any]:
    """Writes best_architecture.json, pareto.png and result.json, and prints them.

    Raises UserError where no trial ended well.
    """
    folder, trials = config.run_folder, ledger.best()
    if not trials:
        raise UserError(
            f"a search needs one trial that ends well; none did, for the reasons in "
            f"{folder / 'trials.jsonl'}. The last: {ledger.rows[-1]['reason']}"
        )
    best, milliseconds = _proven(config, trials, budget)
    records.write_json(folder / BEST, best["architecture"])
    pareto(trials, ledger.baselines(), config.limits(), folder / PARETO)
    shown = [best, *ledger.baselines()]
    print_rows(shown)
    result = {
        "best": best,
        "measured_milliseconds": milliseconds,
        "baselines": ledger.baselines(),
        "trials": len(trials),
        "failed": sum(row["status"] == FAILED for row in ledger.rows),
        **stopwatch.figures(),
    }
    records.write_json(folder / records.RESULT, result)
    command = f"python train.py --architecture {folder / BEST}"
    print(
        f"everything is in {folder}; train the best, trial {best['trial']}, with\n"
        f"  {command} {_data_flags(config, best)}"
    )
    return result


def retrain(config: SearchConfig) -> Path:
    """Trains the best network as train.py does and exports it; gives its folder."""
    from googlenet_keras.evaluation.result import conclude as conclude_run
    from googlenet_keras.evaluation.tables import print_figures
    from googlenet_keras.exporting.bundle import export
    from googlenet_keras.exporting.chart import print_report
    from googlenet_keras.exporting.config import ExportConfig
    from googlenet_keras.training.fit import train

    folder = config.run_folder / RETRAINED
    if not (folder / records.RESULT).is_file():
        shutil.rmtree(folder, ignore_errors=True)  # what a killed one has left
        stopwatch = records.Stopwatch()
        best = records.read_json(config.run_folder / records.RESULT)["best"]
        run = train(
            config.training(
                architecture=config.run_folder / BEST,
                width=1.0,
                run_folder=folder,
                epochs=config.retrain_epochs,
                learning_rate=config.learning_rate * best["learning_rate_factor"],
            )
        )
        result = conclude_run(
            folder, run.classifier, run.dataset, run.best_epoch, stopwatch
        )
        print_figures({part: result[part] for part in ("validation", "test")})
    bundle, report = export(ExportConfig(run_folder=folder))
    print_report(report)
    print(f"everything is in {bundle}")
    if not all(row["passed"] for row in report["formats"].values()):
        sys.exit(1)
    return folder


def _proven(
    config: SearchConfig, trials: list[Row], budget: Budget
) -> tuple[Row, float | None]:
    """The best trial, measured where time is limited; and its milliseconds then."""
    limit = config.max_milliseconds
    if not limit:
        return trials[0], None
    best = trials[:MEASURED]
    architectures = [Architecture.from_json(row["architecture"]) for row in best]
    costs = budget.costs
    found = probing.measured(architectures, costs.classes, costs.image_size)
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


def _data_flags(config: SearchConfig, best: Row) -> str:
    flags = [f"--dataset {config.dataset}"]
    flags += ["--image-size", *map(str, config.image_size)]
    if best["learning_rate_factor"] != 1:
        rate = config.learning_rate * best["learning_rate_factor"]
        flags.append(f"--learning-rate {rate:g}")
    return " ".join(flags)
