"""A network with a second output: where it looks, for the page that shows it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.artifacts.runtimes import (
    IMAGE,
    PROBABILITIES,
    LiteRT,
    quantised,
)


def steps(path: Path) -> dict[str, dict[str, Any]]:
    """What a number stands for in each input and output of a TFLite file, by name.

    scale * (number - zero); scale 0: the number itself, float32.
    """
    runner = _runner(path)
    details = {**runner.get_input_details(), **runner.get_output_details()}
    return {name: _step(entry) for name, entry in details.items()}


def _step(details: dict[str, Any]) -> dict[str, Any]:
    scale, zero = details["quantization"]
    return {"scale": float(scale), "zero": int(zero)}


def _runner(path: Path):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=path.read_bytes()).get_signature_runner()


def steps_apart(path: Path, proven: Path, images: Iterable[np.ndarray]) -> float:
    """How far probabilities of a file with maps are from those of the `proven` one.

    images: [height, width, 3] in 0..255. In steps of int8's probabilities, 1 / 256.
    """
    runner, known = _runner(path), LiteRT(proven, threads=1)
    step = steps(path)[PROBABILITIES]
    farthest = 0.0
    for image in images:
        asked = quantised(image[None], runner.get_input_details()[IMAGE])
        found = runner(**{IMAGE: asked})[PROBABILITIES]
        if step["scale"]:
            found = (found.astype(np.float32) - step["zero"]) * step["scale"]
        farthest = max(farthest, float(np.abs(found - known(image[None])).max()))
    return farthest * 256
