"""Trains GoogLeNet. `python train.py --help` lists the options."""

from googlenet_keras.console import print_text, run_script
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.flags import read_flags


def main() -> None:
    """Trains, evaluates and prints the figures."""
    stopwatch = Stopwatch()
    config = read_flags()
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
        f"best epoch {result['best_epoch']} of {result['epochs']}, "
        f"{result['seconds']:.0f} s{memory}\n"
        f"everything is in {run.folder}; try\n"
        f"  python -m googlenet_keras predict {run.folder} IMAGE..."
    )


if __name__ == "__main__":
    run_script(main)
