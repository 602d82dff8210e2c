"""The paper's Table 1, row by row, and its two auxiliary heads.

Filters as printed in arXiv 1409.4842, Table 1. Row names and the places of the two
response normalizations are those of Caffe's bvlc_googlenet.
"""

from googlenet_keras.architecture.rows import (
    AuxiliaryHead,
    Conv,
    Inception,
    MaxPool,
    ResponseNorm,
    Row,
)

# fmt: off
TABLE_1: tuple[Row, ...] = (
    Conv("conv1_7x7_s2", 64, 7, 2),
    MaxPool("pool1_3x3_s2", 3, 2),
    ResponseNorm("pool1_norm1"),
    Conv("conv2_3x3_reduce", 64, 1),
    Conv("conv2_3x3", 192, 3),
    ResponseNorm("conv2_norm2"),
    MaxPool("pool2_3x3_s2", 3, 2),
    #                        1x1  3x3r   3x3  5x5r   5x5  proj
    Inception("inception_3a",  64,   96,  128,   16,   32,   32),
    Inception("inception_3b", 128,  128,  192,   32,   96,   64),
    MaxPool("pool3_3x3_s2", 3, 2),
    Inception("inception_4a", 192,   96,  208,   16,   48,   64),
    Inception("inception_4b", 160,  112,  224,   24,   64,   64),
    Inception("inception_4c", 128,  128,  256,   24,   64,   64),
    Inception("inception_4d", 112,  144,  288,   32,   64,   64),
    Inception("inception_4e", 256,  160,  320,   32,  128,  128),
    MaxPool("pool4_3x3_s2", 3, 2),
    Inception("inception_5a", 256,  160,  320,   32,  128,  128),
    Inception("inception_5b", 384,  192,  384,   48,  128,  128),
)
# fmt: on

AUXILIARY_HEADS: tuple[AuxiliaryHead, ...] = (
    AuxiliaryHead("aux1", after="inception_4a", filters=128, units=1024),
    AuxiliaryHead("aux2", after="inception_4d", filters=128, units=1024),
)
