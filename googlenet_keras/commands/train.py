"""`train`: trains a network, or one for each fold, and prints figures."""

from collections.abc import Sequence

from googlenet_keras.console import print_text
from googlenet_keras.installation import command_line
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.flags import read_flags
from googlenet_keras.training.options import TrainConfig


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Trains GoogLeNet and leaves a run folder behind."""
    stopwatch = Stopwatch()
    config = read_flags(arguments, prog)
    if config.folds and not config.fold:
        _train_folds(config)
    else:
        _train(config, stopwatch)


def _train(config: TrainConfig, stopwatch: Stopwatch) -> None:
    from googlenet_keras.evaluation.tables import print_figures
    from googlenet_keras.runs import train  # imports TensorFlow

    run = train(config, stopwatch)
    if run is None:  # the chief of the workers does the rest
        return
    result = run.result
    print_figures({"validation": result["validation"], "test": result["test"]})
    megabytes = result["peak_megabytes"]  # None on Windows
    memory = f", at most {megabytes:.0f} MB of memory" if megabytes else ""
    print_text(
        f"network of epoch {result['best_epoch']} of {result['epochs']}, "
        f"{result['seconds']:.0f} s{memory}\n"
        f"everything is in {run.folder}; try\n"
        f"  {command_line('predict')} {run.folder} IMAGE..."
    )


def _train_folds(config: TrainConfig) -> None:
    from googlenet_keras.evaluation.tables import print_figures
    from googlenet_keras.folds import train_folds

    trained = train_folds(config)
    result = trained.result
    tests = {f"fold {row['fold']}": row["test"] for row in result["folds"]}
    main_heads = {
        name: {"images": test["images"], "main": test["main"]}
        for name, test in tests.items()
        if test
    }
    print_figures(main_heads | {"pooled": result["pooled"]}, "out of fold")
    print_text(
        f"{result['seconds']:.0f} s; everything is in {trained.folder}, with a run of "
        "each fold. For the network to use, train one without --folds."
    )
