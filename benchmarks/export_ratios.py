"""Ratios of latency between exported files, measured in turns in one process.

    python -m benchmarks.export_ratios bn.int8=RUN/export/int8.tflite ...

Names are free. Every file is timed beside the first one named, on one thread; a round
is the median of 15 images. Prints each file's milliseconds of CPU time and its ratio to
the first file's: medians over the rounds, and quartiles. A folder with a classifier
whose name ends in onnx_lrn is made into ONNX with the LRN operator.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from googlenet_keras.artifacts.runtimes import Runtime, open_runtime

IMAGES_PER_ROUND = 15
Call: TypeAlias = Callable[[np.ndarray], Any]
"""Classifies an image [1, height, width, 3] of bytes."""


def main() -> None:
    """Measures in turns and prints the ratios."""
    options = parse_arguments(__doc__)
    print_ratios(options.files, options.image_size, options.rounds)


def parse_arguments(description: str | None) -> argparse.Namespace:
    """Reads files, image_size and rounds from the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", metavar="NAME=PATH", type=open_file)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def open_file(text: str) -> tuple[str, Runtime]:
    """The name and the runtime of NAME=PATH."""
    name, _, path = text.partition("=")
    if not name.endswith("onnx_lrn"):
        return name, open_runtime(Path(path), threads=1)
    with tempfile.TemporaryDirectory() as folder:
        file = write_onnx_with_lrn(Path(path), Path(folder))
        return name, open_runtime(file, threads=1)


def write_onnx_with_lrn(classifier: Path, folder: Path) -> Path:
    """Writes a classifier as ONNX, its response norms one operator each."""
    from googlenet_keras.exporting.converters import Source, write_onnx

    write_onnx(Source(classifier, folder, portable=False), folder / "lrn.onnx")
    return folder / "lrn.onnx"


def print_ratios(calls: Sequence[tuple[str, Call]], side: int, rounds: int) -> None:
    """Times the calls in turns and prints a line for each."""
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    for _, call in calls:
        milliseconds(call, image)  # warms up
    times = np.array(
        [[milliseconds(call, image) for _, call in calls] for _ in range(rounds)]
    )
    ratios = times / times[:, :1]
    for (name, _), own, ratio in zip(calls, times.T, ratios.T, strict=True):
        low, middle, high = np.quantile(ratio, [0.25, 0.5, 0.75])
        spread = f"{middle:.3f} ({low:.3f} to {high:.3f})"
        print(f"{name:<20} {np.median(own):7.2f} ms   ratio {spread}")


def milliseconds(call: Call, image: np.ndarray) -> float:
    """The median CPU time of one image."""
    spent = []
    for _ in range(IMAGES_PER_ROUND):
        began = time.process_time()
        call(image)
        spent.append(time.process_time() - began)
    return 1e3 * float(np.median(spent))


if __name__ == "__main__":
    main()
