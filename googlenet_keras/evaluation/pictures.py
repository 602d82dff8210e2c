"""Pictures that a page holds inside itself."""

from __future__ import annotations

import base64
import hashlib
import io
import re

import keras
import numpy as np
import tensorflow as tf
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from googlenet_keras.data.preprocessing import resize

QUALITY, PHOTO_SIDE = 85, 192  # of JPEGs: a page may show a hundred
SPACE = 1  # pixels between filters
BLACK = "#000000"  # what Figures draw text and lines with


def photo(image: np.ndarray) -> str:
    """An image [h, w, 3] in 0..255 as the address of a JPEG of 192 pixels at most."""
    scale = min(1.0, PHOTO_SIDE / max(image.shape[:2]))
    if scale < 1:
        image = resize(image, [round(side * scale) for side in image.shape[:2]])
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    data = tf.io.encode_jpeg(pixels, quality=QUALITY, chroma_downsampling=False)
    return _address("jpeg", data.numpy())


def drawing(figure: Figure, title: str) -> Markup:
    """`figure` as SVG, its text and lines in the colour of the text around it."""
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    unique = hashlib.sha256(title.encode("utf-8", "replace")).hexdigest()[:8]
    svg = re.sub("<[^>]+>", lambda found: _tag(found[0], unique), svg)
    label = Markup('<svg role="img" aria-label="{}"').format(title)
    return Markup(svg.replace("<svg", str(label), 1))


def _tag(text: str, unique: str) -> str:
    """A tag of an SVG among others in a page: no black of its own, no name twice."""
    text = re.sub(f"(fill|stroke): {BLACK}", r"\1: currentColor", text)
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{unique}-", text)


def first_filters(network: keras.Model) -> str:
    """The address of a PNG of what the first convolution's kernels look like.

    Each is spread over the whole range of brightness by itself.
    """
    layer = next(x for x in network.layers if isinstance(x, keras.layers.Conv2D))
    kernels = layer.get_weights()[0].transpose(3, 0, 1, 2)  # [filters, h, w, 3]
    low = kernels.min(axis=(1, 2, 3), keepdims=True)
    high = kernels.max(axis=(1, 2, 3), keepdims=True)
    shades = 255 * (kernels - low) / np.maximum(high - low, 1e-12)
    return _address("png", tf.io.encode_png(_grid(np.rint(shades))).numpy())


def _grid(images: np.ndarray) -> np.ndarray:
    """[n, h, w, 3] as one image, nearly square, on mid grey."""
    columns = int(np.ceil(len(images) ** 0.5))
    rows = int(np.ceil(len(images) / columns))
    height, width = (side + SPACE for side in images.shape[1:3])
    grid = np.full((rows * height + SPACE, columns * width + SPACE, 3), 128, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * height, number % columns * width
        grid[top + SPACE : top + height, left + SPACE : left + width] = image
    return grid


def _address(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
