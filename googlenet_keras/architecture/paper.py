"""Compares the numbers printed in the paper with those computed from Table 1.

The paper is arXiv 1409.4842, read in a copy of its text. Its parameters are weights
without biases, its operations multiply-adds, its K is 1024. A number matches if the
computed one rounds to it; for each that does not, one line says why.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypedDict

from googlenet_keras.architecture.ablations import ABLATIONS, ablate
from googlenet_keras.architecture.arithmetic import (
    Layer,
    Stage,
    auxiliary_window,
    iterate_stages,
    layers,
)
from googlenet_keras.architecture.description import describe
from googlenet_keras.architecture.table1 import Conv, Inception, MaxPool, Row
from googlenet_keras.architecture.variants import PAPER

Computed = int | float | str
IMAGE_SIZE, CLASSES = 224, 1000

UNITS = {"": 1, "%": 0.01, "K": 1024, "M": 10**6, "million": 10**6, "billion": 10**9}
PRINTED_NUMBER = re.compile(r"(\d+)(?:\.(\d+))?( ?)([A-Za-z%]*)")

TABLE_1_COLUMNS = (
    *("patch", "output", "depth", "1x1", "3x3 reduce", "3x3"),
    *("5x5 reduce", "5x5", "pool proj", "parameters", "operations"),
)
# linear is the layer that is called main here
TABLE_1_AS_PRINTED = """
conv1         7x7/2  112x112x64  1    -    -    -   -    -    -   2.7K   34M
pool1         3x3/2  56x56x64    0    -    -    -   -    -    -      -     -
conv2         3x3/1  56x56x192   2    -   64  192   -    -    -   112K  360M
pool2         3x3/2  28x28x192   0    -    -    -   -    -    -      -     -
inception_3a  -      28x28x256   2   64   96  128  16   32   32   159K  128M
inception_3b  -      28x28x480   2  128  128  192  32   96   64   380K  304M
pool3         3x3/2  14x14x480   0    -    -    -   -    -    -      -     -
inception_4a  -      14x14x512   2  192   96  208  16   48   64   364K   73M
inception_4b  -      14x14x512   2  160  112  224  24   64   64   437K   88M
inception_4c  -      14x14x512   2  128  128  256  24   64   64   463K  100M
inception_4d  -      14x14x528   2  112  144  288  32   64   64   580K  119M
inception_4e  -      14x14x832   2  256  160  320  32  128  128   840K  170M
pool4         3x3/2  7x7x832     0    -    -    -   -    -    -      -     -
inception_5a  -      7x7x832     2  256  160  320  32  128  128  1072K   54M
inception_5b  -      7x7x1024    2  384  192  384  48  128  128  1388K   71M
average_pool  7x7/1  1x1x1024    0    -    -    -   -    -    -      -     -
dropout       -      1x1x1024    0    -    -    -   -    -    -      -     -
linear        -      1x1x1000    1    -    -    -   -    -    -  1000K    1M
softmax       -      1x1x1000    0    -    -    -   -    -    -      -     -
"""

SEPARABLE = (
    "The printed numbers are those of a separable convolution, as TF-Slim's Inception "
    "v2 has it: 8 filters of 7x7 on each color, then 1x1, together 2,712 weights. A "
    "plain one from 3 to 64 channels costs what is computed."
)
OTHER_PARAMETERS = (
    "The operations printed in this row are those of its filters; its parameters are "
    "not."
)
OTHER_FILTERS = (
    "The row's parameters and operations fit each other, but not its filters; they are "
    "those of slightly other ones."
)
ONE_OFF = "One off in the last printed digit."
TABLE_1_EXPLANATIONS = {
    ("conv1", "parameters"): SEPARABLE,
    ("conv1", "operations"): SEPARABLE,
    ("inception_3b", "parameters"): ONE_OFF,
    ("inception_4a", "parameters"): OTHER_FILTERS,
    ("inception_4a", "operations"): OTHER_FILTERS,
    ("inception_4b", "parameters"): ONE_OFF,
    ("inception_4c", "parameters"): OTHER_PARAMETERS,
    ("inception_4d", "parameters"): OTHER_PARAMETERS,
    ("inception_4e", "parameters"): OTHER_PARAMETERS,
    ("inception_5a", "parameters"): OTHER_FILTERS,
    ("inception_5a", "operations"): OTHER_FILTERS,
    ("inception_5b", "parameters"): OTHER_PARAMETERS,
}

CUT_OFF = "Cut off after the last printed digit, not rounded."
BLOCKS = (
    "Counted are convolutions, pools, normalizations, concatenations, dropout, linear "
    "and softmax, but no ReLUs; the paper leaves open what counts."
)
FIVE_MILLION = (
    "No count of Table 1 gives it: there are 7.0 million with the linear layer and 6.0 "
    "million without."
)
TWELVE_TIMES = "60 million over 5 million gives it; GoogLeNet has 7.0 million."
BUDGET = (
    "The operations of Table 1 as printed add up to it, 1,502M; they have 34M in place "
    "of 118M in the first row."
)
SOURCES = {
    "Table 1": "of the paper, arXiv 1409.4842",
    "text": "of the paper",
    "reviews": "summaries of the paper, which work out what it only states",
    "Inception v3": "a later paper of the authors, arXiv 1512.00567",
    "AlexNet": "Krizhevsky et al., NIPS 2012",
}

ALEXNET = (  # conv2, conv4 and conv5 see the half of the channels that is on their GPU
    Layer("conv1", 3, 96, kernel=11, height=55, width=55),
    Layer("conv2", 48, 256, kernel=5, height=27, width=27),
    Layer("conv3", 256, 384, kernel=3, height=13, width=13),
    Layer("conv4", 192, 384, kernel=3, height=13, width=13),
    Layer("conv5", 192, 256, kernel=3, height=13, width=13),
    Layer("fc6", 6 * 6 * 256, 4096),
    Layer("fc7", 4096, 4096),
    Layer("fc8", 4096, 1000),
)


@dataclass(frozen=True)
class Comparison:
    """A printed number beside the computed one.

    row: of Table 1, or "" for a number from a text. source: one of SOURCES.
    explanation: why the numbers differ, "" if they match.
    """

    row: str
    quantity: str
    printed: str
    computed: Computed
    source: str
    explanation: str = ""

    @property
    def matches(self) -> bool:
        """Whether the computed number rounds to the printed one; a half fits both."""
        if isinstance(self.computed, str):
            return self.computed == self.printed
        value, step, _ = read_number(self.printed)
        return abs(self.computed - value) <= step / 2

    @property
    def shown(self) -> str:
        """The computed number in the unit of the printed one, with one digit more."""
        if isinstance(self.computed, str):
            return self.computed
        _, step, unit = read_number(self.printed)
        scale = UNITS[unit.strip()]
        if self.computed % scale == 0 and step == scale:
            return f"{self.computed / scale:,.0f}{unit}"
        digits = len(str(round(scale / step)))
        return f"{self.computed / scale:,.{digits}f}{unit}"


class Costs(TypedDict):
    """Parameters with biases, and multiply-adds for one image."""

    parameters: int
    macs: int


def read_number(printed: str) -> tuple[float, float, str]:
    """The value, the value of one in the last digit, and the unit with its space."""
    match = PRINTED_NUMBER.fullmatch(printed)
    assert match, printed
    whole, fraction, gap, unit = match[1], match[2] or "", match[3], match[4]
    step = UNITS[unit] / 10 ** len(fraction)
    return int(whole + fraction) * step, step, gap + unit


def compare_with_paper() -> list[Comparison]:
    """Every printed number: Table 1 row by row, then what the texts say."""
    return [
        *_table_1(),
        *_depth_claims(),
        *_reduction_claims(),
        *_head_claims(),
        *_cost_claims(),
    ]


def network_costs() -> dict[str, Costs]:
    """Costs of the paper's network, its ablations and AlexNet, by name."""
    networks = {
        "GoogLeNet": layers(PAPER, CLASSES, IMAGE_SIZE, auxiliary=False),
        "with auxiliary heads": layers(PAPER, CLASSES, IMAGE_SIZE, auxiliary=True),
        "AlexNet": ALEXNET,
    }
    for option, names in ABLATIONS.items():
        for name in names:
            arch = ablate(PAPER, **{option: name})
            networks[f"--{option} {name}"] = layers(arch, CLASSES, IMAGE_SIZE, False)
    return {
        name: {
            "parameters": sum(layer.parameters for layer in counted),
            "macs": sum(layer.macs for layer in counted),
        }
        for name, counted in networks.items()
    }


def _table_1() -> Iterator[Comparison]:
    computed = _compute_table_1()
    for row, *cells in _printed_table_1():
        for column, printed in zip(TABLE_1_COLUMNS, cells, strict=True):
            if printed != "-":
                explanation = TABLE_1_EXPLANATIONS.get((row, column), "")
                found = computed[row][column]
                yield Comparison(row, column, printed, found, "Table 1", explanation)


def _printed_table_1() -> list[list[str]]:
    return [line.split() for line in TABLE_1_AS_PRINTED.strip().splitlines()]


def _compute_table_1() -> dict[str, dict[str, Computed]]:
    """The cells of Table 1 by row and column, without those that are left empty."""
    rows, widths = {row.name: row for row in PAPER.rows}, PAPER.widths()
    stages = list(iterate_stages(PAPER, CLASSES, IMAGE_SIZE, auxiliary=False))
    *_, last, pool, main = stages
    stages[-1:] = [
        replace(pool, name="dropout"),
        replace(main, name="linear"),
        Stage("softmax", main.output),
    ]
    table: dict[str, dict[str, Computed]] = {}
    for name, *_ in _printed_table_1():
        parts = [s for s in stages if f"{s.name}_".startswith(f"{name}_")]
        table[name] = {
            "output": "x".join(map(str, parts[-1].output)),
            "depth": sum(_depth(stage, rows.get(stage.name)) for stage in parts),
            "parameters": sum(x.weights for stage in parts for x in stage.layers),
            "operations": sum(stage.macs for stage in parts),
        }
        for part in parts:
            row = rows.get(part.name)
            if isinstance(row, Conv | MaxPool):  # of several, the last one's is printed
                table[name]["patch"] = f"{row.window}x{row.window}/{row.stride}"
        for end in Inception.WIDTHS:
            if name + end in widths:
                column = end.removeprefix("_").replace("_", " ")
                table[name][column] = widths[name + end]
    height, width, _ = last.output
    table["average_pool"]["patch"] = f"{height}x{width}/1"
    return table


def _depth(stage: Stage, row: Row | None) -> int:
    """The layers with weights on the longest way through a stage."""
    if not isinstance(row, Inception):
        return len(stage.layers)
    branches = row.branches(PAPER.wide_kernel)
    return max(sum(isinstance(x, Conv) for x in branch) for branch in branches)


def _depth_claims() -> Iterator[Comparison]:
    depth = sum(int(row["depth"]) for row in _compute_table_1().values())
    pools = 1 + sum(isinstance(row, MaxPool) for row in PAPER.rows)  # 1: the average
    modules = [row for row in PAPER.rows if isinstance(row, Inception)]
    inside = sum(len(branch) for row in modules for branch in row.branches(5))
    # each concatenation stands for its module; then average pool to softmax
    blocks = len(PAPER.rows) + inside + 4
    yield _claim("layers with parameters", "22", depth)
    yield _claim("layers with parameters, and pools", "27", depth + pools)
    yield _claim("building blocks, about", "100", blocks, BLOCKS)
    yield _claim("Inception modules", "9", len(modules), source="reviews")


def _reduction_claims() -> Iterator[Comparison]:
    description = describe(PAPER)
    stages = iterate_stages(PAPER, CLASSES, IMAGE_SIZE, auxiliary=False)
    macs = {layer.name: layer.macs for stage in stages for layer in stage.layers}
    (example,) = (
        row for row in description["reductions"] if row["module"] == "inception_4a"
    )
    reduce, conv = macs["inception_4a_5x5_reduce"], macs["inception_4a_5x5"]
    spared = description["average_pooling"]["dense_weights_saved"]
    claim = partial(_claim, source="reviews")
    direct = example["branch_5x5_direct_macs"]
    yield claim("multiply-adds of 4a's 5x5, direct", "112.9M", direct)
    yield claim("of its reduction to 16 channels", "1.5M", reduce)
    yield claim("of the 5x5 behind the reduction", "3.8M", conv)
    yield claim("of both", "5.3M", example["branch_5x5_macs"])
    yield claim("weights that average pooling spares", "51.3M", spared, CUT_OFF)


def _head_claims() -> Iterator[Comparison]:
    maps = {s.name: s.output for s in iterate_stages(PAPER, CLASSES, IMAGE_SIZE, False)}
    yield _claim("dropout before linear", "40%", PAPER.dropout, source="Table 1")
    yield _claim("dropout of an auxiliary head", "70%", PAPER.auxiliary_dropout)
    for head, printed in zip(PAPER.heads, ("4x4x512", "4x4x528"), strict=True):
        height, width, channels = maps[head.after]
        pooled = [auxiliary_window(PAPER, side)[2] for side in (height, width)]
        found = "x".join(map(str, (*pooled, channels)))
        yield _claim(f"pooled map of {head.name}", printed, found)
        yield _claim(f"1x1 filters of {head.name}", "128", head.filters)
        yield _claim(f"dense units of {head.name}", "1024", head.units)


def _cost_claims() -> Iterator[Comparison]:
    costs = network_costs()
    googlenet, alexnet = (
        costs["GoogLeNet"]["parameters"],
        costs["AlexNet"]["parameters"],
    )
    yield _claim("parameters of AlexNet", "60 million", alexnet, CUT_OFF, "AlexNet")
    yield _claim(
        *("parameters of GoogLeNet", "5 million", googlenet),
        *(FIVE_MILLION, "Inception v3"),
    )
    ratio = alexnet / googlenet
    yield _claim("AlexNet's parameters over GoogLeNet's", "12", ratio, TWELVE_TIMES)
    yield _claim("multiply-adds", "1.5 billion", costs["GoogLeNet"]["macs"], BUDGET)


def _claim(
    quantity: str,
    printed: str,
    computed: Computed,
    explanation: str = "",
    source: str = "text",
) -> Comparison:
    return Comparison("", quantity, printed, computed, source, explanation)
