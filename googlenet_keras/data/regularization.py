"""What came after the paper: RandAugment, random erasing, MixUp and CutMix.

The operations are Keras's own layers. Every random choice is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

Seed = tf.Tensor
ERASED_AREA = (0.02, 0.33)  # part of the image's area, arXiv 1708.04896


@dataclass(frozen=True)
class Regularization:
    """Makes training harder than the images are; each part is off where it is 0.

    rand_augment: strength of two random operations on each image, 0..1 (arXiv
    1909.13719). random_erasing: part of the images in which a rectangle becomes noise
    (arXiv 1708.04896). mixup: alpha of the beta distribution that an image and its
    label are blended with another's by (arXiv 1710.09412). cutmix: the same for a
    rectangle pasted from another (arXiv 1905.04899); with both, each batch draws one.
    classes: how many there are, which mixed labels need.
    """

    rand_augment: float = 0.0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    classes: int = 0

    def image_function(self) -> Callable[[tf.Tensor, Seed], tf.Tensor]:
        """What is done to [height, width, 3] float32 in 0..255, given a seed."""
        layers = []
        if self.rand_augment:
            layers.append(
                keras.layers.RandAugment(factor=self.rand_augment, dtype="float32")
            )
        if self.random_erasing:
            layers.append(
                keras.layers.RandomErasing(
                    factor=(self.random_erasing, self.random_erasing),
                    scale=ERASED_AREA,
                    dtype="float32",
                )
            )
        applied = [_seeded(layer) for layer in layers]

        def harder(image: tf.Tensor, seed: Seed) -> tf.Tensor:
            if applied:
                image = tf.cast(image, tf.float32)
            for number, apply in enumerate(applied):
                image = apply(
                    image, tf.random.experimental.stateless_fold_in(seed, number)
                )
            return image

        return harder

    @property
    def mixes(self) -> bool:
        """Whether labels become parts of several classes."""
        return bool(self.mixup or self.cutmix)

    def batch_function(self) -> Callable[[tf.Tensor, tf.Tensor, Seed], tuple]:
        """What is done to (images, labels [batch]), given a seed.

        Labels become [batch, classes] float32, each class's part of the image.
        """
        layers = []
        if self.mixup:
            layers.append(keras.layers.MixUp(self.mixup, dtype="float32"))
        if self.cutmix:
            alpha = (self.cutmix, self.cutmix)
            layers.append(keras.layers.CutMix(alpha, dtype="float32"))
        applied = [_seeded(layer) for layer in layers]

        def mixed(images: tf.Tensor, labels: tf.Tensor, seed: Seed) -> tuple:
            images = tf.cast(images, tf.float32)
            data = {"images": images, "labels": tf.one_hot(labels, self.classes)}
            choice = tf.random.stateless_uniform([], seed, 0, len(applied), tf.int32)
            branches = [lambda apply=apply: apply(data, seed) for apply in applied]
            made = tf.switch_case(choice, branches)
            return tf.ensure_shape(made["images"], images.shape), made["labels"]

        return mixed


class _SeedSeries(keras.random.SeedGenerator):
    """Seeds that follow from a key: the same for the same key, in any thread."""

    key: Seed | None = None
    drawn = 0

    def start(self, key: Seed) -> None:
        """Begins the series of `key`."""
        self.key, self.drawn = key, 0

    def next(self, ordered: bool = True) -> Seed:
        """The next seed of the series."""
        self.drawn += 1
        return tf.random.experimental.stateless_fold_in(self.key, self.drawn)


def _seeded(layer: keras.layers.Layer) -> Callable:
    """`layer` as a function of its input and a seed.

    A Keras layer draws from a generator of its own, whose order under a parallel map is
    that of the threads; RandAugment has one in each operation.
    """
    seeds = _SeedSeries(0)
    parts = [x for x in vars(layer).values() if isinstance(x, keras.layers.Layer)]
    for part in (layer, *parts):
        if hasattr(part, "generator"):
            part.generator = seeds

    def apply(data, seed: Seed):
        # Keras's seeds have 32 bits, which must depend on all of this one's
        seed = tf.random.experimental.stateless_fold_in(seed, 0)
        seeds.start(tf.cast(seed, tf.int32))
        return layer(data, training=True)

    return apply
