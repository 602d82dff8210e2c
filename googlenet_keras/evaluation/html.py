"""Self-contained HTML pages: no script, nothing fetched, pictures inside."""

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import keras
import numpy as np
import tensorflow as tf
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from googlenet_keras.console import printable
from googlenet_keras.data.preprocessing import resize
from googlenet_keras.evaluation.metrics import METRIC_NAMES
from googlenet_keras.files import write_bytes

JPEG_QUALITY, INLINE_PHOTO_SIDE = 85, 192  # a page may show a hundred photos
FILTER_GAP = 1  # pixels between filters
MATPLOTLIB_BLACK = "#000000"  # what matplotlib draws text and lines with


def write_page(template: str, content: Mapping[str, Any], path: Path) -> None:
    """Renders a template of this package to `path`, atomically. Raises DiskError.

    Every text in `content` is escaped, with its control characters, except SVG from
    `inline_svg`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("googlenet_keras", "evaluation"),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(content, metric_names=METRIC_NAMES)
    write_bytes(path, page.encode())


def inline_photo(image: np.ndarray) -> str:
    """The data URL of an image [h, w, 3] in 0..255, a JPEG of at most 192 pixels."""
    scale = INLINE_PHOTO_SIDE / max(image.shape[:2])
    if scale < 1:
        height, width = image.shape[:2]
        image = resize(image, (round(height * scale), round(width * scale)))
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    data = tf.io.encode_jpeg(pixels, quality=JPEG_QUALITY, chroma_downsampling=False)
    return _data_url("jpeg", data)


def inline_svg(figure: Figure, title: str) -> Markup:
    """The figure as SVG; its text and lines have the color of the text around it."""
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    unique = hashlib.sha256(title.encode("utf-8", "replace")).hexdigest()[:8]

    def adapt(tag: re.Match[str]) -> str:
        """Makes a tag use the page's text color, and its identifiers unique."""
        text = re.sub(f"(fill|stroke): {MATPLOTLIB_BLACK}", r"\1: currentColor", tag[0])
        return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{unique}-", text)

    svg = re.sub("<[^>]+>", adapt, svg)
    label = Markup('<svg role="img" aria-label="{}"').format(title)
    return Markup(svg.replace("<svg", str(label), 1))


def inline_filters(network: keras.Model) -> str:
    """The data URL of a PNG of the first convolution's kernels in a square grid.

    Each kernel is stretched to the whole range of brightness.
    """
    layer = next(x for x in network.layers if isinstance(x, keras.layers.Conv2D))
    kernels = layer.get_weights()[0].transpose(3, 0, 1, 2)  # [filters, h, w, 3]
    low = kernels.min(axis=(1, 2, 3), keepdims=True)
    high = kernels.max(axis=(1, 2, 3), keepdims=True)
    shades = np.rint(255 * (kernels - low) / np.maximum(high - low, 1e-12))
    columns = int(np.ceil(len(shades) ** 0.5))
    rows = -(-len(shades) // columns)
    padding = (
        (0, rows * columns - len(shades)),
        (0, FILTER_GAP),
        (0, FILTER_GAP),
        (0, 0),
    )
    tiles = np.pad(shades.astype(np.uint8), padding, constant_values=128)  # mid gray
    height, width = tiles.shape[1:3]
    grid = tiles.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    grid = grid.reshape(rows * height, columns * width, 3)
    return _data_url("png", tf.io.encode_png(grid))


def _data_url(kind: str, data: tf.Tensor) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data.numpy()).decode()}"
