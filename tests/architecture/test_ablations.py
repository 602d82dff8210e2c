import json
from dataclasses import replace

import pytest

from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import iterate_stages, macs, parameters
from googlenet_keras.architecture.table1 import Inception
from googlenet_keras.architecture.variants import BATCH_NORM, PAPER
from googlenet_keras.errors import UserError

NAIVE, DENSE = ablate("paper", module="naive"), ablate("paper", head="dense")
MODULES = (  # 1x1, 3x3, 5x5 and the side of the map, from the paper's Table 1
    *((64, 128, 32, 28), (128, 192, 96, 28), (192, 208, 48, 14), (160, 224, 64, 14)),
    *((128, 256, 64, 14), (112, 288, 64, 14), (256, 320, 128, 14)),
    *((256, 320, 128, 7), (384, 384, 128, 7)),
)


def stages(arch):
    return {s.name: s for s in iterate_stages(arch, 1000, 224, auxiliary=False)}


def test_a_naive_module_by_hand():
    stage = stages(NAIVE)["inception_3a"]
    weights = 192 * 64 + 9 * 192 * 128 + 25 * 192 * 32  # all three read 192 channels
    assert weights == 387_072
    assert stage.parameters == weights + 64 + 128 + 32 == 387_296
    assert stage.macs == 28 * 28 * weights == 303_464_448
    assert stage.output == (28, 28, 64 + 128 + 32 + 192)  # pooling keeps its input


def test_naive_modules_by_hand():
    channels, trained, multiplied = 192, 0, 0
    for conv1x1, conv3x3, conv5x5, side in MODULES:
        weights = channels * (conv1x1 + 9 * conv3x3 + 25 * conv5x5)
        trained += weights + conv1x1 + conv3x3 + conv5x5
        multiplied += side * side * weights
        channels += conv1x1 + conv3x3 + conv5x5
    assert channels == 4944
    stem = 49 * 3 * 64 + 64 + 64 * 64 + 64 + 9 * 64 * 192 + 192
    stem_macs = 112 * 112 * 49 * 3 * 64 + 56 * 56 * (64 * 64 + 9 * 64 * 192)
    trained += stem + 4944 * 1000 + 1000
    multiplied += stem_macs + 4944 * 1000
    assert parameters(NAIVE) == trained == 97_526_008
    assert macs(NAIVE) == multiplied == 12_568_061_056


def test_a_dense_head_has_51_million_weights():
    assert parameters(DENSE) - parameters("paper") == 51_380_224 + 1024  # biases
    assert macs(DENSE) - macs("paper") == 7 * 7 * 1024 * 1024 == 51_380_224
    assert stages(DENSE)["main_fc"].output == (1, 1, 1024)
    assert "average_pool" not in stages(DENSE)


def test_both():
    both = ablate("bn", module="naive", head="dense")
    assert both.name == "bn_naive_dense"
    naive = parameters(ablate("bn", module="naive"))
    dense = 7 * 7 * 4944 * 1024 + 1024
    assert parameters(both) == naive + dense - (4944 - 1024) * 1000
    assert both.differences[:-2] == BATCH_NORM.differences
    assert "naive" in both.differences[-2]
    assert "dense layer" in both.differences[-1]


def test_one_reduction_alone_may_be_missing():
    rows = tuple(
        replace(row, reduce5x5=None) if row.name == "inception_4a" else row
        for row in PAPER.rows
    )
    direct = stages(replace(PAPER, rows=rows))["inception_4a"]
    reduced = stages(PAPER)["inception_4a"]
    assert direct.macs - reduced.macs == 112_896_000 - 1_505_280 - 3_763_200
    assert direct.output == reduced.output


def test_what_is_ablated_stays_so():
    assert ablate(NAIVE, module="naive") is NAIVE
    assert ablate(DENSE, head="dense") is DENSE
    narrow = DENSE.with_widths({"main_fc": 40})
    assert ablate(narrow, head="dense").dense_units == 40
    assert ablate("paper") is PAPER


def test_widths_are_those_of_the_layers_that_exist():
    assert len(NAIVE.widths()) == 3 + 9 * 3 + 4
    assert DENSE.widths() == PAPER.widths() | {"main_fc": 1024}
    with pytest.raises(UserError, match=r"must be one of .*'inception_3a_3x3_reduce'"):
        NAIVE.with_widths({"inception_3a_3x3_reduce": 8})
    with pytest.raises(UserError, match="layer must be one of"):
        PAPER.with_widths({"main_fc": 8})
    narrow = ablate(NAIVE, head="dense").scale_width(0.25)
    assert narrow.dense_units == 256
    assert narrow.rows[-1] == Inception("inception_5b", 96, None, 96, None, 32, None)
    assert stages(narrow)["inception_3a"].output == (28, 28, 16 + 32 + 8 + 48)


@pytest.mark.parametrize("arch", [NAIVE, DENSE], ids=["naive", "dense"])
def test_json_gives_the_same_network_back(arch):
    assert Architecture.from_json(json.loads(json.dumps(arch.to_json()))) == arch


def test_files_from_before_load():
    before = PAPER.to_json()
    del before["dense_units"]
    assert Architecture.from_json(before) == PAPER


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dense_units": 0}, "dense_units .* none or a whole number from 1 to 65536"),
        ({"dense_units": "1024"}, "dense_units .* received '1024'"),
        ({"dense_units": True}, "dense_units .* received True"),
        ({"dense_units": 65537}, "dense_units .* received 65537"),
    ],
)
def test_units_that_no_layer_has(change, message):
    with pytest.raises(UserError, match=message):
        Architecture.from_json(PAPER.to_json() | change)


@pytest.mark.parametrize(
    ("field", "value"), [("reduce3x3", 0), ("pool_proj", "none"), ("conv5x5", None)]
)
def test_widths_that_no_module_has(field, value):
    module = PAPER.rows[-1]
    with pytest.raises(UserError, match=f"{field} of inception_5b must be a whole"):
        replace(module, **{field: value})


def test_unknown_ablations():
    with pytest.raises(UserError, match=r"module must be one of naive; .*'naif'"):
        ablate("bn", module="naif")
    with pytest.raises(UserError, match="head must be one of dense"):
        ablate("bn", head="average")
