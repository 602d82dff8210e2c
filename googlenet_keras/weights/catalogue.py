"""Every published file of GoogLeNet's weights: where it is, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

from googlenet_keras.errors import unknown_choice

LARGEST = 2**27  # bytes; the largest published file has two fifths of it


@dataclass(frozen=True)
class Published:
    """One file of weights trained on ImageNet's 1,000 classes.

    sha256: of the file, or how it begins where no more is published. variants: what it
    can become, as it is first. top1 and top5 are as claimed, fractions of 1, for one
    crop of 224 from the middle of 256. trained_heads: whether its auxiliary heads, if
    it has any, were trained.
    """

    name: str
    address: str
    sha256: str
    bytes: int | None
    licence: str
    variants: tuple[str, ...]
    top1: float
    top5: float
    claimed_by: str
    suffixes: tuple[str, ...]
    trained_heads: bool = True

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.address.rsplit("/", 1)[-1]


TORCHVISION = Published(
    "torchvision",
    "https://download.pytorch.org/models/googlenet-1378be20.pth",
    sha256="1378be20",  # PyTorch's file names carry the first eight digits
    bytes=None,  # published is a rounded 49.731 MiB
    licence="BSD-3-Clause",
    variants=("torchvision", "bn"),
    top1=0.69778,
    top5=0.89530,
    claimed_by="torchvision 0.29.1, GoogLeNet_Weights.IMAGENET1K_V1",
    suffixes=(".pth", ".pt", ".safetensors"),
    trained_heads=False,  # torchvision warns of it; the weights are TF-Slim's
)

ONNX_ZOO = Published(
    "onnx-zoo",
    "https://huggingface.co/onnxmodelzoo/googlenet-12/resolve/main/googlenet-12.onnx",
    sha256="c99c507058eaf41de8723408fdda7db8325cb57f0a89f2ee07a716d6e963e14e",
    bytes=28_021_836,
    licence="Apache-2.0",
    variants=("paper",),
    top1=0.6778,
    top5=0.8834,
    claimed_by="onnx/models, inception_and_googlenet/googlenet/README.md",
    suffixes=(".onnx",),
)

CAFFE = Published(
    "caffe",
    "http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel",
    sha256="6f7101e3a2183738a7125a0c5021ba82a1feb4228c5ca0924d991b6daf6f6fad",
    bytes=53_533_754,
    licence="unrestricted",
    variants=("paper",),
    top1=0.687,
    top5=0.889,
    claimed_by="BVLC/caffe, models/bvlc_googlenet/readme.md",
    suffixes=(".caffemodel",),
)

SLIM = Published(
    "slim",
    "http://download.tensorflow.org/models/inception_v1_2016_08_28.tar.gz",
    sha256="7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6",
    bytes=24_642_554,
    licence="Apache-2.0",
    variants=("slim", "bn", "torchvision"),
    top1=0.698,
    top5=0.896,
    claimed_by="tensorflow/models, research/slim/README.md",
    suffixes=(".tar.gz", ".ckpt", ".index"),
)

SOURCES = {s.name: s for s in (TORCHVISION, ONNX_ZOO, CAFFE, SLIM)}


def published(name: str) -> Published:
    """The source of that name. Raises UserError for one that is unknown."""
    if name not in SOURCES:
        raise unknown_choice("a source of weights", name, SOURCES)
    return SOURCES[name]
