"""Trains GoogLeNet. `python train.py --help` lists the options."""

from pathlib import Path

from googlenet_keras.console import run_script
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.flags import read_flags
from googlenet_keras.training.options import TrainConfig


def main() -> None:
    """Trains, evaluates and prints what came out."""
    stopwatch = Stopwatch()
    config = read_flags()
    from googlenet_keras.evaluation.result import conclude
    from googlenet_keras.evaluation.tables import print_figures
    from googlenet_keras.training import signals
    from googlenet_keras.training.trainer import train

    folder = config.run_folder
    if config.resume and RunFolder(folder).is_finished:
        result = RunFolder(folder).read_result()  # nothing is left to do
        RunFolder(folder).remove_checkpoints()  # a kill may have come before that
    else:
        run = train(config, stopwatch, _find_weights)
        if run is None:  # the first worker does the rest
            return
        folder = run.folder
        with signals.interrupt_on_signal(
            f"stopped in the final evaluation. {run.way_on}"
        ):
            result = conclude(
                folder, run.classifier, run.dataset, run.best_epoch, stopwatch
            )
    print_figures({"validation": result["validation"], "test": result["test"]})
    print(
        f"best epoch {result['best_epoch']} of {result['epochs']}, "
        f"{result['seconds']:.0f} s{_memory(result['peak_megabytes'])}\n"
        f"everything is in {folder}; try\n"
        f"  python -m googlenet_keras predict {folder} IMAGE..."
    )


def _memory(megabytes: float | None) -> str:
    """In words; Windows does not tell it."""
    return f", at most {megabytes:.0f} MB of memory" if megabytes else ""


def _find_weights(config: TrainConfig) -> Path:
    from googlenet_keras.weights.pretrained import classifier_folder

    return classifier_folder(config.weights, config.variant)


if __name__ == "__main__":
    run_script(main)
