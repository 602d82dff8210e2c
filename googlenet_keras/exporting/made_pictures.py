"""Makes pictures of colored shapes, which show nobody's photographs."""

from __future__ import annotations

import numpy as np

SHAPE_COUNTS = (3, 9)  # as for `integers`: at least, less than
ROUNDNESS = (2, 8)  # exponents of an ellipse and of nearly a rectangle
MAX_WAVES = 60.0  # of a shape's stripes


def make_picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Shapes on a gradient, [height, width, 3] float32 in 0..255.

    Nothing in it is symmetric, and red, green and blue differ.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    y, x = rows / size[0], columns / size[1]
    angle = random.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + 0.5
    first, last = random.uniform(0, 255, (2, 3))
    picture = first + (last - first) * slope[..., None]
    for _ in range(random.integers(*SHAPE_COUNTS)):
        picture = _add_shape(picture, x, y, random)
    return picture.clip(0, 255).astype(np.float32)


def _add_shape(
    picture: np.ndarray, x: np.ndarray, y: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Draws a striped ellipse or rectangle; x, y: places of the pixels, in 0..1."""
    center_x, center_y = random.uniform(0.1, 0.9, 2)
    radii, angle = random.uniform(0.05, 0.45, 2), random.uniform(0, np.pi)
    across, down = x - center_x, y - center_y
    u = (np.cos(angle) * across + np.sin(angle) * down) / radii[0]
    v = (np.cos(angle) * down - np.sin(angle) * across) / radii[1]
    exponent = random.choice(ROUNDNESS)
    distance = (np.abs(u) ** exponent + np.abs(v) ** exponent) ** (1 / exponent)
    softness = min(picture.shape[:2]) * radii.min() / 1.5  # an edge of some pixels
    covered = ((1 - distance) * softness + 0.5).clip(0, 1)[..., None]
    stripes = random.uniform(-60, 60) * np.sin(random.uniform(5, MAX_WAVES) * u)
    color = random.uniform(0, 255, 3) + stripes[..., None]
    return picture * (1 - covered) + color * covered
