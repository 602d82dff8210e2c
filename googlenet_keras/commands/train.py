"""`train`: trains a network and prints its figures."""

from collections.abc import Sequence

from googlenet_keras.console import print_text
from googlenet_keras.installation import command_line
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.flags import read_flags


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Trains GoogLeNet and leaves a run folder behind."""
    stopwatch = Stopwatch()
    config = read_flags(arguments, prog)
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
