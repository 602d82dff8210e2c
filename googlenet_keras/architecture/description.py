"""Table 1 as an Architecture has it, and what the paper's design choices save."""

from __future__ import annotations

from typing import Any

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import Map, Stage
from googlenet_keras.architecture.rows import Inception
from googlenet_keras.architecture.variants import get_architecture


def describe(
    variant: str | Architecture = "bn",
    *,
    classes: int = 1000,
    image_size: int | tuple[int, ...] = 224,
) -> dict[str, Any]:
    """Rows, totals, savings and differences, as plain values (describe --json).

    Parameters are trainable values; macs are multiply-adds for one image; shares are
    parts of the network without its auxiliary heads. Raises UserError.
    """
    arch = get_architecture(variant)
    size = arithmetic.height_and_width(image_size)
    stages = list(arithmetic.trace(arch, classes, size, auxiliary=True))
    trunk = [stage for stage in stages if not stage.auxiliary]
    parameters, macs = _total(trunk)
    with_heads = _total(stages)
    return {
        "variant": arch.name,
        "image_size": list(size),
        "classes": classes,
        "rows": [_row(stage, parameters, macs) for stage in stages],
        "parameters": parameters,
        "parameters_with_auxiliary": with_heads[0],
        "macs": macs,
        "macs_with_auxiliary": with_heads[1],
        "reductions": _reductions(arch, stages, size),
        "average_pooling": _average_pooling(arch, size),
        "differences": list(arch.differences),
    }


def _total(stages: list[Stage]) -> tuple[int, int]:
    return sum(s.parameters for s in stages), sum(s.macs for s in stages)


def _row(stage: Stage, parameters: int, macs: int) -> dict[str, Any]:
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
) -> list[dict[str, Any]]:
    """Each module's cost and the naive module's; the same of its 5x5 branch."""
    by_name = {stage.name: stage for stage in stages}
    inputs: Map = (*size, 3)
    found = []
    for row in arch.rows:
        stage = by_name[row.name]
        if isinstance(row, Inception):
            found.append(_reduction(arch, row, stage, inputs))
        inputs = stage.output
    return found


def _reduction(
    arch: Architecture, row: Inception, stage: Stage, inputs: Map
) -> dict[str, Any]:
    macs = {layer.name.removeprefix(f"{row.name}_"): layer.macs
            for layer in stage.layers}  # fmt: skip
    height, width, channels = inputs
    naive = arithmetic.naive_macs(row, arch.wide_kernel, inputs)
    direct = height * width * channels * arch.wide_kernel**2 * row.conv5x5
    return {
        "module": row.name,
        "macs": stage.macs,
        "naive_macs": naive,
        "naive_output_channels": row.filters - row.pool_proj + channels,
        "branch_5x5_macs": macs["5x5_reduce"] + macs["5x5"],
        "branch_5x5_direct_macs": direct,
    }


def _average_pooling(arch: Architecture, size: tuple[int, int]) -> dict[str, int]:
    """Weights of the dense layer, as wide as the map is deep, that pooling replaces."""
    height, width, channels = arithmetic.final_map(arch, size)
    return {
        "map_height": height,
        "map_width": width,
        "channels": channels,
        "dense_weights_saved": height * width * channels * channels,
    }
