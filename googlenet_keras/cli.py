"""The command line: python -m googlenet_keras describe | evaluate | predict | ..."""

from collections.abc import Callable, Sequence
from typing import Any

import tyro

from googlenet_keras.commands.benchmark import Benchmark
from googlenet_keras.commands.check_data import CheckData
from googlenet_keras.commands.compare import Compare
from googlenet_keras.commands.describe import Describe
from googlenet_keras.commands.evaluate import Evaluate
from googlenet_keras.commands.import_weights import ImportWeights
from googlenet_keras.commands.predict import Predict
from googlenet_keras.commands.serve import Serve
from googlenet_keras.console import run_script

COMMANDS: dict[str, Callable[..., Any]] = {
    "describe": Describe,
    "evaluate": Evaluate,
    "predict": Predict,
    "compare": Compare,
    "import-weights": ImportWeights,
    "check-data": CheckData,
    "benchmark": Benchmark,
    "serve": Serve,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command in `arguments`, by default in sys.argv."""
    tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        args=arguments,
        prog="googlenet_keras",
        description="GoogLeNet in Keras 3, from training to the phone.",
    ).run()


def console() -> None:
    """Runs `main` as a script."""
    run_script(main)
