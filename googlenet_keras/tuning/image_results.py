"""A network's loss and correctness on each image of a split, in a small file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from googlenet_keras import files
from googlenet_keras.errors import UserError

IMAGE_RESULTS_FILE = "image_results.safetensors"  # in a trial's folder
IMAGES_KEY = "images"  # of its metadata
MAX_FILE_BYTES = 512 * 10**6  # a hundred million images


class ImageResults(NamedTuple):
    """The results of one network on a split, in the order of the split.

    images: a digest of the images; two splits of the same images have the same.
    """

    loss: np.ndarray  # -log of the label's probability, [images]
    correct: np.ndarray  # whether the label is the likeliest class, [images]
    images: str

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all. Raises DiskError."""
        tensors = {"loss": self.loss.astype(np.float32), "correct": self.correct}
        metadata = {IMAGES_KEY: self.images}
        files.write_bytes(path, safetensors.numpy.save(tensors, metadata))

    @classmethod
    def load(cls, path: Path) -> "ImageResults":
        """Reads the file. Raises UserError if it is missing or damaged."""
        files.check_readable(path, MAX_FILE_BYTES)
        try:
            with safe_open(path, "numpy") as file:
                loss, correct = file.get_tensor("loss"), file.get_tensor("correct")
                images = (file.metadata() or {}).get(IMAGES_KEY, "")
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"{path} is damaged: {error}.") from error
        if not (
            loss.ndim == 1
            and len(loss) > 0
            and loss.dtype == np.float32
            and np.isfinite(loss).all()
            and correct.shape == loss.shape
            and correct.dtype == bool
        ):
            raise UserError(
                f"{path} is damaged: it needs a finite loss and a truth for each image."
            )
        return cls(loss, correct, images)
