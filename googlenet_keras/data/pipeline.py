"""Makes training and evaluation batches from splits."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from googlenet_keras.console import printable, track
from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.dataset import UPRIGHT_JPEG, Split, without_autograph
from googlenet_keras.data.decode import decode
from googlenet_keras.data.none_pictures import append_none_pictures, endless, none_count
from googlenet_keras.data.preprocessing import Crops, Preprocessing, to_uint8
from googlenet_keras.data.regularization import Regularization
from googlenet_keras.data.synthetic import synthetic_picture
from googlenet_keras.errors import UserError

EVALUATION_BATCH_SIZE = 64  # images
UNREADABLE_ERRORS = (  # what TensorFlow raises where an image cannot be read or decoded
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
)
NO_REGULARIZATION = Regularization()


@dataclass(frozen=True)
class Shard:
    """One worker's part of the images: every `workers`-th image, from `worker` on.

    replicas: devices of all workers; each has batches of its own.
    """

    worker: int = 0
    workers: int = 1
    replicas: int = 1

    def evaluation_steps(self, images: int, batch_size: int) -> int | None:
        """Evaluation steps for `images` images; None, no limit, for a single replica.

        Raises UserError for less than one image for each replica.
        """
        if self.replicas == 1:
            return None
        if images < self.replicas:
            raise UserError(
                f"each of the {self.replicas} devices needs a validation image; there "
                f"are {images}."
            )
        return math.ceil(images / (self.replicas * batch_size))


SINGLE_WORKER_SHARD = Shard()


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Number of whole batches per epoch. Raises UserError if there is none."""
    if batch_size > split.count:
        raise UserError(
            f"batch_size must be at most the number of training images, {split.count}; "
            f"received {batch_size}."
        )
    return split.count // batch_size


def balanced_weights(split: Split) -> list[float]:
    """Class weights that balance the classes; their mean over the images is 1.

    Raises UserError if the source does not know how many images a class has.
    """
    if split.class_counts is None:
        raise UserError(
            "--class-weights balanced needs the number of images of each class, which "
            "TFDS does not tell; use none."
        )
    present = sum(count > 0 for count in split.class_counts)
    return [split.count / (present * n) if n else 0.0 for n in split.class_counts]


@dataclass(frozen=True)
class TrainingPipeline:
    """Makes augmented training batches from a split.

    Order and augmentation depend on (seed, epoch, index) alone, those of none pictures
    on (seed, number of the picture) alone. heads: the keys of the labels.
    class_weights: the weight of each class's images in every head's loss. none:
    pictures of none of the classes, of which each batch has `none_count` in addition.
    none_synthetic: the part of those that is made from training images instead.
    soft_targets: from the number of an epoch to a teacher's probabilities for the crops
    of that epoch, [images, classes] in reading order.
    """

    split: Split
    augmentation: Augmentation
    heads: Sequence[str]
    batch_size: int
    seed: int
    regularization: Regularization = NO_REGULARIZATION
    class_weights: Sequence[float] | None = None
    none: Split | None = None
    none_synthetic: float = 0.0
    soft_targets: Callable[[tf.Tensor], tf.Tensor] | None = None

    def batches(
        self,
        epochs: int,
        start: tuple[int, int] = (0, 0),
        shard: Shard = SINGLE_WORKER_SHARD,
    ) -> tf.data.Dataset:
        """Returns a dataset of (images, labels by head): the batches of all epochs.

        Each epoch has its own order and `steps_per_epoch` batches; it leaves out fewer
        than `batch_size` images, other ones each time. Labels are class numbers, or
        each class's part of the image if `regularization` mixes images. With
        `soft_targets` they are [batch, 2, classes]: each class's part, then the
        teacher's probabilities, which are mixed as the parts are. With
        `class_weights`, each pair has a third member, the weights of the images by
        head. start: the epoch, from 0, and how many of its batches to skip. shard: the
        union of all workers' batches of a step is the batch that one worker alone would
        have. Each replica's has batch_size / replicas images, mixed within it, and
        after them its none pictures, which are never mixed: those of all replicas are
        the next ones of an endless order, whatever the number of images in an epoch.
        """
        regularize = self.regularization.image_function()
        mix = self.regularization.batch_function()
        options = tf.data.Options()
        options.autotune.enabled = False  # every core is used from the start
        batches = (
            tf.data.Dataset.range(start[0], epochs)
            .flat_map(without_autograph(partial(self._examples, start, shard)))
            .map(
                without_autograph(partial(self._image, regularize)),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            .batch(self.batch_size // shard.replicas, drop_remainder=True)
            .map(
                without_autograph(partial(self._batch, mix)),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
        )
        if self.none:
            batches = self._append(self.none, batches, start, shard)
        return batches.prefetch(tf.data.AUTOTUNE).with_options(options)

    def crops(self, epochs: Sequence[int], batch_size: int) -> tf.data.Dataset:
        """The crops of all images in reading order, epoch after epoch, before mixing.

        Batches of [batch, height, width, 3] uint8, the last of an epoch may be smaller.
        """
        image = partial(self._image, self.regularization.image_function())
        crop = without_autograph(lambda *example: _to_bytes(image(*example)[0]))

        @without_autograph
        def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            contexts = tf.data.Dataset.from_tensors((epoch,)).repeat()
            examples = tf.data.Dataset.zip(contexts, self.split.in_order())
            crops = examples.map(crop, num_parallel_calls=tf.data.AUTOTUNE)
            return crops.batch(batch_size)

        numbers = tf.data.Dataset.from_tensor_slices(tf.constant(epochs, tf.int64))
        return numbers.flat_map(of_epoch).prefetch(tf.data.AUTOTUNE)

    def _examples(
        self, start: tuple[int, int], shard: Shard, epoch: tf.Tensor
    ) -> tf.data.Dataset:
        """A dataset of ((epoch[, soft targets]), (index, label, reference))."""
        used = steps_per_epoch(self.split, self.batch_size) * self.batch_size
        skipped = tf.cast(epoch == start[0], tf.int64) * start[1] * self.batch_size
        examples = self.split.shuffled(self.seed, epoch).take(used).skip(skipped)
        # a map that only adds this costs more than to join two data sets
        context = (epoch, self.soft_targets(epoch)) if self.soft_targets else (epoch,)
        contexts = tf.data.Dataset.from_tensors(context).repeat()
        own = examples.shard(shard.workers, shard.worker)
        return tf.data.Dataset.zip(contexts, own)

    def _image(self, regularize: Callable, context: tuple, example: tuple) -> tuple:
        """Maps what `_examples` gives to (image, label, key[, soft target])."""
        (epoch, *targets), (index, label, reference) = context, example
        key = tf.stack([(self.seed << 32) + epoch, index])
        image = self.split.load(reference)
        crop = self.augmentation(image, key, self.split.content)
        return regularize(crop, key), label, key, *(x[index] for x in targets)

    def _batch(self, mix: Callable, *examples: tf.Tensor) -> tuple:
        """Maps a batch of what `_image` gives to (images, labels[, weights])."""
        images, labels, keys, *targets = examples
        for target in targets:
            labels = tf.stack([tf.one_hot(labels, target.shape[-1]), target], axis=1)
        if self.regularization.mixes:
            images, labels = mix(images, labels, keys[0])
        images, by_head = _to_bytes(images), dict.fromkeys(self.heads, labels)
        if self.class_weights is None:
            return images, by_head
        weights = tf.constant(self.class_weights, tf.float32)
        if labels.dtype.is_integer:
            weights = tf.gather(weights, labels)
        else:
            weights = tf.linalg.matvec(labels[:, 0] if targets else labels, weights)
        return images, by_head, dict.fromkeys(self.heads, weights)

    def _append(
        self,
        none: Split,
        batches: tf.data.Dataset,
        start: tuple[int, int],
        shard: Shard,
    ) -> tf.data.Dataset:
        """Appends to each batch its none pictures."""
        steps = steps_per_epoch(self.split, self.batch_size)
        count = none_count(self.batch_size, shard.replicas)
        first = (start[0] * steps + start[1]) * count
        parts = [tf.data.Dataset.range(first, tf.int64.max)]
        sources = (none, self.split) if self.none_synthetic else (none,)
        parts += [endless(source, self.seed, first) for source in sources]
        regularize = self.regularization.image_function()
        pictures = (
            tf.data.Dataset.zip(*parts)
            .shard(shard.workers, shard.worker)
            .map(
                without_autograph(partial(self._none_picture, none, regularize)),
                num_parallel_calls=tf.data.AUTOTUNE,
            )
            .batch(count // shard.replicas, drop_remainder=True)
        )
        both = tf.data.Dataset.zip(batches, pictures)
        return both.map(without_autograph(append_none_pictures))

    def _none_picture(
        self, none: Split, regularize: Callable, number: tf.Tensor, *examples: tuple
    ) -> tuple:
        """Maps (number, (index, label, reference), ...) to (picture, label).

        The second example, of a training image, is for synthetic pictures.
        """
        # no image of a class has a key with a number below 0
        key = tf.stack([tf.constant(self.seed << 32, tf.int64), -1 - number])

        def crop(split: Split, example: tuple) -> tf.Tensor:
            return self.augmentation(split.load(example[-1]), key, split.content)

        if not self.none_synthetic:
            picture = crop(none, examples[0])
        else:
            draw, own = tf.unstack(tf.random.experimental.stateless_split(key, 2))
            picture = tf.cond(
                tf.random.stateless_uniform([], draw) < self.none_synthetic,
                lambda: synthetic_picture(crop(self.split, examples[1]), own),
                lambda: crop(none, examples[0]),
            )
        return _to_bytes(regularize(picture, key)), examples[0][1]


def _to_bytes(image: tf.Tensor) -> tf.Tensor:
    return to_uint8(image) if image.dtype.is_floating else image


def batch_indices(
    split: Split, *, batch_size: int, seed: int, epoch: int, step: int
) -> list[int]:
    """The numbers of the images of one training batch; epoch, step: from 0."""
    order = split.shuffled(seed, tf.constant(epoch, tf.int64))
    return [int(i) for i, *_ in order.skip(step * batch_size).take(batch_size)]


def image_names(split: Split, indices: Sequence[int]) -> list[str]:
    """The files of some images, or the images' numbers if there are no files."""
    return [str(split.files[i]) if split.files else f"image {i}" for i in indices]


class UnreadableImageError(UserError):
    """An image that was whole is gone, or cannot be decoded any more."""


@contextmanager
def explain_unreadable(split: Split) -> Iterator[None]:
    """Turns TensorFlow's error about an image of `split` into UnreadableImageError."""
    try:
        yield
    except UNREADABLE_ERRORS as error:
        check_whole(split, range(len(split.files)), error)
        raise


def check_whole(split: Split, indices: Sequence[int], cause: Exception) -> None:
    """Raises UnreadableImageError, from `cause`, for the first file that is not whole.

    indices: which of the split's files to look at.
    """
    for i in track(indices, "looking for the image that cannot be read"):
        path = split.files[i]
        problem = "is no whole image any more"
        try:
            data = tf.io.read_file(os.fsencode(path))
            decode(data)
            if split.content != UPRIGHT_JPEG or tf.io.is_jpeg(data):
                continue
        except tf.errors.NotFoundError:
            problem = "is gone"
        except tf.errors.OpError:
            pass
        raise UnreadableImageError(
            f"{printable(path)} {problem}. Images must stay as they are while they are "
            "in use; put it back, or start again without it."
        ) from cause


def evaluation_batches(
    split: Split,
    preprocessing: Preprocessing | Crops,
    *,
    heads: Sequence[str],
    batch_size: int = EVALUATION_BATCH_SIZE,
    shard: Shard = SINGLE_WORKER_SHARD,
) -> tf.data.Dataset:
    """Returns a dataset of (images, labels by head): every image once, in order.

    images: [batch, height, width, 3], or with Crops [batch, crops, height, width, 3].
    batch_size: each replica's largest. shard: `evaluation_steps` batches for each
    replica, as equal as can be: TensorFlow cannot compute with an empty one.
    """

    @without_autograph
    def prepare(_: tf.Tensor, label: tf.Tensor, reference: tf.Tensor) -> tuple:
        image = preprocessing.read(split.load(reference))
        return image, dict.fromkeys(heads, label)

    def batches(examples: tf.data.Dataset, size: int) -> tf.data.Dataset:
        images = examples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        return images.batch(size).prefetch(tf.data.AUTOTUNE)

    examples = split.in_order().shard(shard.workers, shard.worker)
    steps = shard.evaluation_steps(split.count, batch_size)
    if steps is None:
        return batches(examples, batch_size)
    images = len(range(shard.worker, split.count, shard.workers))
    size, larger = divmod(images, steps * shard.replicas // shard.workers)
    first = larger * (size + 1)
    larger_batches = batches(examples.take(first), size + 1)
    return larger_batches.concatenate(batches(examples.skip(first), size))
