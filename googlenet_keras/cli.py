"""The command line: its short commands, and the entry point of all commands."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import tyro
from tyro.conf import Positional

from googlenet_keras import __version__
from googlenet_keras.commands import export, search, train
from googlenet_keras.commands.benchmark import BENCHMARKS, Benchmark
from googlenet_keras.commands.check_data import CheckData
from googlenet_keras.commands.describe import Describe
from googlenet_keras.commands.evaluate import Evaluate
from googlenet_keras.commands.predict import Predict
from googlenet_keras.console import print_text, run_script
from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_folder, check_output_files
from googlenet_keras.installation import PROGRAM, command_line
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.flags import PLAIN_NUMBERS


@dataclass(frozen=True)
class Compare:
    """Compares runs: options that differ, figures and curves, side by side."""

    runs: Positional[tuple[Path, ...]]  # Two or more finished runs.
    report: Path = Path("comparison.html")  # The page to write or replace.

    def run(self) -> None:
        from googlenet_keras.evaluation.compare import compare
        from googlenet_keras.evaluation.tables import print_comparison

        check_output_files(self.report)
        comparison = compare([RunFolder.open(path) for path in self.runs])
        print_comparison(comparison)
        comparison.write(self.report)
        print_text(f"the comparison is {self.report}")


@dataclass(frozen=True)
class ImportWeights:
    """Imports published GoogLeNet weights as a Classifier."""

    source: Positional[str]  # torchvision, onnx-zoo, caffe or slim.
    paths: Positional[tuple[Path, ...]]
    """[FILE] CLASSIFIER: the file, which is downloaded if it is left out, and a new
    folder."""
    variant: str | None = None
    """The network that the weights become: bn keeps the outputs of torchvision's or
    slim's weights in true 5x5 branches; none: the network that the source has."""
    labels: str = "names"
    """ImageNet's classes by names (tench) or wordnet (n01440764, as its folders and
    TFDS call them); for other classes a text file with a label on each line."""
    transform_input: bool = True
    """torchvision only: whether the network was made with transform_input, as the
    published weights and those fine-tuned from them were. For one trained from scratch
    give --no-transform-input."""

    def run(self) -> None:
        from googlenet_keras.weights.catalog import get_published
        from googlenet_keras.weights.pretrained import import_weights

        paths, suffixes = self.paths, get_published(self.source).suffixes
        if len(paths) not in (1, 2) or paths[-1].name.endswith(suffixes):
            raise UserError(
                "import-weights needs a source, a file or none, and a new folder for "
                f"the Classifier: {self.source} [FILE] CLASSIFIER; "
                f"received {' '.join(map(str, paths)) or 'no path'}."
            )
        *files, folder = paths
        if os.path.lexists(folder):
            raise UserError(f"nothing is overwritten; {folder} exists. Name another.")
        if not folder.parent.is_dir():
            raise UserError(f"no such folder: {folder.parent}.")
        classifier = import_weights(
            self.source,
            *files,
            variant=self.variant,
            labels=self.labels,
            transform_input=self.transform_input,
        )
        with atomic_folder(folder) as temporary:
            classifier.save(temporary)
        print_text(
            f"{classifier.architecture.name}, {len(classifier.labels)} classes, is in "
            f"{folder}; try\n  {command_line('predict')} {folder} IMAGE...\n"
            f"  {command_line('train')} --recipe finetune --weights {folder} "
            "--dataset FOLDER"
        )


@dataclass(frozen=True)
class Serve:
    """Serves the page that `export --formats web` made, until Ctrl+C."""

    run_folder: Positional[Path]  # A run with export/web, or that folder itself.
    port: int = 8000  # Where to listen; 0: any free port.
    host: str = "127.0.0.1"  # The address to listen at; 0.0.0.0: all of this machine's.

    def run(self) -> None:
        from googlenet_keras.webpage.server import instructions, open_server, web_folder

        server = open_server(web_folder(self.run_folder), self.host, self.port)
        with suppress(KeyboardInterrupt), server:
            host, port = server.server_address[:2]  # 0 stands for 0.0.0.0
            print_text(instructions(str(host), port))
            server.serve_forever()


# such as "$UNSET", which pathlib would take for the current folder
EMPTY_ARGUMENT = re.compile(r"(--[\w-]+=)?")
SCRIPT_COMMANDS = {  # they read their flags themselves, for the scripts of a checkout
    "train": train.main,
    "export": export.main,
    "search": search.main,
}
COMMANDS: dict[str, Callable[..., Any]] = {
    "evaluate": Evaluate,
    "predict": Predict,
    "compare": Compare,
    "describe": Describe,
    "import-weights": ImportWeights,
    "check-data": CheckData,
    "benchmark": Benchmark,
    "serve": Serve,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command in `arguments`, by default in sys.argv."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and (command := SCRIPT_COMMANDS.get(arguments[0])):
        command(arguments[1:], f"{PROGRAM} {arguments[0]}")
        return
    if arguments[:1] == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return
    if any(EMPTY_ARGUMENT.fullmatch(argument) for argument in arguments):
        raise UserError(
            "no file or folder has an empty name, as one of the arguments is; the "
            "current folder is a dot (.)."
        )
    tyro.extras.subcommand_cli_from_dict(
        {name: _without_flags(command) for name, command in SCRIPT_COMMANDS.items()}
        | COMMANDS,
        args=_name_benchmark_first(arguments),
        prog=PROGRAM,
        description="GoogLeNet in Keras 3, from training to the phone. --version "
        "prints the version; COMMAND --help lists a command's options.",
        registry=PLAIN_NUMBERS,
    ).run()


def _without_flags(command: Callable[..., None]) -> Callable[[], None]:
    """A command without flags, for the list of commands."""

    def listed() -> None: ...

    listed.__doc__ = command.__doc__
    return listed


def _name_benchmark_first(arguments: Sequence[str]) -> Sequence[str]:
    """Moves a benchmark's name ahead of its flags, because tyro must see it first."""
    if "benchmark" not in arguments[:1]:
        return arguments
    for i, (before, word) in enumerate(pairwise(arguments), start=1):
        is_value = before.startswith("--") and "=" not in before  # each flag has one
        if word in BENCHMARKS and not is_value:
            return ["benchmark", word, *arguments[1:i], *arguments[i + 1 :]]
    return arguments


def console() -> None:
    """Runs `main` as a script."""
    run_script(main)
