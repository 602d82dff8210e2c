"""The four published variants of GoogLeNet."""

from dataclasses import replace

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.table1 import TABLE_1, MaxPool, ResponseNorm
from googlenet_keras.errors import unknown_choice_error

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
    rows=tuple(row for row in TABLE_1 if not isinstance(row, ResponseNorm)),
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

ROWS_WITH_2X2_POOL4 = tuple(
    MaxPool("pool4_2x2_s2", 2, 2) if row.name == "pool4_3x3_s2" else row
    for row in BATCH_NORM.rows
)
POOL4_DIFFERENCE = "pool4 has 2x2 windows in place of 3x3."

TORCHVISION = replace(
    BATCH_NORM,
    name="torchvision",
    rows=ROWS_WITH_2X2_POOL4,
    wide_kernel=3,
    auxiliary_pool="adaptive 4x4",
    differences=(
        *BATCH_NORM.differences,
        "The 5x5 branches have 3x3 kernels (pytorch/vision#906).",
        POOL4_DIFFERENCE,
        "Auxiliary pooling is adaptive to 4x4: windows start at 0, 3, 7, 10 "
        "in place of 0, 3, 6, 9.",
    ),
)

SLIM = replace(
    BATCH_NORM,
    name="slim",
    rows=ROWS_WITH_2X2_POOL4,
    wide_kernel=3,
    gamma=False,
    padding="same",
    differences=(
        *BATCH_NORM.differences[1:],
        "The 5x5 branches have 3x3 kernels (tensorflow/models#2545).",
        POOL4_DIFFERENCE,
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
