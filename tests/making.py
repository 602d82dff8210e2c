"""What several tests make: photographs on disk, calls with a command line."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


def write_photos(root: Path, counts: dict[str, int], size=(40, 56)) -> Path:
    """`counts` noisy JPEGs in each class folder of `root`; classes differ in colour."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    for number, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(count):
            image = random.integers(0, 120, (*size, 3))
            image[..., number % 3] += 120
            data = tf.io.encode_jpeg(image.astype(np.uint8)).numpy()
            (folder / f"{i}.jpg").write_bytes(data)
    return root


def call_main(main: Callable[[], None], *arguments: str) -> None:
    """Calls a script's main with these command-line arguments."""
    before = sys.argv
    sys.argv = ["script", *arguments]
    try:
        main()
    finally:
        sys.argv = before
