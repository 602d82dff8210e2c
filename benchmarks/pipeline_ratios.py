"""Ratios of input pipelines, ours to torchvision's, measured in turns on one core.

    taskset -c 0 python benchmarks/pipeline_ratios.py FOLDER --peer peers/bin/python

FOLDER: class folders in train/ and validation/. Every measurement is a process of its
own, which reads one epoch unmeasured and one measured. Prints medians over the rounds
of images per CPU second and of the ratios, with their smallest and largest. Rounds that
are in --record already count too, so that a long measurement can be made in pieces.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PEER = Path(__file__).parent / "peers" / "torchvision_input_pipeline.py"
OURS = ("-m", "googlenet_keras", "benchmark", "input-pipeline", "--repeats", "1")
CROP = ("--crop-area", "0.08", "--color-jitter", "0")  # as the peer's
MEASUREMENTS = {
    "224": ("--image-size", "224"),
    "224 v2": ("--image-size", "224", "--decoder", "tensor"),
    "224 disk": ("--image-size", "224", "--cache", "disk"),
    "224 PIL": ("--image-size", "224", "--decoder", "pil"),
    "128": ("--image-size", "128"),
    "128 v2": ("--image-size", "128", "--decoder", "tensor"),
    "128 disk": ("--image-size", "128", "--cache", "disk"),
}
RATIOS = (
    ("224", "224 v2"),
    ("224", "224 PIL"),
    ("128", "128 v2"),
    ("224 disk", "224 v2"),
    ("128 disk", "128 v2"),
)


def ours(folder: Path, options: Sequence[str]) -> float:
    """Images per CPU second of our pipeline."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "figures.json"
        command = [sys.executable, *OURS, *CROP, "--dataset", folder, "--json", path]
        subprocess.run([*command, *options], check=True, capture_output=True)
        return 1 / json.loads(path.read_text())["cpu_seconds_per_image"]["median"]


def theirs(python: Path, folder: Path, options: Sequence[str]) -> float:
    """Images per CPU second of torchvision's pipeline."""
    command = [python, PEER, folder / "train", "--repeats", "1", *options]
    done = subprocess.run(command, check=True, capture_output=True)
    return json.loads(done.stdout)["images_per_cpu_second"][0]


def one_round(python: Path, folder: Path) -> dict[str, float]:
    """Images per CPU second by the name of the measurement."""
    return {
        name: theirs(python, folder, options)
        if "--decoder" in options
        else ours(folder, options)
        for name, options in MEASUREMENTS.items()
    }


def spread(values: Sequence[float], digits: int) -> str:
    """The median of `values`, their smallest and largest."""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    return f"{middle:8.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    """Measures in turns and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", type=Path, required=True, help="Python of the peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", type=Path, help="JSON lines, a line for each round")
    options = parser.parse_args()
    earlier = options.record and options.record.exists()
    lines = options.record.read_text().splitlines() if earlier else []
    rounds = [json.loads(line) for line in lines]
    for _ in range(options.rounds):
        rounds.append(one_round(options.peer, options.folder))
        if options.record:
            with options.record.open("a") as record:
                print(json.dumps(rounds[-1]), file=record)
    print(f"{len(rounds)} rounds; images per CPU second")
    for name in MEASUREMENTS:
        print(f"{name:<24}{spread([found[name] for found in rounds], 0)}")
    for first, second in RATIOS:
        ratios = [found[first] / found[second] for found in rounds]
        print(f"{f'{first} / {second}':<24}{spread(ratios, 2)}")


if __name__ == "__main__":
    main()
