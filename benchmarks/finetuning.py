"""Few photographs: trained from a network that knows other classes, and from scratch.

    python -m benchmarks.finetuning FOLDER --image-size 96

FOLDER has train/, validation/ and test/ with class folders. Every second class is held
back; a network is trained on the others. Then, for each seed, `--photos` photographs of
each class that was held back are drawn, and trained on twice with the same epochs.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from googlenet_keras.classifier import description_file
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json
from googlenet_keras.run_folder import RunFolder

TRAIN = Path(__file__).parents[1] / "train.py"
VALIDATION = 10  # photographs of each class that choose the epoch


@dataclass(frozen=True)
class Options:
    """What is compared."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A data set with train/, validation/ and test/."""
    image_size: int = 96
    """Pixels."""
    photos: int = 20
    """Training photographs of each class."""
    seeds: int = 3
    """Draws of photographs, each trained on from both starts."""
    epochs: int = 40
    """Passes over them."""
    base_epochs: int = 35
    """Passes of the network to start from over the other classes."""
    base: Path | None = None
    """A run on the other classes, to start from; none: it is trained."""


def compare(options: Options) -> list[dict[str, float]]:
    """Test figures of both starts for each seed."""
    names = sorted(path.name for path in (options.folder / "train").iterdir())
    others, held_back = names[::2], names[1::2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = options.base or _base(options, folder, others)
        labels = read_json(description_file(base))["labels"]
        if known := set(labels) & set(held_back):
            raise UserError(f"{base} must not know {', '.join(sorted(known))}.")
        return [
            _both(options, folder, base, held_back, s) for s in range(options.seeds)
        ]


def _base(options: Options, folder: Path, names: list[str]) -> Path:
    data = folder / "others"
    for split in ("train", "validation", "test"):
        for label in names:
            shutil.copytree(options.folder / split / label, data / split / label)
    run = folder / "base"
    result = _trained(options, data, run, "--epochs", str(options.base_epochs))
    print(f"{', '.join(names)}: test top-1 {result['test']['main']['top1']:.3f}")
    return run


def _both(
    options: Options, folder: Path, base: Path, names: list[str], seed: int
) -> dict[str, float]:
    data = folder / f"few-{seed}"
    draw = random.Random(seed)
    for split, count in (("train", options.photos), ("validation", VALIDATION)):
        for label in names:
            _draw(options.folder / split / label, data / split / label, count, draw)
    for label in names:
        shutil.copytree(options.folder / "test" / label, data / "test" / label)
    common = ("--epochs", str(options.epochs), "--seed", str(seed))
    starts = {
        "weights": ("--recipe", "finetune", "--weights", str(base)),
        "scratch": (),
    }
    found: dict[str, float] = {"seed": seed}
    for start, flags in starts.items():
        result = _trained(options, data, folder / f"{start}-{seed}", *common, *flags)
        main = result["test"]["main"]
        found[f"{start} top1"], found[f"{start} macro-F1"] = (
            main["top1"],
            main["macro_f1"],
        )
        found[f"{start} CPU s"] = result["cpu_seconds"]
    return found


def _draw(source: Path, target: Path, count: int, draw: random.Random) -> None:
    target.mkdir(parents=True)
    for path in draw.sample(sorted(source.iterdir()), count):
        shutil.copy(path, target)


def _trained(options: Options, data: Path, run: Path, *flags: str) -> dict:
    size = str(options.image_size)
    command = [sys.executable, TRAIN, "--dataset", data, "--image-size", size]
    command += ["--run-folder", run, *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return read_json(RunFolder(run).result)


def _print(rows: list[dict[str, float]]) -> None:
    table = Table(box=box.SIMPLE)
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(f"{value:.3g}" for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    _print(compare(tyro.cli(Options)))
