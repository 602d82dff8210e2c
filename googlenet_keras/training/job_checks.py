"""Checks options that one job cannot have together."""

from googlenet_keras.errors import UserError
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.transfer import check_weights_of_folds


def check_plan(config: TrainConfig) -> None:
    """Raises UserError for options that contradict each other in one run.

    That is for --folds without --fold, and for --minutes together with --epochs.
    """
    if config.folds and not config.fold:
        raise UserError(
            f"folds={config.folds} trains {config.folds} networks; call train_folds, "
            "or add fold to train one of them."
        )
    check_weights_of_folds(config)
    is_stored = config.resume and RunFolder(config.run_folder or "").is_started
    if config.minutes and config.epochs and not is_stored:
        raise UserError(
            "--minutes decides the number of epochs; received --minutes "
            f"{config.minutes:g} and --epochs {config.epochs}. Leave one of them "
            "out; in Python, epochs=None leaves out a recipe's."
        )


def check_strategy(config: TrainConfig) -> None:
    """Raises UserError for options that --strategy does not support."""
    if config.strategy == "none":
        return
    flag = f"--strategy {config.strategy}"
    if config.xla == "on":
        raise UserError(
            f"--xla on needs a single device; received {flag}. Leave one of them out."
        )
    if config.batch_size == "auto":
        raise UserError(
            f"--batch-size auto needs a single device; received {flag}. Give a number."
        )
    if config.strategy == "multi-worker" and config.minutes:
        raise UserError(
            f"--minutes measures one machine, and {flag} has several. Give --epochs."
        )
    if config.strategy == "multi-worker" and not config.run_folder:
        raise UserError(f"{flag} requires --run-folder, the same for all workers.")
