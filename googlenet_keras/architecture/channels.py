"""Which channels each layer of a network reads, and what a channel costs."""

from collections.abc import Callable

from googlenet_keras.architecture.architecture import DENSE_LAYER, Architecture
from googlenet_keras.architecture.table1 import Conv, Inception


def channel_sources(arch: Architecture) -> dict[str, tuple[str, ...]]:
    """The convolutions whose channels a layer reads, in their order, by its name.

    The layers are the convolutions, of which the first reads pixels and so none, and
    the layer after the last row: the main classifier, or the dense layer before it.
    Auxiliary heads, which only training has, are left out.
    """
    sources: dict[str, tuple[str, ...]] = {}
    current: tuple[str, ...] = ()
    for row in arch.rows:
        if isinstance(row, Conv):
            sources[row.name] = current
            current = (row.name,)
        elif isinstance(row, Inception):
            ends: tuple[str, ...] = ()
            for branch in row.branches(arch.wide_kernel):
                inside = current
                for step in branch:
                    if isinstance(step, Conv):
                        sources[step.name] = inside
                        inside = (step.name,)
                ends += inside
            current = ends
    return sources | {DENSE_LAYER if arch.dense_units else "main": current}


def convolutions(arch: Architecture) -> list[str]:
    """The names of the convolutions, without those of auxiliary heads."""
    return list(channel_sources(arch))[:-1]


def channel_costs(
    arch: Architecture, cost: Callable[[Architecture], float]
) -> dict[str, float]:
    """The cost of a channel, in its convolution and in the layers that read it.

    It is the mean over as many channels as the convolution has, if they were added: the
    cost of a network need not be linear in them, as a runtime's time is not.
    """
    widths, before = arch.widths(), cost(arch)
    return {
        name: (cost(arch.with_widths({name: 2 * widths[name]})) - before) / widths[name]
        for name in convolutions(arch)
    }
