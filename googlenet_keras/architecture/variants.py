"""The four published variants of GoogLeNet."""

from dataclasses import replace

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.rows import MaxPool, ResponseNorm, Row
from googlenet_keras.architecture.table1 import TABLE_1
from googlenet_keras.errors import unknown_choice_error


def _without_response_norm(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(row for row in rows if not isinstance(row, ResponseNorm))


def _with_pool4(rows: tuple[Row, ...], window: int) -> tuple[Row, ...]:
    pool4 = MaxPool(f"pool4_{window}x{window}_s2", window, 2)
    return tuple(pool4 if row.name.startswith("pool4") else row for row in rows)


PAPER = Architecture(
    "paper",
    pixel_mean=(123.0, 117.0, 104.0),  # Caffe's B,G,R 104,117,123, in R,G,B order
    pixel_scale=1.0,
    differences=(
        "Padding is Caffe's bvlc_googlenet, since the paper states none.",
        "Pixels lose Caffe's mean (123, 117, 104), since the paper states none.",
    ),
)

BATCH_NORM = replace(
    PAPER,
    name="bn",
    rows=_without_response_norm(TABLE_1),
    batch_norm=True,
    dropout=0.2,
    pixel_mean=(127.5, 127.5, 127.5),
    pixel_scale=127.5,
    differences=(
        PAPER.differences[0],
        "Batch normalization after every convolution, which then has no bias; "
        "no local response normalization.",
        "Dropout 0.2 before the main classifier in place of 0.4.",
        "Pixels enter in -1..1, as TF-Slim's do, in place of pixel minus mean.",
    ),
)

TORCHVISION = replace(
    BATCH_NORM,
    name="torchvision",
    rows=_with_pool4(BATCH_NORM.rows, 2),
    wide_kernel=3,
    auxiliary_pool="adaptive 4x4",
    differences=(
        *BATCH_NORM.differences,
        "The 5x5 branches have 3x3 kernels (pytorch/vision#906).",
        "pool4 has 2x2 windows in place of 3x3.",
        "Auxiliary pooling is adaptive to 4x4: windows start at 0, 3, 7, 10 "
        "in place of 0, 3, 6, 9.",
    ),
)

SLIM = replace(
    BATCH_NORM,
    name="slim",
    rows=_with_pool4(BATCH_NORM.rows, 2),
    wide_kernel=3,
    gamma=False,
    padding="same",
    differences=(
        *BATCH_NORM.differences[1:],
        "The 5x5 branches have 3x3 kernels (tensorflow/models#2545).",
        "pool4 has 2x2 windows in place of 3x3.",
        "Batch normalization shifts but does not scale: there is no gamma.",
        "Padding is TensorFlow's SAME: conv1 on 224 pixels pads 2 before and 3 after.",
        "TF-Slim publishes no auxiliary heads; these are the bn variant's.",
    ),
)

VARIANTS = {v.name: v for v in (BATCH_NORM, PAPER, TORCHVISION, SLIM)}


def get_architecture(variant: str | Architecture) -> Architecture:
    """The variant of that name, or the Architecture itself. Raises UserError."""
    if isinstance(variant, Architecture):
        return variant
    if variant not in VARIANTS:
        raise unknown_choice_error("variant", variant, VARIANTS)
    return VARIANTS[variant]
