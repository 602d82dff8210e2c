"""Our int8 file beside ai-edge-quantizer's, of the same network and calibration images.

    pip install ai-edge-quantizer
    python -m benchmarks.quantizers RUN ...

Each RUN is a finished run whose export has float32.tflite and int8.tflite. For each one
this prints size, CPU time as a multiple of float32's on one thread (measured in turns),
agreement with float32's top-1 and top-1 on the validation images, the type of the input
and the operators that differ.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from googlenet_keras.artifacts.runtimes import LiteRT
from googlenet_keras.artifacts.tensors import IMAGE_INPUT
from googlenet_keras.classifier import Classifier
from googlenet_keras.console import new_table, print_table
from googlenet_keras.data.pipeline import evaluation_batches
from googlenet_keras.evaluation.evaluate import class_numbers, open_run_dataset
from googlenet_keras.exporting.inspection import operators
from googlenet_keras.exporting.job import calibration_images
from googlenet_keras.exporting.measuring import time_ratios
from googlenet_keras.run_folder import RunFolder

BATCH_SIZE = 32
COLUMNS = ("MB", "time / float32", "agreement", "top-1")


class Validation(NamedTuple):
    """All validation images, as inputs of the network, with their classes."""

    images: np.ndarray  # [n, height, width, 3] float32
    labels: np.ndarray  # [n]


def main() -> None:
    """Measures each run's files and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path)
    for run in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{run}:")
            measure(RunFolder(run), Path(folder))


def measure(run: RunFolder, folder: Path) -> None:
    """Prints the table of one run; folder: for the other quantizer's file."""
    classifier = Classifier.load(run.path)
    dataset = open_run_dataset(run, None, data_dir=None, download=False)
    images = calibration_images(dataset, classifier.preprocessing)
    numbers = class_numbers(classifier.labels, dataset.class_names)
    validation = read_validation(dataset.validation, classifier, numbers)
    float32 = run.export / "float32.tflite"
    files = {
        "float32": float32,
        "int8": run.export / "int8.tflite",
        "ai-edge-quantizer": quantize(float32, images, folder),
    }
    ratios = time_ratios(float32, files, folder / "log")
    expected = LiteRT(float32, threads=1)(validation.images).argmax(axis=1)
    table = new_table("file", "input", numbers=COLUMNS)
    for name, file in files.items():
        runtime = LiteRT(file, threads=1)
        found = runtime(validation.images).argmax(axis=1)
        table.add_row(
            name,
            describe_input(runtime),
            f"{file.stat().st_size / 1e6:.3f}",
            f"{ratios[name]:.3f}",
            f"{np.mean(found == expected):.4f}",
            f"{np.mean(found == validation.labels):.4f}",
        )
    print_table(table)
    print_operators(files["int8"], files["ai-edge-quantizer"])


def read_validation(split, classifier: Classifier, numbers: np.ndarray) -> Validation:
    """Reads the split in its order."""
    batches = evaluation_batches(
        split, classifier.preprocessing, heads=("main",), batch_size=BATCH_SIZE
    )
    labels = [int(label) for _, label, _ in split.in_order()]
    images = np.concatenate([batch.numpy() for batch, _ in batches])
    return Validation(images, numbers[labels])


def quantize(float32: Path, images: np.ndarray, folder: Path) -> Path:
    """The float32 file in ai-edge-quantizer's static int8."""
    from ai_edge_quantizer import quantizer, recipe

    path = folder / "ai_edge_quantizer.tflite"
    made = quantizer.Quantizer(str(float32), recipe.static_wi8_ai8())
    samples = [{IMAGE_INPUT: image[None].astype("float32")} for image in images]
    ranges = made.calibrate({"serving_default": samples})
    path.write_bytes(made.quantize(ranges).quantized_model)
    return path


def describe_input(runtime: LiteRT) -> str:
    """The input's scale and zero point; a camera's bytes have 1 and 0."""
    scale, zero = runtime.quantization()[IMAGE_INPUT]
    return f"scale {scale:.4g}, zero {zero}" if scale else "float32"


def print_operators(ours: Path, theirs: Path) -> None:
    """Prints how many operators of a kind the files have, where they differ."""
    own, other = (
        Counter(step.kind for step in operators(path.read_bytes()))
        for path in (ours, theirs)
    )
    for kind in sorted(own | other):
        if own[kind] != other[kind]:
            print(f"{kind}: ours {own[kind]}, ai-edge-quantizer {other[kind]}")


if __name__ == "__main__":
    main()
