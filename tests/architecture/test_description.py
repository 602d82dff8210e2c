import pytest

from googlenet_keras.architecture.description import describe
from googlenet_keras.architecture.variants import PAPER


@pytest.fixture(scope="module")
def paper():
    return describe("paper")


def test_totals(paper):
    assert paper["parameters"] == 6_998_552
    assert paper["parameters_with_auxiliary"] == 13_378_280
    assert paper["macs"] == 1_582_671_872


def test_shares_of_the_trunk_add_up_to_1(paper):
    trunk = [row for row in paper["rows"] if not row["auxiliary"]]
    assert sum(row["parameters_share"] for row in trunk) == pytest.approx(1)
    assert sum(row["macs_share"] for row in trunk) == pytest.approx(1)
    assert sum(row["macs"] for row in trunk) == paper["macs"]


def test_the_worked_example_of_4a(paper):
    row = next(r for r in paper["reductions"] if r["module"] == "inception_4a")
    assert row["branch_5x5_direct_macs"] == 14 * 14 * 48 * 5 * 5 * 480 == 112_896_000
    assert row["branch_5x5_macs"] == 14 * 14 * 16 * 480 + 14 * 14 * 48 * 5 * 5 * 16
    assert round(row["branch_5x5_macs"] / 1e6, 1) == 5.3
    assert row["naive_output_channels"] == 512 - 64 + 480


def test_a_naive_5x5_branch_of_4a_costs_what_section_4_says():
    without, with_5x5 = (
        describe(PAPER.with_widths({"inception_4a_5x5": filters}))["reductions"][2]
        for filters in (1, 1 + 48)
    )
    assert without["module"] == "inception_4a"
    assert with_5x5["naive_macs"] - without["naive_macs"] == 112_896_000


def test_average_pooling_saves_51_million_weights(paper):
    pooling = paper["average_pooling"]
    sides = pooling["map_height"], pooling["map_width"], pooling["channels"]
    assert sides == (7, 7, 1024)
    assert paper["average_pooling"]["dense_weights_saved"] == 7 * 7 * 1024 * 1024


def test_rows_carry_table_1(paper):
    row = next(r for r in paper["rows"] if r["name"] == "inception_3a")
    assert row["output"] == [28, 28, 256]
    assert list(row["filters"].values()) == [64, 96, 128, 16, 32, 32]
    assert [r["name"] for r in paper["rows"] if r["auxiliary"]] == ["aux1", "aux2"]


def test_every_variant_says_how_it_differs():
    for variant in ("bn", "paper", "torchvision", "slim"):
        assert all(d.endswith(".") for d in describe(variant)["differences"])
        assert describe(variant)["differences"]
