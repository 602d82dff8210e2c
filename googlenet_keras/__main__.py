"""python -m googlenet_keras describe | evaluate | predict | compare | serve ..."""

from __future__ import annotations

from collections.abc import Sequence

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

COMMANDS = {
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
    """Runs the command that `arguments`, or sys.argv, name."""
    tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        args=arguments,
        prog="googlenet_keras",
        description="GoogLeNet in Keras 3, from training to the phone.",
    ).run()


def console() -> None:
    """The installed command `googlenet_keras`."""
    run_script(main)


if __name__ == "__main__":
    console()
