"""TF-Slim's Inception v1: a TensorFlow checkpoint, or the archive it comes in."""

import gzip
import tarfile
import tempfile
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.weights.catalog import MAX_FILE_BYTES
from googlenet_keras.weights.layouts import (
    Transform,
    compose,
    identity,
    zero_pad_kernel,
)
from googlenet_keras.weights.name_map import (
    WeightFile,
    WeightSource,
    batch_norm_sources,
    layers_with_weights,
)

SLIM_SCOPE = "InceptionV1/"
SLIM_STEM_NAMES = {
    "conv1_7x7_s2": "Conv2d_1a_7x7",
    "conv2_3x3_reduce": "Conv2d_2b_1x1",
    "conv2_3x3": "Conv2d_2c_3x3",
}
# the paper's module names, which Slim counts from the layers before them
SLIM_MODULE_NAMES = dict(
    zip(
        ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"),
        ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"),
        strict=True,
    )
)
SLIM_BRANCH_NAMES = {
    "1x1": "Branch_0/Conv2d_0a_1x1",
    "3x3_reduce": "Branch_1/Conv2d_0a_1x1",
    "3x3": "Branch_1/Conv2d_0b_3x3",
    "5x5_reduce": "Branch_2/Conv2d_0a_1x1",
    "5x5": "Branch_2/Conv2d_0b_3x3",
    "pool_proj": "Branch_3/Conv2d_0b_1x1",
}
MISNAMED_SLIM_LAYERS = {
    "inception_5a_5x5": "Mixed_5b/Branch_2/Conv2d_0a_3x3"
}  # in Slim's code
CLASSES_WITH_BACKGROUND = 1001  # the first is the background, none of ImageNet's
BATCH_NORM_WEIGHTS = ("beta", "moving_mean", "moving_variance")
OPTIMIZER_SUFFIXES = (
    *("RMSProp", "RMSProp_1", "Momentum", "Adam", "ExponentialMovingAverage"),
)


def read(path: Path) -> WeightFile:
    """Reads a checkpoint, named by its prefix or a file of it, or a .tar.gz of one.

    Raises UserError for anything else.
    """
    if not path.name.endswith(".tar.gz"):
        return _load_checkpoint(path)
    with tempfile.TemporaryDirectory() as folder:
        return _load_checkpoint(_extract(path, Path(folder)))


def weight_sources(
    arch: Architecture, heads: tuple[str, ...]
) -> dict[str, WeightSource]:
    """The source of each weight of `arch`, by name; Slim has no auxiliary heads."""
    sources = {}
    for layer, _ in layers_with_weights(arch, ()):
        name = SLIM_SCOPE + _convolution(layer)
        transform: Transform = identity
        if layer.endswith("_5x5"):
            transform = partial(zero_pad_kernel, size=arch.wide_kernel)
        sources[f"{layer}/kernel"] = WeightSource(f"{name}/weights", transform)
        norm = {each: f"{name}/BatchNorm/{each}" for each in BATCH_NORM_WEIGHTS}
        sources.update(batch_norm_sources(layer, norm))
        if arch.gamma:
            beta = WeightSource(f"{name}/BatchNorm/beta", np.ones_like)
            sources[f"{layer}_bn/gamma"] = beta  # which has gamma's shape
    logits = SLIM_SCOPE + "Logits/Conv2d_0c_1x1/"
    kernel = compose(_flatten_1x1, _drop_background)
    sources["main/kernel"] = WeightSource(f"{logits}weights", kernel)
    sources["main/bias"] = WeightSource(f"{logits}biases", _drop_background)
    return sources


def _flatten_1x1(value: np.ndarray) -> np.ndarray:
    """[1, 1, in, out] to [in, out]."""
    return value.reshape(value.shape[-2:])


def _drop_background(value: np.ndarray) -> np.ndarray:
    """[..., 1001] to [..., 1000]: Slim's class 0 is the background."""
    return value[..., 1:] if value.shape[-1] == CLASSES_WITH_BACKGROUND else value


def _convolution(layer: str) -> str:
    """Slim's name of a convolution."""
    if layer in SLIM_STEM_NAMES:
        return SLIM_STEM_NAMES[layer]
    if layer in MISNAMED_SLIM_LAYERS:
        return MISNAMED_SLIM_LAYERS[layer]
    module, _, role = layer.removeprefix("inception_").partition("_")
    return f"Mixed_{SLIM_MODULE_NAMES[module]}/{SLIM_BRANCH_NAMES[role]}"


def _load_checkpoint(path: Path) -> WeightFile:
    prefix = str(path).removesuffix(".index")
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = {
            name: shape
            for name, shape in reader.get_variable_to_shape_map().items()
            if name.startswith(SLIM_SCOPE) and not name.endswith(OPTIMIZER_SUFFIXES)
        }
        sizes = [4 * np.prod(shape, dtype=float) for shape in shapes.values()]
        if sum(sizes) > MAX_FILE_BYTES:
            raise UserError(f"{path} claims more weights than any GoogLeNet has.")
        return WeightFile({name: reader.get_tensor(name) for name in shapes})
    except UserError:
        raise
    except Exception as error:  # each damage raises another kind there
        text = str(error).splitlines()[0] if str(error) else "it is damaged"
        raise UserError(f"{path} is no valid TensorFlow checkpoint: {text}.") from error


def _extract(path: Path, folder: Path) -> Path:
    """Copies the checkpoint in the archive `path` into `folder`; returns its file.

    Raises UserError.
    """
    try:
        with gzip.open(path) as file:  # zeros unpack to a thousand times their size
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"it has more than {MAX_FILE_BYTES} bytes")
        with tarfile.open(fileobj=BytesIO(data)) as archive:
            for member in archive:
                name = Path(member.name).name
                if not member.isfile() or member.issparse() or ".ckpt" not in name:
                    continue
                if content := archive.extractfile(member):
                    (folder / name).write_bytes(content.read())
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} is no valid .tar.gz: {error}.") from error
    names = sorted(file.name for file in folder.iterdir())
    if not names:
        raise UserError(f"{path} has no .ckpt file in it.")
    return folder / next((n for n in names if n.endswith(".index")), names[0])
