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
from googlenet_keras.files import check_readable
from googlenet_keras.weights.weight_file import (
    MAX_CHECKPOINT_BYTES,
    MAX_FILE_BYTES,
    Sources,
    Transform,
    WeightFile,
    WeightSource,
    layers_with_weights,
    zero_pad_kernel,
)

SLIM_SCOPE = "InceptionV1/"
SLIM_LAYER_NAMES = {
    "conv1_7x7_s2": "Conv2d_1a_7x7",
    "conv2_3x3_reduce": "Conv2d_2b_1x1",
    "conv2_3x3": "Conv2d_2c_3x3",
    "inception_5a_5x5": "Mixed_5b/Branch_2/Conv2d_0a_3x3",  # misnamed in Slim's code
    "main": "Logits/Conv2d_0c_1x1",
}
SLIM_BRANCH_NAMES = {
    "1x1": "Branch_0/Conv2d_0a_1x1",
    "3x3_reduce": "Branch_1/Conv2d_0a_1x1",
    "3x3": "Branch_1/Conv2d_0b_3x3",
    "5x5_reduce": "Branch_2/Conv2d_0a_1x1",
    "5x5": "Branch_2/Conv2d_0b_3x3",
    "pool_proj": "Branch_3/Conv2d_0b_1x1",
}
CLASSES_WITH_BACKGROUND = 1001  # the first is the background, none of ImageNet's
BATCH_NORM_WEIGHTS = ("beta", "moving_mean", "moving_variance")
# of optimizers, at the end of a name
SLOT_NAMES = ("RMSProp", "RMSProp_1", "Momentum", "Adam", "ExponentialMovingAverage")


def read(path: Path) -> WeightFile:
    """Reads a checkpoint, given its prefix, one of its files or a .tar.gz of it.

    Raises UserError for anything else.
    """
    if not path.name.endswith(".tar.gz"):
        return _load_checkpoint(path)
    with tempfile.TemporaryDirectory() as folder:
        return _load_checkpoint(_extract(path, Path(folder)))


def weight_sources(arch: Architecture, heads: tuple[str, ...]) -> Sources:
    """The source of each weight of `arch`, by name; Slim has no auxiliary heads."""
    sources = {}
    for layer, _ in layers_with_weights(arch, ()):
        name = SLIM_SCOPE + _slim_name(layer)
        if layer == "main":
            transforms = (_drop_background, partial(np.squeeze, axis=(0, 1)))
            sources["main/kernel"] = WeightSource(f"{name}/weights", transforms)
            sources["main/bias"] = WeightSource(f"{name}/biases", (_drop_background,))
            continue
        pad: Transform = partial(zero_pad_kernel, size=arch.wide_kernel)
        padding = (pad,) if layer.endswith("_5x5") else ()
        sources[f"{layer}/kernel"] = WeightSource(f"{name}/weights", padding)
        for each in BATCH_NORM_WEIGHTS:
            sources[f"{layer}_bn/{each}"] = WeightSource(f"{name}/BatchNorm/{each}")
        if arch.gamma:
            beta = WeightSource(f"{name}/BatchNorm/beta", (np.ones_like,))
            sources[f"{layer}_bn/gamma"] = beta  # which has gamma's shape
    return sources


def _slim_name(layer: str) -> str:
    if layer in SLIM_LAYER_NAMES:
        return SLIM_LAYER_NAMES[layer]
    module, _, role = layer.removeprefix("inception_").partition("_")
    # Slim counts modules from the layers before them: 3a is its 3b, 4a is its 4b
    letter = chr(ord(module[1]) + 1)
    return f"Mixed_{module[0]}{letter}/{SLIM_BRANCH_NAMES[role]}"


def _drop_background(value: np.ndarray) -> np.ndarray:
    """[..., 1001] to [..., 1000]: Slim's class 0 is the background."""
    return value[..., 1:] if value.shape[-1] == CLASSES_WITH_BACKGROUND else value


def _load_checkpoint(path: Path) -> WeightFile:
    prefix = path.with_name(path.name.removesuffix(".index"))
    for part in prefix.parent.iterdir():  # TensorFlow opens them all
        if part.name.startswith((f"{prefix.name}.index", f"{prefix.name}.data-")):
            check_readable(part, MAX_CHECKPOINT_BYTES)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = {
            name: shape
            for name, shape in reader.get_variable_to_shape_map().items()
            if name.startswith(SLIM_SCOPE) and not name.endswith(SLOT_NAMES)
        }
        sizes = [4 * np.prod(shape, dtype=float) for shape in shapes.values()]
        if sum(sizes) <= MAX_FILE_BYTES:
            return WeightFile({name: reader.get_tensor(name) for name in shapes})
    except Exception as error:  # each damage raises another kind there
        text = (str(error) or "it is damaged").splitlines()[0]
        raise UserError(f"{path} is no valid TensorFlow checkpoint: {text}.") from error
    raise UserError(f"{path} claims more weights than any GoogLeNet has.")


def _extract(path: Path, folder: Path) -> Path:
    """Copies the checkpoint in the archive `path` into `folder`; returns its file."""
    try:
        with gzip.open(path) as file:  # zeros unpack to a thousand times their size
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"it has more than {MAX_FILE_BYTES} bytes")
        # only gzip's limit above counts: a tar file that is packed again is refused
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
            for member in archive:
                name = Path(member.name).name
                usable = member.isfile() and not member.issparse() and ".ckpt" in name
                if usable and (content := archive.extractfile(member)):
                    (folder / name).write_bytes(content.read())
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} is no valid .tar.gz: {error}.") from error
    files = sorted(folder.iterdir())
    if not files:
        raise UserError(f"{path} has no .ckpt file in it.")
    return next((file for file in files if file.suffix == ".index"), files[0])
