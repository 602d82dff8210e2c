"""RandAugment, random erasing, MixUp and CutMix, by Keras's own layers.

Every random choice is a function of its seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import tensorflow as tf

Seed: TypeAlias = tf.Tensor
ERASED_AREA = (0.02, 0.33)  # part of the image's area, arXiv 1708.04896


@dataclass(frozen=True)
class Regularization:
    """Augmentation published after the paper; each part is off if it is 0.

    rand_augment: strength of two random operations on each image, 0..1 (arXiv
    1909.13719). random_erasing: part of the images in which a rectangle becomes noise
    (arXiv 1708.04896). mixup: alpha of the beta distribution that an image and its
    label are blended with another's by (arXiv 1710.09412). cutmix: the same for a
    rectangle pasted from another (arXiv 1905.04899); with both, each batch draws one.
    classes: their number, which mixed labels need.
    """

    rand_augment: float = 0.0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    classes: int = 0

    def image_function(self) -> Callable[[tf.Tensor, Seed], tf.Tensor]:
        """Returns the function (image [height, width, 3] in 0..255, seed) to image."""
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
        functions = [_make_deterministic(layer) for layer in layers]

        def regularize(image: tf.Tensor, seed: Seed) -> tf.Tensor:
            if functions:
                image = tf.cast(image, tf.float32)
            for number, function in enumerate(functions):
                image = function(
                    image, tf.random.experimental.stateless_fold_in(seed, number)
                )
            return image

        return regularize

    @property
    def mixes(self) -> bool:
        """Whether images of several classes are mixed."""
        return bool(self.mixup or self.cutmix)

    def batch_function(
        self,
    ) -> Callable[[tf.Tensor, tf.Tensor, Seed], tuple[tf.Tensor, tf.Tensor]]:
        """Returns the function that mixes a batch: (images, labels [batch], seed).

        Labels become [batch, classes] float32, each class's part of the image.
        """
        layers = []
        if self.mixup:
            layers.append(keras.layers.MixUp(self.mixup, dtype="float32"))
        if self.cutmix:
            alpha = (self.cutmix, self.cutmix)
            layers.append(keras.layers.CutMix(alpha, dtype="float32"))
        functions = [_make_deterministic(layer) for layer in layers]

        def mix(
            images: tf.Tensor, labels: tf.Tensor, seed: Seed
        ) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.cast(images, tf.float32)
            data = {"images": images, "labels": tf.one_hot(labels, self.classes)}
            choice = tf.random.stateless_uniform([], seed, 0, len(functions), tf.int32)
            branches = [lambda f=f: f(data, seed) for f in functions]
            mixed = tf.switch_case(choice, branches)
            return tf.ensure_shape(mixed["images"], images.shape), mixed["labels"]

        return mix


class _SeedSeries(keras.random.SeedGenerator):
    """A generator whose seeds depend on a key alone, whatever the thread."""

    key: Seed | None = None
    drawn = 0

    def start(self, key: Seed) -> None:
        """Starts the series of `key`."""
        self.key, self.drawn = key, 0

    def next(self, ordered: bool = True) -> Seed:
        """The next seed of the series."""
        self.drawn += 1
        return tf.random.experimental.stateless_fold_in(self.key, self.drawn)


def _make_deterministic(layer: keras.layers.Layer) -> Callable[[Any, Seed], Any]:
    """Makes `layer` a deterministic function of (input, seed).

    A Keras layer draws from a generator of its own, whose order under a parallel map is
    that of the threads; RandAugment has one in each operation.
    """
    seeds = _SeedSeries(0)
    parts = [x for x in vars(layer).values() if isinstance(x, keras.layers.Layer)]
    for part in (layer, *parts):
        if hasattr(part, "generator"):
            part.generator = seeds

    def apply(data: Any, seed: Seed) -> Any:
        # Keras's seeds have 32 bits, which must depend on all of this one's
        seed = tf.random.experimental.stateless_fold_in(seed, 0)
        seeds.start(tf.cast(seed, tf.int32))
        return layer(data, training=True)

    return apply
