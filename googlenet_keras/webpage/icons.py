"""The page's icons, drawn here: an inception module, four branches that join."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

BACK, FRONT = "#0b57c2", "#ffffff"
SIZES = (192, 512)  # pixels a side that an installed page needs
BRANCHES = (0.26, 0.42, 0.58, 0.74)  # heights of the four; inside a mask's safe circle
BEGIN, MIDDLE, END = 0.2, 0.5, 0.8


def icon(size: int) -> bytes:
    """A PNG of size x size pixels, coloured to its edges, as masks need it."""
    figure = Figure(figsize=(1, 1), dpi=size, facecolor=BACK)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis((0, 1, 0, 1))
    axes.axis("off")
    for height in BRANCHES:
        x = np.linspace(BEGIN, END, 50)
        y = 0.5 + (height - 0.5) * np.sin(np.pi * (x - BEGIN) / (END - BEGIN))
        axes.plot(x, y, color=FRONT, linewidth=3, solid_capstyle="round")
        axes.add_patch(Circle((MIDDLE, height), 0.05, color=FRONT))
    for x in (BEGIN, END):
        axes.add_patch(Circle((x, 0.5), 0.06, color=FRONT))
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()
