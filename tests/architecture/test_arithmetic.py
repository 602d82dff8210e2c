from dataclasses import replace

import pytest

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.arithmetic import (
    iterate_stages,
    layers,
    macs,
    parameters,
)
from googlenet_keras.architecture.table1 import TABLE_1, Conv, MaxPool
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError


def test_published_parameter_counts():
    assert parameters("paper") == 6_998_552
    assert parameters("paper", auxiliary=True) == 13_378_280
    assert parameters("torchvision") == 6_624_904
    assert parameters("torchvision", auxiliary=True) == 13_004_888
    assert parameters("bn") == 7_005_832
    assert parameters("bn", auxiliary=True) == 13_385_816
    assert parameters("bn", statistics=True) == 7_005_832 + 14_560


def test_slims_own_test_counts_its_trunk_like_this():
    classifier = 1000 * 1024 + 1000
    assert parameters("slim", statistics=True) - classifier == 5_607_184


def test_published_multiply_adds():
    assert macs("torchvision") == 1_498_376_192
    assert macs("paper") == macs("bn") == 1_582_671_872


def test_convolutions_of_the_trunk():
    trunk = [x for x in layers("paper", 1000, 224, auxiliary=False) if x.name != "main"]
    assert len(trunk) == 57
    assert sum(x.outputs for x in trunk) == 7_280
    assert sum(x.weights for x in trunk) == 5_966_272
    assert len(layers("paper", 1000, 224, auxiliary=True)) == 64


@pytest.mark.parametrize(
    ("row", "thousands", "millions"),
    [  # weights / 1024 and multiply-adds / 10^6, worked out from the paper's columns
        ("inception_3a", 159.5, 128.0),
        ("inception_3b", 379.0, 304.3),
        ("inception_4a", 366.8, 73.6),
        ("inception_4b", 438.0, 87.9),
        ("inception_4c", 497.5, 99.9),
        ("inception_4d", 590.5, 118.5),
        ("inception_4e", 847.0, 170.0),
        ("inception_5a", 1018.0, 51.1),
        ("inception_5b", 1409.0, 70.7),
    ],
)
def test_each_module_costs_what_table_1_implies(row, thousands, millions):
    stage = next(s for s in iterate_stages("paper", 1000, 224, False) if s.name == row)
    weights = sum(layer.weights for layer in stage.layers)
    assert round(weights / 1024, 1) == thousands
    assert round(stage.macs / 1e6, 1) == millions


def test_maps_at_224_are_those_of_table_1():
    maps = {s.name: s.output for s in iterate_stages("paper", 1000, 224, False)}
    assert maps["conv1_7x7_s2"] == (112, 112, 64)
    assert maps["pool2_3x3_s2"] == (28, 28, 192)
    assert maps["inception_3b"] == (28, 28, 480)
    assert maps["inception_4e"] == (14, 14, 832)
    assert maps["inception_5b"] == (7, 7, 1024)


def test_auxiliary_pooling_shrinks_with_the_map():
    assert arithmetic.auxiliary_window(BATCH_NORM, 14) == (5, 3, 4)
    assert arithmetic.auxiliary_window(BATCH_NORM, 5) == (5, 3, 1)
    assert arithmetic.auxiliary_window(BATCH_NORM, 2) == (2, 3, 1)


def test_sides_and_classes_out_of_range():
    with pytest.raises(UserError, match=r"at least 32 pixels; received 64x16\."):
        parameters("bn", image_size=(64, 16), auxiliary=True)
    with pytest.raises(UserError, match=r"at least 2 .*; received 1\."):
        parameters("bn", classes=1)
    with pytest.raises(UserError, match="one number or height and width"):
        arithmetic.height_and_width((1, 2, 3))
    with pytest.raises(UserError, match=r"at most 8192 .* received 10000000000x32"):
        arithmetic.height_and_width((10**10, 32))
    with pytest.raises(UserError, match="at most 1000000; received 1000001"):
        parameters("bn", classes=1_000_001)


def test_a_window_that_does_not_fit_into_its_map_is_refused():
    rows = tuple(Conv(f"conv{i}", 8, kernel=64) for i in range(40))
    arch = replace(BATCH_NORM, rows=rows, heads=())
    # each pads by 31 on both sides, and so takes one pixel away
    assert macs(arch, image_size=64) > 0
    with pytest.raises(UserError, match=r"window of conv31, 64 x 64, .* map of 1 x 1"):
        macs(arch, image_size=32)


def test_a_training_step_needs_its_weights_three_times_and_every_output():
    narrow = replace(BATCH_NORM, rows=(Conv("conv1", 8, 3),), heads=())
    # 3 x 3 x 3 x 8 of conv1 with beta and gamma, 8 x 10 and 10 biases of main
    weights, outputs = 216 + 16 + 90, 32 * 32 * 8 + 10
    needed = arithmetic.training_bytes(narrow, 10, 32, batch_size=5)
    assert needed == 4 * (3 * weights + 5 * outputs)
    half = arithmetic.training_bytes(narrow, 10, 32, batch_size=5, output_bytes=2)
    assert half == 4 * 3 * weights + 2 * 5 * outputs


def test_conv1_on_224_pads_as_each_framework_does():
    conv1 = TABLE_1[0]
    assert arithmetic.padding(conv1, 224, "symmetric") == (3, 3)
    assert arithmetic.padding(conv1, 224, "floor") == (3, 3)
    assert arithmetic.padding(conv1, 224, "same") == (2, 3)


@pytest.mark.parametrize(
    ("size", "window", "rule", "expected"),
    [
        (112, 3, "symmetric", (0, 1)),  # even: one row past the end
        (7, 3, "symmetric", (0, 0)),  # odd: windows 0, 2, 4 end at the edge
        (7, 3, "same", (1, 1)),
        (7, 2, "symmetric", (0, 1)),
        (2, 3, "symmetric", (0, 1)),
        (1, 3, "symmetric", (0, 2)),
    ],
)
def test_stride_2_pools(size, window, rule, expected):
    assert arithmetic.padding(MaxPool("pool", window, 2), size, rule) == expected


def test_pools_inside_a_module_keep_the_size():
    for rule in ("symmetric", "same"):
        pool = MaxPool("pool", 3, 1)
        assert arithmetic.padding(pool, 14, rule) == (1, 1)
        assert arithmetic.output_size(pool, 14, rule) == 14


def test_ceil_mode_never_leaves_a_value_out():
    for size in range(1, 40):
        count = arithmetic.output_size(MaxPool("pool", 3, 2), size, "symmetric")
        assert (count - 1) * 2 + 3 >= size
        assert count == max(-(-(size - 3) // 2), 0) + 1
