"""The page's icons: an inception module, four branches that join."""

from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle

BACKGROUND, FOREGROUND = "#0b57c2", "#ffffff"
ICON_SIZES = (192, 512)  # pixels a side that an installed page needs
BRANCHES = (0.26, 0.42, 0.58, 0.74)  # heights of the four; inside a mask's safe circle
LEFT, MIDDLE, RIGHT = 0.2, 0.5, 0.8


def draw_icon(size: int) -> bytes:
    """A PNG of size x size pixels, colored to its edges, as masks need it."""
    figure = Figure(figsize=(1, 1), dpi=size, facecolor=BACKGROUND)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis((0, 1, 0, 1))
    axes.axis("off")
    for height in BRANCHES:
        x = np.linspace(LEFT, RIGHT, 50)
        y = 0.5 + (height - 0.5) * np.sin(np.pi * (x - LEFT) / (RIGHT - LEFT))
        axes.plot(x, y, color=FOREGROUND, linewidth=3, solid_capstyle="round")
        axes.add_patch(Circle((MIDDLE, height), 0.05, color=FOREGROUND))
    for end in (LEFT, RIGHT):
        axes.add_patch(Circle((end, 0.5), 0.06, color=FOREGROUND))
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
