"""TF-Slim's Inception v1: a TensorFlow checkpoint, or the archive it comes in."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
import zlib
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import tensorflow as tf

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.catalogue import LARGEST
from googlenet_keras.weights.layouts import as_it_is, in_turn, widened
from googlenet_keras.weights.name_map import Contents, Origin, layers, normalised

SCOPE = "InceptionV1/"
STEM = {
    "conv1_7x7_s2": "Conv2d_1a_7x7",
    "conv2_3x3_reduce": "Conv2d_2b_1x1",
    "conv2_3x3": "Conv2d_2c_3x3",
}
# the paper's module names, which Slim counts from the layers before them
MODULES = dict(
    zip(
        ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"),
        ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"),
        strict=True,
    )
)
BRANCHES = {
    "1x1": "Branch_0/Conv2d_0a_1x1",
    "3x3_reduce": "Branch_1/Conv2d_0a_1x1",
    "3x3": "Branch_1/Conv2d_0b_3x3",
    "5x5_reduce": "Branch_2/Conv2d_0a_1x1",
    "5x5": "Branch_2/Conv2d_0b_3x3",
    "pool_proj": "Branch_3/Conv2d_0b_1x1",
}
MISNAMED = {"inception_5a_5x5": "Mixed_5b/Branch_2/Conv2d_0a_3x3"}  # in Slim's code
BACKGROUND = 1001  # classes, of which the first is none of ImageNet's
NORM = ("beta", "moving_mean", "moving_variance")
# what an optimiser left beside the weights
SPARE = ("RMSProp", "RMSProp_1", "Momentum", "Adam", "ExponentialMovingAverage")


def read(path: Path) -> Contents:
    """The weights in a checkpoint, named by its prefix or a file of it, or in .tar.gz.

    Raises UserError for anything else.
    """
    if not path.name.endswith(".tar.gz"):
        return _checkpoint(path)
    with tempfile.TemporaryDirectory() as folder:
        return _checkpoint(_extracted(path, Path(folder)))


def origins(arch: Architecture, heads: tuple[str, ...]) -> dict[str, Origin]:
    """Whence each weight of `arch` comes; Slim has no auxiliary heads."""
    found = {}
    for layer, _ in layers(arch, ()):
        name = SCOPE + _convolution(layer)
        turn = as_it_is
        if layer.endswith("_5x5"):
            turn = partial(widened, size=arch.wide_kernel)
        found[f"{layer}/kernel"] = Origin(f"{name}/weights", turn)
        norm = {each: f"{name}/BatchNorm/{each}" for each in NORM}
        found.update(normalised(layer, norm))
        if arch.gamma:
            beta = Origin(f"{name}/BatchNorm/beta", np.ones_like)
            found[f"{layer}_bn/gamma"] = beta  # which has gamma's shape
    logits = SCOPE + "Logits/Conv2d_0c_1x1/"
    flat = in_turn(lambda value: value.reshape(value.shape[-2:]), _without_background)
    found["main/kernel"] = Origin(f"{logits}weights", flat)
    found["main/bias"] = Origin(f"{logits}biases", _without_background)
    return found


def _without_background(value: np.ndarray) -> np.ndarray:
    """[..., 1001] to [..., 1000]: Slim's class 0 is the background."""
    return value[..., 1:] if value.shape[-1] == BACKGROUND else value


def _convolution(layer: str) -> str:
    if layer in STEM:
        return STEM[layer]
    if layer in MISNAMED:
        return MISNAMED[layer]
    module, _, role = layer.removeprefix("inception_").partition("_")
    return f"Mixed_{MODULES[module]}/{BRANCHES[role]}"


def _checkpoint(path: Path) -> Contents:
    prefix = str(path).removesuffix(".index")
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = {
            name: shape
            for name, shape in reader.get_variable_to_shape_map().items()
            if name.startswith(SCOPE) and not name.endswith(SPARE)
        }
        if sum(4 * np.prod(shape, dtype=float) for shape in shapes.values()) > LARGEST:
            raise UserError(f"{path} claims more weights than any GoogLeNet has.")
        return Contents({name: reader.get_tensor(name) for name in shapes})
    except UserError:
        raise
    except Exception as error:  # each damage raises another kind there
        text = str(error).splitlines()[0] if str(error) else "it is damaged"
        raise UserError(f"{path} is no whole TensorFlow checkpoint: {text}.") from error


def _extracted(path: Path, folder: Path) -> Path:
    """The checkpoint in the archive `path`, copied into `folder`. Raises UserError."""
    try:
        with (
            gzip.open(path) as file,
            tarfile.open(fileobj=_Bounded(file), mode="r|") as archive,
        ):
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and ".ckpt" in name:
                    (folder / name).write_bytes(archive.extractfile(member).read())
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} is no whole .tar.gz: {error}.") from error
    names = sorted(found.name for found in folder.iterdir())
    if not names:
        raise UserError(f"{path} has no .ckpt file in it.")
    return folder / next((n for n in names if n.endswith(".index")), names[0])


class _Bounded:
    """A stream that ends in an error where no archive of GoogLeNet's would be so long.

    An archive of zeros is a thousandth of what it unpacks to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = LARGEST

    def read(self, size: int) -> bytes:
        """The next `size` bytes, or those that there are."""
        data = self._file.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it has more than {LARGEST} bytes")
        return data
