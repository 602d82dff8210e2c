"""RandAugment, random erasing, MixUp and CutMix, with Keras's own layers.

Every random choice is a function of its seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

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

    @property
    def mixes(self) -> bool:
        return bool(self.mixup or self.cutmix)

    def image_function(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Returns the function that augments an image: ([h, w, 3] in 0..255, seed)."""
        functions = []
        if strength := self.rand_augment:
            functions.append(_deterministic(keras.layers.RandAugment, factor=strength))
        if part := self.random_erasing:
            options = {"factor": (part, part), "scale": ERASED_AREA}
            functions.append(_deterministic(keras.layers.RandomErasing, **options))

        def regularize(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            for number, function in enumerate(functions):
                own = tf.random.experimental.stateless_fold_in(seed, number)
                image = function(tf.cast(image, tf.float32), own)
            return image

        return regularize

    def batch_function(self) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        """Returns the function that mixes a batch: (images, labels, seed).

        Labels are mixed as their images are: [batch] class numbers become [batch,
        classes] float32, each class's part of the image; [batch, ...] float32 keep
        their shape.
        """
        functions = []
        if self.mixup:
            functions.append(_deterministic(keras.layers.MixUp, alpha=self.mixup))
        if alpha := self.cutmix:
            functions.append(_deterministic(keras.layers.CutMix, factor=(alpha, alpha)))

        def mix(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple:
            images = tf.cast(images, tf.float32)
            if labels.dtype.is_integer:
                labels = tf.one_hot(labels, self.classes)
            flat = tf.reshape(labels, [tf.shape(labels)[0], -1])
            data = {"images": images, "labels": flat}
            choice = tf.random.stateless_uniform([], seed, 0, len(functions), tf.int32)
            branches = [lambda f=f: f(data, seed) for f in functions]
            mixed = tf.switch_case(choice, branches)
            mixed_labels = tf.reshape(mixed["labels"], tf.shape(labels))
            return (
                tf.ensure_shape(mixed["images"], images.shape),
                tf.ensure_shape(mixed_labels, labels.shape),
            )

        return mix


class _SeedSeries(keras.random.SeedGenerator):
    """A generator whose seeds depend on `key` alone, whatever the thread."""

    key: tf.Tensor | None = None
    drawn = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        self.drawn += 1
        return tf.random.experimental.stateless_fold_in(self.key, self.drawn)


def _deterministic(kind: type[keras.layers.Layer], **options: Any) -> Callable:
    """Makes a layer and returns it as a function of (input, seed).

    A Keras layer draws from a generator of its own, whose order under a parallel map is
    that of the threads; RandAugment has one in each operation.
    """
    layer, seeds = kind(**options, dtype="float32"), _SeedSeries(0)
    parts = [x for x in vars(layer).values() if isinstance(x, keras.layers.Layer)]
    for part in (layer, *parts):
        if hasattr(part, "generator"):
            part.generator = seeds

    def apply(data: Any, seed: tf.Tensor) -> Any:
        # Keras's seeds have 32 bits, which must depend on all of this one's
        seed = tf.random.experimental.stateless_fold_in(seed, 0)
        seeds.key, seeds.drawn = tf.cast(seed, tf.int32), 0
        return layer(data, training=True)

    return apply
