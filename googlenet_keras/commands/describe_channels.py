"""The table of `describe RUN --channels`: what a trained network's channels are worth.

CLUSTER_CORRELATION and SMALL_GAMMA are the limits that its columns state.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.channels import channel_costs
from googlenet_keras.classifier import Classifier
from googlenet_keras.console import new_table, print_table
from googlenet_keras.evaluation.channel_clusters import (
    channel_distances,
    count_clusters,
)
from googlenet_keras.evaluation.evaluate import open_run_dataset
from googlenet_keras.evaluation.gamma_worth import gammas
from googlenet_keras.network.weights import named_weights
from googlenet_keras.run_folder import RunFolder

CLUSTER_CORRELATION = 0.9  # of any two channels of a cluster
SMALL_GAMMA = 0.5  # of the median in the same convolution


class ChannelDescription(TypedDict):
    """A convolution of a trained network and its channels.

    clusters: of channels that correlate by 0.9 or more on the validation images.
    small_gammas: fraction of the gammas below half of their median; None without
    gammas. macs_per_channel: in the convolution and in the layers that read it.
    """

    name: str
    channels: int
    clusters: int
    small_gammas: float | None
    macs_per_channel: float


def describe_channels(path: Path) -> list[ChannelDescription]:
    """Describes the channels of a run's network. Raises UserError for another folder.

    It reads the run's validation images, of which 1,024 at most are chosen.
    """
    run = RunFolder.open(path)
    classifier = Classifier.load(path)
    arch, classes = classifier.architecture, classifier.network.output["main"].shape[1]
    scales = gammas(named_weights(classifier.network), arch)
    costs = channel_costs(
        arch,
        lambda x: arithmetic.macs(
            x, classes=classes, image_size=classifier.preprocessing.size
        ),
    )
    images = open_run_dataset(run).split("validation")
    return [
        {
            "name": name,
            "channels": arch.widths()[name],
            "clusters": count_clusters(distances, CLUSTER_CORRELATION),
            "small_gammas": _small_share(scales[name]) if scales else None,
            "macs_per_channel": costs[name],
        }
        for name, distances in channel_distances(classifier, images).items()
    ]


def _small_share(scales: np.ndarray) -> float:
    return float((scales < SMALL_GAMMA * np.median(scales)).mean())


def print_channels(channels: Sequence[ChannelDescription]) -> None:
    """Prints what channels are worth, a row for each convolution."""
    print(
        f"\nClusters of channels that correlate by {CLUSTER_CORRELATION:g} or more; "
        f"gammas below {SMALL_GAMMA:g} of their\nmedian; multiply-adds that a channel "
        "causes, with those of the layers that read it"
    )
    numbers = ("channels", "clusters", "small gammas", "kMACs a channel")
    table = new_table("convolution", numbers=numbers)
    for row in channels:
        share = row["small_gammas"]
        table.add_row(
            row["name"],
            f"{row['channels']:,}",
            f"{row['clusters']:,}",
            "-" if share is None else f"{share:.0%}",
            f"{row['macs_per_channel'] / 1e3:,.1f}",
        )
    print_table(table)
