"""Table 1 of a variant with its costs, and the costs that the paper's design saves."""

from typing import TypedDict

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import FeatureMap, Stage
from googlenet_keras.architecture.rows import Inception
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
    """Size of the dense layer that global average pooling replaces."""

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
    image_size: int | tuple[int, ...] = 224,
) -> Description:
    """Describes a variant: rows, totals, savings and differences from the paper.

    Raises UserError.
    """
    arch = get_architecture(variant)
    size = arithmetic.height_and_width(image_size)
    stages = list(arithmetic.iterate_stages(arch, classes, size, auxiliary=True))
    trunk = [stage for stage in stages if not stage.auxiliary]
    parameters, macs = _total(trunk)
    parameters_with_auxiliary, macs_with_auxiliary = _total(stages)
    return {
        "variant": arch.name,
        "image_size": list(size),
        "classes": classes,
        "rows": [_row(stage, parameters, macs) for stage in stages],
        "parameters": parameters,
        "parameters_with_auxiliary": parameters_with_auxiliary,
        "macs": macs,
        "macs_with_auxiliary": macs_with_auxiliary,
        "reductions": _reductions(arch, stages, size),
        "average_pooling": _average_pooling(arch, size),
        "differences": list(arch.differences),
    }


def _total(stages: list[Stage]) -> tuple[int, int]:
    return sum(s.parameters for s in stages), sum(s.macs for s in stages)


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


def _reductions(
    arch: Architecture, stages: list[Stage], size: tuple[int, int]
) -> list[Reduction]:
    by_name = {stage.name: stage for stage in stages}
    inputs: FeatureMap = (*size, 3)
    reductions = []
    for row in arch.rows:
        stage = by_name[row.name]
        if isinstance(row, Inception):
            reductions.append(_reduction(arch, row, stage, inputs))
        inputs = stage.output
    return reductions


def _reduction(
    arch: Architecture, row: Inception, stage: Stage, inputs: FeatureMap
) -> Reduction:
    macs = {layer.name.removeprefix(f"{row.name}_"): layer.macs
            for layer in stage.layers}  # fmt: skip
    height, width, channels = inputs
    return {
        "module": row.name,
        "macs": stage.macs,
        "naive_macs": arithmetic.naive_macs(row, arch.wide_kernel, inputs),
        "naive_output_channels": row.filters - row.pool_proj + channels,
        "branch_5x5_macs": macs["5x5_reduce"] + macs["5x5"],
        "branch_5x5_direct_macs": (
            height * width * channels * arch.wide_kernel**2 * row.conv5x5
        ),
    }


def _average_pooling(arch: Architecture, size: tuple[int, int]) -> AveragePooling:
    height, width, channels = arithmetic.final_map(arch, size)
    return {
        "map_height": height,
        "map_width": width,
        "channels": channels,
        "dense_weights_saved": height * width * channels * channels,
    }
