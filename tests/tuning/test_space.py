import random

import pytest
from tuning_parts import budget, space, to_values

from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.tuning.space import SEARCHED_WIDTHS_DIFFERENCE, Space


def drawn(hyperparameters, seed):
    return {
        hp.name: hp.random_sample(seed * 100 + number)
        for number, hp in enumerate(hyperparameters.space)
    }


@pytest.mark.parametrize("seed", range(5))
def test_fine_values_become_a_network_and_the_same_values_again(seed):
    searched = space("fine", ("dropout", "heads"))
    values = drawn(searched.hyperparameters(), seed)
    arch = Architecture.from_json(searched.to_architecture(values).to_json())
    assert to_values(searched, arch) == pytest.approx(values)
    assert arch.widths()["inception_4c_5x5"] == values["inception_4c_5x5"]
    assert all(width % 8 == 0 for width in arch.widths().values())


@pytest.mark.parametrize("level", ["coarse", "fine"])
@pytest.mark.parametrize("seed", range(5))
def test_a_network_becomes_values_and_the_same_network_again(level, seed):
    searched = space(level, ("dropout", "variant", "heads"))
    arch = searched.to_architecture(drawn(searched.hyperparameters(), seed))
    assert searched.to_architecture(to_values(searched, arch)) == arch


def test_a_factor_of_one_is_the_uniform_network_but_for_the_words():
    searched = space("coarse")
    arch = searched.to_architecture(dict.fromkeys(searched.grids, 1.0))
    assert arch.widths() == BATCH_NORM.scale_width(0.5).widths()
    assert arch.differences == (*BATCH_NORM.differences, SEARCHED_WIDTHS_DIFFERENCE)


def test_each_stage_has_a_factor_and_each_convolution_a_width():
    assert list(space("coarse").grids) == [
        *("stem", "inception_3", "inception_4", "inception_5")
    ]
    assert len(space("fine").grids) == 57
    assert space("fine").grids["inception_5b_1x1"] == tuple(range(48, 385, 8))
    assert space("fine", width=0.01).grids["conv1_7x7_s2"] == (8, 16)


@pytest.mark.parametrize("level", ["coarse", "fine"])
def test_a_network_without_reductions_is_searched_as_it_is(level):
    base = ablate("bn", module="naive", head="dense").scale_width(0.5)
    searched = Space(base, level)
    values = drawn(searched.hyperparameters(), seed=1)
    arch = searched.to_architecture(values)
    assert arch.widths().keys() == base.widths().keys()
    assert arch.dense_units == base.dense_units == 512
    assert len(searched.grids) == (3 + 9 * 3 if level == "fine" else 4)
    limited = budget(macs=100e6)
    fitted = searched.to_architecture(limited.fit(values, searched))
    assert 95e6 < limited.costs.of(fitted, "macs") <= 100e6


def test_heads_left_out_are_not_in_the_network():
    searched = space("coarse", ("heads",))
    values = dict.fromkeys(searched.grids, 1.0)
    arch = searched.to_architecture(values | {"heads": "aux2"})
    assert [head.name for head in arch.heads] == ["aux2"]
    assert not searched.to_architecture(values | {"heads": "none"}).heads


def test_a_variant_brings_its_own_rows():
    searched = space("coarse", ("variant",))
    values = dict.fromkeys(searched.grids, 1.0)
    arch = searched.to_architecture(values | {"variant": "torchvision"})
    assert (arch.name, arch.wide_kernel) == ("torchvision", 3)


def test_a_network_outside_the_space_has_no_values():
    with pytest.raises(StopIteration):
        to_values(space("coarse"), BATCH_NORM.scale_width(3))


def test_scaling_stays_on_the_grid():
    searched = space("fine")
    values = to_values(searched, BATCH_NORM.scale_width(0.5))
    grids = searched.grids
    for factor in (0, 0.3, 0.77, 5, random.Random(0).random()):
        scaled = searched.scale(values, factor)
        assert all(value in grids[name] for name, value in scaled.items())
    assert searched.scale(values, 0)["conv2_3x3"] == grids["conv2_3x3"][0]
    assert searched.scale(values, 9)["conv2_3x3"] == grids["conv2_3x3"][-1]
