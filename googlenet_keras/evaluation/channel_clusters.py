"""Clusters of channels that fire together, from a network's activations on images.

The paper (section 3) takes its motivation from Arora et al., who construct a network
layer by layer by "clustering neurons with highly correlated outputs", and from Hebb:
neurons that fire together wire together. Channels of one cluster tell the next layer
almost the same.
"""

import math
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from scipy.cluster.hierarchy import linkage

from googlenet_keras.architecture.channels import convolutions
from googlenet_keras.classifier import Classifier
from googlenet_keras.console import track
from googlenet_keras.data.dataset import Split
from googlenet_keras.data.pipeline import evaluation_batches, explain_unreadable

MAX_IMAGES = 1024  # have a hundred thousand positions even in a map of 9 x 9
BATCH_SIZE = 32
MIN_VARIANCE = 1e-5  # of the mean square; below it is rounding


def channel_distances(classifier: Classifier, images: Split) -> dict[str, np.ndarray]:
    """The distances at which the channels of each convolution join, by its name.

    A distance is 1 - the correlation of two channels after the ReLU over all positions
    of at most 1,024 images, evenly chosen. Clusters join by complete linkage: at a
    distance of d, any two channels of a cluster correlate by 1 - d or more. n channels
    that ever fire have n - 1 distances, ascending; those that never do have none.
    Raises UnreadableImageError.
    """
    found = _correlations(classifier, _evenly_chosen(images))
    return {name: _join_distances(x) for name, x in found.items()}


def count_clusters(distances: np.ndarray, correlation: float) -> int:
    """The number of clusters whose channels correlate by `correlation` or more."""
    return 1 + int((distances > 1 - correlation).sum())


def _evenly_chosen(split: Split) -> Split:
    """At most MAX_IMAGES images of a split, every n-th of them."""
    step = math.ceil(split.count / MAX_IMAGES)
    return replace(
        split,
        count=math.ceil(split.count / step),
        in_order=lambda: split.in_order().shard(step, 0),
        files=split.files[::step],
    )


def _correlations(classifier: Classifier, images: Split) -> dict[str, np.ndarray]:
    """The correlation of any two channels that fire, [channels, channels]."""
    batches = evaluation_batches(
        images, classifier.preprocessing, heads=(), batch_size=BATCH_SIZE
    )
    network, names = classifier.network, convolutions(classifier.architecture)
    outputs = {name: network.get_layer(f"{name}_relu").output for name in names}
    activations = keras.Model(network.input, outputs)
    sums = dict.fromkeys(names, np.zeros(()))

    @tf.function(reduce_retracing=True)
    def moments(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: _moments(x) for name, x in activations(pixels).items()}

    steps = math.ceil(images.count / BATCH_SIZE)
    with explain_unreadable(images):
        for pixels, _ in track(batches, "reading activations", steps):
            for name, x in moments(pixels).items():
                sums[name] = sums[name] + x.numpy().astype(np.float64)
    return {name: _correlation(x) for name, x in sums.items()}


def _moments(x: tf.Tensor) -> tf.Tensor:
    """Sums of products over positions, [channels + 1, channels + 1].

    The last row and column are those of a channel that is always 1. x: [batch, height,
    width, channels].
    """
    flat = tf.cast(tf.reshape(x, [-1, x.shape[-1]]), tf.float32)
    flat = tf.pad(flat, [[0, 0], [0, 1]], constant_values=1.0)
    return tf.matmul(flat, flat, transpose_a=True)


def _correlation(moments: np.ndarray) -> np.ndarray:
    """The correlation of any two channels that vary, by `_moments`."""
    means = moments / moments[-1, -1]
    mean, square = means[:-1, -1], np.diag(means)[:-1]
    covariance = means[:-1, :-1] - np.outer(mean, mean)
    variance = np.diag(covariance)
    varies = variance > MIN_VARIANCE * square
    deviation = np.sqrt(variance[varies])
    return covariance[np.ix_(varies, varies)] / np.outer(deviation, deviation)


def _join_distances(correlation: np.ndarray) -> np.ndarray:
    """The distances at which complete linkage joins channels, ascending."""
    if len(correlation) < 2:
        return np.zeros(0)
    distances = 1 - correlation[np.triu_indices(len(correlation), 1)]
    return linkage(np.clip(distances, 0, 2), "complete")[:, 2]
