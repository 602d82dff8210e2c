import math

import pytest
from making import ROOT

from googlenet_keras.architecture import paper
from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.arithmetic import macs, parameters
from googlenet_keras.architecture.paper import (
    Comparison,
    compare_with_paper,
    network_costs,
    read_number,
)

COMPARISONS = compare_with_paper()
TABLE_1 = {(x.row, x.quantity): x for x in COMPARISONS if x.row}
TEXTS = {x.quantity: x for x in COMPARISONS if not x.row}
MODULES = dict.fromkeys(x.row for x in COMPARISONS if x.row.startswith("inception"))


def interval(printed):
    """The numbers that round to a printed one."""
    value, step, _ = read_number(printed)
    return value - step / 2, value + step / 2


@pytest.mark.parametrize("x", COMPARISONS, ids=lambda x: f"{x.row} {x.quantity}")
def test_a_printed_number_matches_or_carries_its_explanation(x):
    assert x.matches == (x.explanation == ""), f"{x.printed}, computed {x.shown}"
    assert "\n" not in x.explanation
    assert x.source in paper.SOURCES


def test_every_explanation_is_of_a_printed_number():
    assert TABLE_1.keys() >= paper.TABLE_1_EXPLANATIONS.keys()


def test_nothing_printed_is_left_out():
    cells = [cell for line in paper.TABLE_1_AS_PRINTED.split() for cell in line.split()]
    assert len(TABLE_1) == sum(cell != "-" for cell in cells) - 19  # names of rows
    assert len(MODULES) == 9
    assert len(TEXTS) == 21


def test_the_computed_numbers_are_those_worked_out_by_hand():
    assert TABLE_1["conv1", "parameters"].computed == 7 * 7 * 3 * 64 == 9408
    assert TABLE_1["conv1", "operations"].computed == 112 * 112 * 9408
    assert TABLE_1["conv2", "depth"].computed == 2
    assert TABLE_1["inception_4c", "parameters"].computed == (
        512 * (128 + 128 + 24 + 64) + 9 * 128 * 256 + 25 * 24 * 64
    )
    assert TABLE_1["average_pool", "patch"].computed == "7x7/1"
    assert TEXTS["weights that average pooling spares"].computed == 51_380_224
    assert TEXTS["layers with parameters"].computed == 1 + 2 + 9 * 2 + 1
    assert TEXTS["layers with parameters, and pools"].computed == 22 + 4 + 1
    assert network_costs()["GoogLeNet"]["parameters"] == 6_998_552
    heads = network_costs()["with auxiliary heads"]
    assert heads["parameters"] == 6_998_552 + 3_188_840 + 3_190_888
    assert network_costs()["--module naive"]["macs"] == 12_568_061_056


def test_alexnet_is_counted_as_in_its_paper():
    assert network_costs()["AlexNet"] == {
        "parameters": 60_965_224, "macs": 724_406_816
    }  # fmt: skip


def test_a_separable_first_row_costs_what_is_printed():
    weights = 7 * 7 * 3 * 8 + 3 * 8 * 64
    assert f"{weights:,}" in paper.SEPARABLE
    assert round(weights / 1000, 1) == 2.7
    assert Comparison("", "", "34M", 112 * 112 * weights, "text").matches


def places(row):
    height, width, _ = map(int, TABLE_1[row, "output"].printed.split("x"))
    return height * width


@pytest.mark.parametrize("row", MODULES)
def test_why_parameters_differ_is_true(row):
    """Whether the row's printed operations are its printed parameters at each place."""
    explanation = TABLE_1[row, "parameters"].explanation
    operations = TABLE_1[row, "operations"]
    low, high = (places(row) * x for x in interval(TABLE_1[row, "parameters"].printed))
    least, most = interval(operations.printed)
    fit_each_other = low <= most and least <= high
    if explanation == paper.OTHER_PARAMETERS:
        assert operations.matches
        assert not fit_each_other
    if explanation == paper.OTHER_FILTERS:
        assert fit_each_other
        assert not operations.matches
    if explanation == paper.ONE_OFF:
        value, step, _ = read_number(TABLE_1[row, "parameters"].printed)
        assert abs(TABLE_1[row, "parameters"].computed - value) == step


def test_why_the_texts_numbers_differ_is_true():
    printed = [x for x in TABLE_1.values() if x.quantity == "operations"]
    total = sum(read_number(x.printed)[0] for x in printed)
    assert total == 1_502_000_000
    assert "1,502M" in paper.BUDGET
    trained = network_costs()["GoogLeNet"]["parameters"]
    assert round(trained / 1e6, 1) == 7.0
    assert round((trained - 1_025_000) / 1e6, 1) == 6.0
    for quantity in ("weights that average pooling spares", "parameters of AlexNet"):
        value, step, _ = read_number(TEXTS[quantity].printed)
        assert math.floor(TEXTS[quantity].computed / step) * step == value


@pytest.mark.parametrize(
    ("printed", "computed", "matches", "shown"),
    [
        ("159K", 163_328, True, "159.5K"),  # a half fits both neighbors
        ("159K", 163_329, False, "159.5K"),
        ("380K", 388_096, False, "379K"),
        ("5.3M", 5_268_480, True, "5.27M"),
        ("1.5 billion", 1_582_671_872, False, "1.58 billion"),
        ("1024", 1024, True, "1,024"),
        ("40%", 0.4, True, "40.0%"),
        ("12", 8.7111, False, "8.7"),
        ("4x4x512", "4x4x528", False, "4x4x528"),
    ],
)
def test_a_number_is_shown_with_one_digit_more_than_printed(
    printed, computed, matches, shown
):
    found = Comparison("", "", printed, computed, "text")
    assert (found.matches, found.shown) == (matches, shown)


def test_the_page_has_these_numbers():
    page = (ROOT / "docs" / "googlenet.md").read_text()
    assert f"compares {len(COMPARISONS)} numbers" in page
    for row in dict.fromkeys(row for row, column in TABLE_1 if column == "parameters"):
        output, depth, parameters, operations = (
            TABLE_1[row, x] for x in ("output", "depth", "parameters", "operations")
        )
        cells = [row.removeprefix("inception_"), output.printed, depth.printed]
        for x in (parameters, operations):
            cells += [x.printed, x.shown]
        assert f"| {' | '.join(cells)} |" in page
    costs = network_costs()
    for name in ("GoogLeNet", "AlexNet"):
        parameters, macs = costs[name].values()
        assert f"| {name} | {parameters:,} | {macs:,} |" in page
    for cost in ("parameters", "macs"):
        heads = costs["with auxiliary heads"][cost] - costs["GoogLeNet"][cost]
        assert f"{heads:,}" in page


def test_the_page_has_the_costs_of_the_networks_it_trained():
    page = (ROOT / "docs" / "googlenet.md").read_text()
    for name, module, head in (
        *(("bn", None, None), ("naive", "naive", None)),
        ("dense", None, "dense"),
    ):
        arch = ablate("bn", module=module, head=head).scale_width(0.25)
        trained = parameters(arch, classes=10, image_size=64)
        multiplied = macs(arch, classes=10, image_size=64)
        assert f"| `{name}` | {trained:,} | {multiplied:,} |" in page
