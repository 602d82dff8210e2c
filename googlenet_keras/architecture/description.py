"""A variant's Table 1 with its costs, and the costs that the paper's design saves."""

from typing import TypedDict

from googlenet_keras.architecture.ablations import without_reductions
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import (
    ImageSize,
    Stage,
    height_and_width,
    iterate_stages,
    row_stage,
)
from googlenet_keras.architecture.table1 import Inception
from googlenet_keras.architecture.variants import get_architecture


class RowDescription(TypedDict):
    """One row of the table, with its share of the network's parameters and macs.

    output: height, width, channels; filters by the layer's short name. Shares are parts
    of the network without its auxiliary heads.
    """

    name: str
    auxiliary: bool
    output: list[int]
    filters: dict[str, int]
    parameters: int
    parameters_share: float
    macs: int
    macs_share: float


class Reduction(TypedDict):
    """Multiply-adds of an Inception module with and without its 1x1 reductions.

    naive: without reductions and projection; direct: 5x5 without its reduction.
    """

    module: str
    macs: int
    naive_macs: int
    naive_output_channels: int
    branch_5x5_macs: int
    branch_5x5_direct_macs: int


class AveragePooling(TypedDict):
    """The map that the main head reads, and the weights of a dense layer on it.

    dense_weights_saved: of as many units as the map has channels; 0 with a dense head.
    """

    map_height: int
    map_width: int
    channels: int
    dense_weights_saved: int


class Description(TypedDict):
    """The output of `describe --json`."""

    variant: str
    image_size: list[int]
    classes: int
    rows: list[RowDescription]
    parameters: int
    parameters_with_auxiliary: int
    macs: int
    macs_with_auxiliary: int
    reductions: list[Reduction]
    average_pooling: AveragePooling
    differences: list[str]


def describe(
    variant: str | Architecture = "bn",
    *,
    classes: int = 1000,
    image_size: ImageSize = 224,
) -> Description:
    """Describes a variant: rows, totals, savings and differences from the paper.

    Raises UserError.
    """
    arch = get_architecture(variant)
    size = height_and_width(image_size)
    stages = list(iterate_stages(arch, classes, size, auxiliary=True))
    trunk = [stage for stage in stages if not stage.auxiliary]
    parameters = sum(stage.parameters for stage in trunk)
    macs = sum(stage.macs for stage in trunk)
    *_, last, _, _ = trunk  # the row before average pooling and the classifier
    height, width, channels = last.output
    return {
        "variant": arch.name,
        "image_size": list(size),
        "classes": classes,
        "rows": [_row(stage, parameters, macs) for stage in stages],
        "parameters": parameters,
        "parameters_with_auxiliary": sum(stage.parameters for stage in stages),
        "macs": macs,
        "macs_with_auxiliary": sum(stage.macs for stage in stages),
        "reductions": [
            _reduction(arch, row, before, stage)
            for row, before, stage in zip(
                arch.rows, [Stage("image", (*size, 3)), *trunk], trunk, strict=False
            )
            if isinstance(row, Inception)
        ],
        "average_pooling": {
            "map_height": height,
            "map_width": width,
            "channels": channels,
            "dense_weights_saved": (
                height * width * channels * channels if arch.dense_units is None else 0
            ),
        },
        "differences": list(arch.differences),
    }


def _row(stage: Stage, parameters: int, macs: int) -> RowDescription:
    return {
        "name": stage.name,
        "auxiliary": stage.auxiliary,
        "output": list(stage.output),
        "filters": {x.name.removeprefix(f"{stage.name}_"): x.outputs
                    for x in stage.layers},
        "parameters": stage.parameters,
        "parameters_share": stage.parameters / parameters,
        "macs": stage.macs,
        "macs_share": stage.macs / macs,
    }  # fmt: skip


def _reduction(
    arch: Architecture, row: Inception, before: Stage, stage: Stage
) -> Reduction:
    naive = row_stage(arch, without_reductions(row), before.output)
    branch_5x5 = (f"{row.name}_5x5_reduce", f"{row.name}_5x5")
    reduced_macs, direct_macs = (
        sum(layer.macs for layer in made.layers if layer.name in branch_5x5)
        for made in (stage, naive)
    )
    return {
        "module": row.name,
        "macs": stage.macs,
        "naive_macs": naive.macs,
        "naive_output_channels": naive.output[2],
        "branch_5x5_macs": reduced_macs,
        "branch_5x5_direct_macs": direct_macs,
    }
