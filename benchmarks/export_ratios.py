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
from pathlib import Path

import numpy as np

from googlenet_keras.artifacts.runtimes import Runtime, open_runtime

IMAGES = 15


def opened(text: str) -> tuple[str, Runtime]:
    """The name and the runtime of NAME=PATH."""
    name, _, path = text.partition("=")
    if name.endswith("onnx_lrn"):
        path = with_operator(Path(path))
    return name, open_runtime(Path(path), threads=1)


def with_operator(folder: Path) -> str:
    """The classifier in `folder` as ONNX, its response norms one operator each."""
    from googlenet_keras.exporting.converters import Source, write_onnx

    work = Path(tempfile.mkdtemp())
    write_onnx(Source(folder, work, portable=False), work / "lrn.onnx")
    return str(work / "lrn.onnx")


def milliseconds(runtime: Runtime, image: np.ndarray) -> float:
    """The median CPU time of one image."""
    spent = []
    for _ in range(IMAGES):
        began = time.process_time()
        runtime(image)
        spent.append(time.process_time() - began)
    return 1e3 * float(np.median(spent))


def main() -> None:
    """Measures in turns and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", metavar="NAME=PATH", type=opened)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    side = options.image_size
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    for _, runtime in options.files:
        milliseconds(runtime, image)
    rounds = np.array(
        [
            [milliseconds(runtime, image) for _, runtime in options.files]
            for _ in range(options.rounds)
        ]
    )
    ratios = rounds / rounds[:, :1]
    for (name, _), own, ratio in zip(options.files, rounds.T, ratios.T, strict=True):
        low, middle, high = np.quantile(ratio, [0.25, 0.5, 0.75])
        spread = f"{middle:.3f} ({low:.3f} to {high:.3f})"
        print(f"{name:<20} {np.median(own):7.2f} ms   ratio {spread}")


if __name__ == "__main__":
    main()
