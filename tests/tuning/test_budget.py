import pytest
from making import two_modules
from tuning_parts import budget, model, space

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.variants import BATCH_NORM, PAPER
from googlenet_keras.errors import UserError
from googlenet_keras.tuning.budget import COST_NAMES, Budget, Costs
from googlenet_keras.tuning.latency import WORK_KINDS, LatencyModel, convert_untrained
from googlenet_keras.tuning.space import Space


def values(searched, seed):
    hps = searched.hyperparameters().space
    return {hp.name: hp.random_sample(99 * seed + n) for n, hp in enumerate(hps)}


@pytest.mark.slow
@pytest.mark.parametrize("level", ["coarse", "fine"])
@pytest.mark.parametrize(
    "limits",
    [{"macs": 100e6}, {"megabytes": 1.0}, {"macs": 60e6, "parameters": 9e5},
     {"milliseconds": 0.5}],
)  # fmt: skip
def test_candidates_fill_the_budget_and_keep_it(level, limits):
    allowed = budget(**limits)
    searched = Space(allowed.largest_uniform(BATCH_NORM), level)
    for seed in range(3):
        fitted = allowed.fit(values(searched, seed), searched)
        arch = searched.to_architecture(fitted)
        found = {name: allowed.costs.of(arch, name) for name in COST_NAMES}
        assert all(found[name] <= limit for name, limit in limits.items())
        assert any(found[name] > 0.9 * limit for name, limit in limits.items())
        assert allowed.fit(fitted, searched) == fitted


def test_proportions_are_kept():
    allowed = budget(macs=100e6)
    searched = Space(allowed.largest_uniform(BATCH_NORM), "coarse")
    wide_end = {"stem": 0.5, "inception_3": 0.5, "inception_4": 1.0, "inception_5": 2.0}
    fitted = allowed.fit(wide_end, searched)
    assert fitted["stem"] < fitted["inception_4"] < fitted["inception_5"]


def test_the_uniform_network_is_the_widest_that_fits():
    allowed = budget(macs=100e6)
    widths = [BATCH_NORM.scale_width(percent / 200) for percent in range(40, 200)]
    sizes = [allowed.costs.of(arch, "macs") for arch in widths]
    largest = max(size for size in sizes if size <= 100e6)
    assert allowed.costs.of(allowed.largest_uniform(BATCH_NORM), "macs") == largest
    assert budget(macs=1e12).largest_uniform(BATCH_NORM) is BATCH_NORM


def test_channels_that_cost_no_milliseconds_are_used():
    """Here all the time is in the outputs, which are computed in blocks."""
    costs = dict.fromkeys(WORK_KINDS, 0.0) | {"outputs": 1e-6}
    known = LatencyModel(10, (96,), costs, 0.0, channel_block=32)
    allowed = Budget({"milliseconds": 0.4}, Costs(10, (96,), known))
    searched = Space(allowed.largest_uniform(BATCH_NORM), "fine")
    fitted = allowed.fit(values(searched, 1), searched)
    ends = {name: grid[-1] for name, grid in searched.grids.items()}
    assert all(x % 32 == 0 or x == ends[name] for name, x in fitted.items())
    assert any(x < ends[name] for name, x in fitted.items())  # and the limit binds


def test_without_limits_candidates_stay_as_they_are():
    searched = space("coarse")
    proposed = values(searched, 1)
    assert budget().fit(proposed, searched) == proposed


def test_an_impossible_budget_says_what_the_smallest_network_needs():
    smallest = BATCH_NORM.scale_width(1e-9)
    macs = arithmetic.macs(smallest, classes=10, image_size=96)
    with pytest.raises(UserError, match="8 filters everywhere") as error:
        budget(macs=1000, megabytes=100).largest_uniform(BATCH_NORM)
    assert f"--max-macs 1,000, where the smallest needs {macs:,}" in str(error.value)
    assert "megabytes" not in str(error.value)
    budget(macs=macs).largest_uniform(BATCH_NORM)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch",
    [
        BATCH_NORM.scale_width(0.5),
        pytest.param(PAPER.scale_width(0.25), marks=pytest.mark.exhaustive),
    ],
    ids=["bn", "paper"],
)
def test_megabytes_are_those_of_the_file(arch, tmp_path):
    costs = Costs(10, (32,), model())
    file = convert_untrained(arch, costs, tmp_path / "network")
    exact = file.stat().st_size / 1e6
    assert costs.of(arch, "megabytes") == pytest.approx(exact + 0.020, abs=0.004)


def test_drawn_networks_differ_fill_the_budget_and_begin_with_even_width():
    allowed = budget(macs=30e6)
    searched = Space(allowed.largest_uniform(BATCH_NORM))
    drawn = allowed.draw(searched, 5, seed=1)
    assert drawn[0] == searched.uniform_values()
    assert drawn[:3] == allowed.draw(searched, 3, seed=1)
    assert drawn[1:] != allowed.draw(searched, 5, seed=2)[1:]
    archs = {searched.to_architecture(values) for values in drawn}
    assert len(archs) == 5
    for values in drawn[1:]:
        assert allowed.costs.of(searched.to_architecture(values), "macs") > 0.9 * 30e6
        assert allowed.fit(values, searched) == values
    widest = searched.widest().widths()
    assert all(arch.widths()[x] <= widest[x] for arch in archs for x in widest)
    assert widest["inception_4c_1x1"] == 2 * searched.base.widths()["inception_4c_1x1"]


def test_a_space_has_an_end():
    searched = Space(two_modules(width=1e-9))
    allowed = budget(macs=budget().costs.of(searched.base, "macs"))
    assert len(allowed.draw(searched, 10, seed=0)) == 1
