"""Makes pictures that no class has.

They are an image's shuffled tiles, a small part of it repeated or enlarged, and drawn
leaves, strokes and blots.

Every random choice is a function of its seed.
"""

import numpy as np
import tensorflow as tf

JIGSAW_TILES = 4  # on each side of an image
TEXTURE_TILES = 4  # on each side: a part of 1/16 of the image's area is repeated
PART_SIDES = (0.06, 0.3)  # of the image's, each side of what is enlarged
LEAVES = 64
LEAF_RADIUS, LEAF_STRETCH = (0.03, 0.5), 1.7  # in sides of the image; of one axis
CURVES, CURVE_POINTS = 2, 40  # of a drawing
STROKE_RADIUS = (0.025, 0.07)  # in sides of the image
BLOT_CELLS = (3, 13)  # on each side, the second excluded


def synthetic_picture(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Makes one of the six kinds of pictures of a training crop [h, w, 3] uint8."""
    kinds = (jigsaw, texture, enlargement, leaves, strokes, blots)
    own = tf.random.experimental.stateless_split(seed, 2)
    kind = tf.random.stateless_uniform([], own[0], 0, len(kinds), tf.int32)
    made = tf.switch_case(kind, [lambda k=k: k(image, own[1]) for k in kinds])
    return tf.ensure_shape(made, image.shape)


def jigsaw(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Shuffles the 4 x 4 tiles of an image; a remainder below a tile is repeated."""
    height, width, _ = image.shape
    rows, columns = height // JIGSAW_TILES, width // JIGSAW_TILES
    whole = image[: rows * JIGSAW_TILES, : columns * JIGSAW_TILES]
    shape = (JIGSAW_TILES, rows, JIGSAW_TILES, columns, 3)
    tiles = tf.transpose(tf.reshape(whole, shape), (0, 2, 1, 3, 4))
    flat = tf.reshape(tiles, (JIGSAW_TILES**2, rows, columns, 3))
    mixed = tf.random.experimental.stateless_shuffle(flat, seed)
    tiles = tf.transpose(tf.reshape(mixed, tiles.shape), (0, 2, 1, 3, 4))
    return _fill(tf.reshape(tiles, whole.shape), height, width)


def texture(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Repeats a small part of an image, mirrored at its edges."""
    height, width, _ = image.shape
    size = (height // TEXTURE_TILES, width // TEXTURE_TILES, 3)
    part = tf.image.stateless_random_crop(image, size, seed)
    mirrored = tf.concat([part, tf.reverse(part, [0])], 0)
    block = tf.concat([mirrored, tf.reverse(mirrored, [1])], 1)
    repeated = tf.tile(block, (TEXTURE_TILES // 2, TEXTURE_TILES // 2, 1))
    return _fill(repeated, height, width)


def enlargement(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Enlarges a small part of an image."""
    height, width, _ = image.shape
    own = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    sides = tf.random.stateless_uniform([2], own[0], *PART_SIDES)
    rows, columns = tf.unstack(
        tf.maximum(tf.cast(sides * (height, width), tf.int32), 2)
    )
    part = tf.image.stateless_random_crop(image, [rows, columns, 3], own[1])
    large = tf.image.resize(part, (height, width), "bicubic")
    return tf.cast(tf.round(tf.clip_by_value(large, 0, 255)), tf.uint8)


def _fill(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Mirrors the last rows and columns of an image until it has the size."""
    missing = [[0, height - image.shape[0]], [0, width - image.shape[1]], [0, 0]]
    return tf.pad(image, missing, "SYMMETRIC")


def leaves(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Discs and rectangles that cover each other, as leaves on the ground do.

    As many of each area, in colors of the image (dead leaves, arXiv 2106.05963).
    """
    height, width, _ = image.shape
    own = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    pixels = tf.random.stateless_uniform([LEAVES], own[0], 0, height * width, tf.int32)
    colors = tf.gather(tf.reshape(image, [-1, 3]), pixels)
    draws = tf.random.stateless_uniform([6, LEAVES, 1, 1], own[1])
    row, column, size, stretch, angle, is_disc = tf.unstack(draws)
    largest, smallest = (1 / radius for radius in LEAF_RADIUS)
    radius = 1 / (smallest + size * (largest - smallest))
    stretch = LEAF_STRETCH ** (2 * stretch - 1)
    sine, cosine = tf.sin(np.pi * angle), tf.cos(np.pi * angle)
    down = _centers(height)[:, None] - row  # [leaves, h, 1]
    right = _centers(width) - column  # [leaves, 1, w]
    along = (cosine * down + sine * right) / (radius * stretch)
    across = (cosine * right - sine * down) / (radius / stretch)
    square = tf.maximum(tf.abs(along), tf.abs(across))
    distance = tf.where(is_disc < 0.5, tf.sqrt(along**2 + across**2), square)
    on_top = tf.range(1, LEAVES + 1)[:, None, None] * tf.cast(distance < 1, tf.int32)
    return tf.gather(colors, tf.maximum(tf.reduce_max(on_top, 0) - 1, 0))


def strokes(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws two curves, black or white, on a plain background of the image's size."""
    height, width, _ = image.shape
    own = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    draws = tf.random.stateless_uniform([6], own[0])
    background = draws[:3] * draws[3] / 2  # dark
    radius = STROKE_RADIUS[0] + draws[4] * (STROKE_RADIUS[1] - STROKE_RADIUS[0])
    distance = _distance(height, width, _curves(own[1]))
    covered = tf.clip_by_value((radius - distance) * min(height, width) + 0.5, 0, 1)
    picture = background + covered[..., None] * (1.0 - background)
    picture = tf.where(draws[5] < 0.5, picture, 1.0 - picture)
    return tf.cast(tf.round(255 * picture), tf.uint8)


def blots(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Enlarges a few random cells, gray or colored, on a plain background."""
    height, width, _ = image.shape
    own = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    kind, share, background = tf.unstack(tf.random.stateless_uniform([3], own[0]))
    cells = tf.random.stateless_uniform([2], own[1], *BLOT_CELLS, tf.int32)
    colors = tf.random.stateless_uniform(tf.concat([cells, [3]], 0), own[2])
    colors = tf.where(kind < 0.5, colors[..., :1], colors)  # gray
    is_shown = tf.random.stateless_uniform(cells, own[3]) < share
    small = tf.where(is_shown[..., None], colors, background)
    picture = tf.image.resize(small, (height, width), "bicubic")
    return tf.cast(tf.round(255 * tf.clip_by_value(picture, 0, 1)), tf.uint8)


def _curves(seed: tf.Tensor) -> tf.Tensor:
    """Points [n, 2], in 0..1, on cubic Bezier curves, each from the end of another."""
    corners = tf.random.stateless_uniform([3 * CURVES + 1, 2], seed, 0.15, 0.85)
    place = tf.linspace(0.0, 1.0, CURVE_POINTS)[:, None]
    rest = 1.0 - place
    parts = (rest**3, 3 * rest**2 * place, 3 * rest * place**2, place**3)
    weights = tf.concat(parts, 1)  # [points, 4]
    return tf.concat([weights @ corners[3 * i : 3 * i + 4] for i in range(CURVES)], 0)


def _distance(height: int, width: int, points: tf.Tensor) -> tf.Tensor:
    """Each pixel's distance [h, w] to the nearest point, in sides of the image."""
    squares = (_centers(height)[:, None] - points[:, 0]) ** 2  # [h, points]
    across = (_centers(width)[:, None] - points[:, 1]) ** 2  # [w, points]
    return tf.sqrt(tf.reduce_min(squares[:, None] + across[None], -1))


def _centers(pixels: int) -> tf.Tensor:
    """The place of each pixel's center, 0..1."""
    return (tf.range(pixels, dtype=tf.float32) + 0.5) / pixels
