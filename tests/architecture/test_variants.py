import json

import pytest

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import parameters
from googlenet_keras.architecture.table1 import MaxPool, ResponseNorm
from googlenet_keras.architecture.variants import (
    BATCH_NORM,
    PAPER,
    SLIM,
    TORCHVISION,
    VARIANTS,
    get_architecture,
)
from googlenet_keras.errors import UserError


def test_only_the_paper_has_response_norm():
    having = [
        name
        for name, v in VARIANTS.items()
        if any(isinstance(row, ResponseNorm) for row in v.rows)
    ]
    assert having == ["paper"]


def test_pool4_is_2x2_in_torchvision_and_slim():
    windows = {
        v.name: [r.window for r in v.rows if isinstance(r, MaxPool)][-1]
        for v in VARIANTS.values()
    }
    assert windows == {"bn": 3, "paper": 3, "torchvision": 2, "slim": 2}


def test_widths_name_every_layer_and_go_back():
    widths = PAPER.widths()
    assert len(widths) == 57 + 4
    assert widths["inception_4e_5x5"] == 128
    assert widths["aux2_fc"] == 1024
    assert PAPER.with_widths(widths) == PAPER


def test_one_width_changes_one_layer():
    changed = BATCH_NORM.with_widths({"inception_3a_5x5_reduce": 24})
    assert changed.widths() == BATCH_NORM.widths() | {"inception_3a_5x5_reduce": 24}
    # 8 more filters: 8 * 192 inputs, 2 * 8 of batch norm, 8 more inputs of 32 5x5
    assert parameters(changed) - parameters("bn") == 8 * 192 + 16 + 8 * 25 * 32


@pytest.mark.parametrize("multiplier", [0.25, 0.4, 0.5, 1.5])
def test_scale_width_rounds_to_multiples_of_8(multiplier):
    widths = SLIM.scale_width(multiplier).widths()
    assert all(w % 8 == 0 and w >= 8 for w in widths.values())
    assert widths["conv2_3x3"] == 8 * round(24 * multiplier)
    assert widths["inception_3a_5x5_reduce"] == max(8, 8 * round(2 * multiplier))


def test_width_1_is_the_network_itself():
    assert TORCHVISION.scale_width(1.0) is TORCHVISION


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))
def test_json_gives_the_same_architecture_back(variant):
    changed = variant.scale_width(0.5)
    assert Architecture.from_json(json.loads(json.dumps(changed.to_json()))) == changed


@pytest.mark.parametrize(
    "broken",
    [{}, {"rows": 3}, {"rows": [{"kind": "os.system"}], "heads": [], "name": "x"}],
)
def test_json_that_is_no_architecture(broken):
    with pytest.raises(UserError, match="no architecture"):
        Architecture.from_json(broken)


def test_unknown_names_get_the_nearest():
    with pytest.raises(UserError, match=r"received 'papr'. Did you mean 'paper'\?"):
        get_architecture("papr")
    with pytest.raises(UserError, match="Did you mean 'inception_3a_1x1'"):
        BATCH_NORM.with_widths({"inception_3a_1": 8})
    with pytest.raises(
        UserError, match=r"conv2_3x3 must be a whole number from 1; .* 0\."
    ):
        BATCH_NORM.with_widths({"conv2_3x3": 0})
    with pytest.raises(UserError, match=r"at least 1e-09 and at most 100; .* -1\."):
        BATCH_NORM.scale_width(-1)
