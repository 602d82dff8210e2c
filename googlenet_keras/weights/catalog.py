"""The published GoogLeNet weights: claimed accuracy and verified download."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM, PAPER, SLIM, TORCHVISION
from googlenet_keras.console import progress_bar
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.files import atomic_file, cache_folder
from googlenet_keras.installation import command_line, require
from googlenet_keras.weights import from_caffe, from_onnx, from_slim, from_torchvision
from googlenet_keras.weights.weight_file import (
    MAX_CHECKPOINT_BYTES,
    MAX_FILE_BYTES,
    Sources,
    WeightFile,
)

DOWNLOAD_BLOCK_BYTES = 2**18  # between two steps of the progress bar
DOWNLOAD_TIMEOUT_SECONDS = 30  # without a byte

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedWeights:
    """One file of weights trained on ImageNet's 1,000 classes, and how it is read.

    sha256: of the file, or its first digits if no more are published. variants: the
    networks that it can become, by name; its own is the first. top1 and top5 are as
    claimed, fractions of 1, for the central 224 pixels of 256. has_trained_heads:
    whether the published auxiliary heads, if any, were trained. max_bytes: of a file of
    this kind. read: reads one. weight_sources: maps its tensors to the weights of
    (architecture, heads).
    """

    name: str
    url: str
    sha256: str
    bytes: int | None
    license: str
    variants: Mapping[str, Architecture]
    top1: float
    top5: float
    claimed_by: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], WeightFile]
    weight_sources: Callable[[Architecture, tuple[str, ...]], Sources]
    has_trained_heads: bool = True
    max_bytes: int = MAX_FILE_BYTES
    libraries: tuple[str, ...] = ()  # of the extra "export", by their modules

    def check_libraries(self) -> None:
        """Raises UserError if a library that reads the file is not installed."""
        require(f"a file of {self.name} weights", "export", self.libraries)

    def architecture(self, variant: str | None = None) -> Architecture:
        """The network of `variant`, by default the file's own. Raises UserError."""
        variant = variant or next(iter(self.variants))
        if variant not in self.variants:
            raise unknown_choice_error(
                f"the variant of {self.name} weights", variant, self.variants
            )
        return self.variants[variant]

    def matches(self, path: Path) -> bool:
        """Whether `path` is the very file that was published, by its SHA-256."""
        return file_sha256(path).startswith(self.sha256)

    def download(self) -> Path:
        """Returns the file in the user's cache; downloads it if it is not there.

        Raises UserError if it cannot be downloaded or is another file.
        """
        self.check_libraries()
        path = cache_folder() / "weights" / self.url.rpartition("/")[2]
        if path.is_file() and self.matches(path):
            return path
        log.info("downloading %s to %s", self.url, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            with temporary.open("wb") as file:
                file.writelines(_receive(self, path.name))
            if not self.matches(temporary):
                raise UserError(
                    f"{path.name} was published with a SHA-256 of {self.sha256}; the "
                    f"download has {file_sha256(temporary)} and was removed. Try again,"
                    " or download it elsewhere and name the file."
                )
        return path


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(weights: PublishedWeights, file_name: str) -> Iterator[bytes]:
    received = 0
    try:
        with (
            urlopen(weights.url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as response,
            progress_bar() as bar,
        ):
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else weights.bytes
            task = bar.add_task(file_name, total=total)
            while block := response.read(DOWNLOAD_BLOCK_BYTES):
                received += len(block)
                if received > MAX_FILE_BYTES:
                    raise UserError(f"{weights.url} sends more than any GoogLeNet has.")
                yield block
                bar.advance(task, len(block))
    except (OSError, HTTPException) as error:  # of the network
        raise UserError(
            f"{weights.url} cannot be downloaded: {error}. Download it elsewhere and "
            f"name the file: {command_line('import-weights')} {weights.name} "
            f"{file_name} CLASSIFIER"
        ) from error


def _as_bn(arch: Architecture) -> Architecture:
    """The bn variant equivalent to `arch`: 3x3 kernels zero-padded to 5x5, gamma 1."""
    differences = tuple(
        d for d in arch.differences if "3x3 kernels" not in d and "no gamma" not in d
    )
    return replace(
        arch, name=BATCH_NORM.name, wide_kernel=5, gamma=True, differences=differences
    )


TORCHVISION_WEIGHTS = PublishedWeights(
    "torchvision",
    "https://download.pytorch.org/models/googlenet-1378be20.pth",
    sha256="1378be20",  # PyTorch's file names carry the first eight digits
    bytes=None,  # published is a rounded 49.731 MiB
    license="BSD-3-Clause",
    variants={"torchvision": TORCHVISION, "bn": _as_bn(TORCHVISION)},
    top1=0.69778,
    top5=0.89530,
    claimed_by="torchvision 0.29.1, GoogLeNet_Weights.IMAGENET1K_V1",
    suffixes=(".pth", ".pt", ".safetensors"),
    read=from_torchvision.read,
    weight_sources=from_torchvision.weight_sources,
    has_trained_heads=False,  # torchvision warns of it; the weights are TF-Slim's
    max_bytes=MAX_CHECKPOINT_BYTES,
)

ONNX_ZOO_WEIGHTS = PublishedWeights(
    "onnx-zoo",
    "https://huggingface.co/onnxmodelzoo/googlenet-12/resolve/main/googlenet-12.onnx",
    sha256="c99c507058eaf41de8723408fdda7db8325cb57f0a89f2ee07a716d6e963e14e",
    bytes=28_021_836,
    license="Apache-2.0",
    variants={"paper": PAPER},
    top1=0.6778,
    top5=0.8834,
    claimed_by="onnx/models, inception_and_googlenet/googlenet/README.md",
    suffixes=(".onnx",),
    read=from_onnx.read,
    weight_sources=from_caffe.weight_sources,  # its names are Caffe's
    libraries=("onnx",),
)

CAFFE_WEIGHTS = PublishedWeights(
    "caffe",
    "http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel",
    sha256="6f7101e3a2183738a7125a0c5021ba82a1feb4228c5ca0924d991b6daf6f6fad",
    bytes=53_533_754,
    license="unrestricted",
    variants={"paper": PAPER},
    top1=0.687,
    top5=0.889,
    claimed_by="BVLC/caffe, models/bvlc_googlenet/readme.md",
    suffixes=(".caffemodel",),
    read=from_caffe.read,
    weight_sources=from_caffe.weight_sources,
)

SLIM_WEIGHTS = PublishedWeights(
    "slim",
    "http://download.tensorflow.org/models/inception_v1_2016_08_28.tar.gz",
    sha256="7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6",
    bytes=24_642_554,
    license="Apache-2.0",
    variants={"slim": SLIM, "bn": _as_bn(SLIM), "torchvision": TORCHVISION},
    top1=0.698,
    top5=0.896,
    claimed_by="tensorflow/models, research/slim/README.md",
    suffixes=(".tar.gz", ".ckpt", ".index"),
    read=from_slim.read,
    weight_sources=from_slim.weight_sources,
    max_bytes=MAX_CHECKPOINT_BYTES,
)

PUBLISHED_WEIGHTS = {
    w.name: w
    for w in (TORCHVISION_WEIGHTS, ONNX_ZOO_WEIGHTS, CAFFE_WEIGHTS, SLIM_WEIGHTS)
}


def get_published(source: str) -> PublishedWeights:
    """The published weights of that name. Raises UserError for an unknown name."""
    if source not in PUBLISHED_WEIGHTS:
        raise unknown_choice_error("the source of weights", source, PUBLISHED_WEIGHTS)
    return PUBLISHED_WEIGHTS[source]
