"""A camera that pans over photographs: how often the page's label changes, how late.

    python -m benchmarks.camera RUN/export/int8.tflite --photos FOLDER

FOLDER has photographs, itself or in folders of their classes. They hang side by side;
the camera rests on one, slides to the next and rests again, while the hand shakes and
the sensor adds noise. Every frame is answered by the file; the answers go through the
page's own web/src/steady.ts in Node.js, which needs what `npm ci` installs in web/.

A row for each combination of the settings: label changes per second of the single
frames and of the steady label; their ratio; the ratio without the changes of scene,
which any display must show; how many seconds later than the single frames the steady
label shows a new scene; how often that is over half a second. A change of scene counts
if both photographs, while the camera rests on them, have one label in most frames, and
not the same one.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from PIL import Image, ImageOps
from rich import box
from rich.console import Console
from rich.table import Table

from googlenet_keras.artifacts.artifact import open_classifier
from googlenet_keras.data.pipeline import EVALUATION_BATCH_SIZE
from googlenet_keras.predictor import Predictor
from googlenet_keras.webpage.builder import WEB_SOURCE_FOLDER

STEADY_RUNNER = Path(__file__).parents[1] / "tests" / "web" / "steady.mjs"
PHOTO_PIXELS = 400  # pixels of a photograph on the canvas
VIEW_FRACTION = (
    0.85  # of PHOTO_PIXELS that the camera sees; the rest is room for the hand
)
TREMOR_SECONDS = 0.15  # for which a hand's shift lasts
MIN_LABEL_FRACTION = 0.8  # of the frames at rest that say a photograph's label
TABLE_COLUMNS = (
    *("ms", "margin", "hold", "raw/s", "steady/s", "ratio", "without"),
    *("late", "most", ">0.5"),
)
MIN_STAY_SECONDS = 0.2  # for which a label stays until it counts as the new scene's


@dataclass(frozen=True)
class Options:
    """Options of the pan and of the smoothing."""

    file: Annotated[Path, tyro.conf.Positional]
    """An exported file, a classifier or a run."""
    photos: Path
    """A folder of photographs."""
    count: int = 40
    """Photographs that are drawn from it."""
    rate: float = 15.0
    """Frames per second."""
    rest_seconds: float = 4.0
    """On each photograph."""
    slide_seconds: float = 0.5
    """From one to the next."""
    tremor: float = 0.02
    """Spread of the hand's shifts, in photographs' sides."""
    noise: float = 6.0
    """Spread of the sensor's noise, of 255."""
    time_constants: tuple[float, ...] = ()
    """Milliseconds; none: the page's own."""
    margins: tuple[float, ...] = ()
    """Of the average; none: the page's own."""
    holds: tuple[float, ...] = ()
    """Milliseconds; none: the page's own."""
    seed: int = 0
    """Of photographs, hand and noise."""


class Scene(NamedTuple):
    """Numbers of frames: a photograph appears, fills the view and begins to leave."""

    start: int
    rest: int
    end: int


def scenes(options: Options) -> list[Scene]:
    """The photographs in the order of the pan; the first is there from the start."""
    slide, rest = options.slide_seconds, options.rest_seconds
    begins = [i * (slide + rest) for i in range(options.count)]
    times = [(max(t - slide, 0), t, t + rest) for t in begins]
    return [Scene(*(round(t * options.rate) for t in three)) for three in times]


def canvas(options: Options) -> Image.Image:
    """The photographs' middles side by side."""
    found = [path for path in options.photos.rglob("*") if path.is_file()]
    drawn = random.Random(options.seed).sample(sorted(found), options.count)
    wide = Image.new("RGB", (PHOTO_PIXELS * len(drawn), PHOTO_PIXELS))
    for i, path in enumerate(drawn):
        upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        wide.paste(
            ImageOps.fit(upright, (PHOTO_PIXELS, PHOTO_PIXELS)), (PHOTO_PIXELS * i, 0)
        )
    return wide


def centers(options: Options) -> np.ndarray:
    """The center of each frame, [frame, (x, y)] in photographs' sides."""
    found = scenes(options)
    frames = np.arange(found[-1].end)
    known = [(x, i) for i, scene in enumerate(found) for x in (scene.rest, scene.end)]
    x = np.interp(frames, *np.transpose(known))
    steps = np.random.default_rng(options.seed).normal(size=(len(frames), 2))
    kept = np.exp(-1 / options.rate / TREMOR_SECONDS)
    shift = np.zeros(2)
    shifts = [shift := kept * shift + np.sqrt(1 - kept**2) * step for step in steps]
    middle = np.stack([x + 0.5, np.full(len(frames), 0.5)], axis=1)
    return middle + options.tremor * np.array(shifts)


def frames(options: Options) -> Iterator[np.ndarray]:
    """Yields the camera's frames, [height, width, 3] uint8."""
    wide = canvas(options)
    random_numbers = np.random.default_rng(options.seed + 1)
    free = np.array(wide.size) - PHOTO_PIXELS * VIEW_FRACTION
    for center in centers(options):
        left, top = np.clip(PHOTO_PIXELS * (center - VIEW_FRACTION / 2), 0, free)
        seen = (
            left,
            top,
            left + PHOTO_PIXELS * VIEW_FRACTION,
            top + PHOTO_PIXELS * VIEW_FRACTION,
        )
        image = wide.resize(
            (PHOTO_PIXELS, PHOTO_PIXELS), Image.Resampling.BILINEAR, box=seen
        )
        noise = random_numbers.normal(0, options.noise, (PHOTO_PIXELS, PHOTO_PIXELS, 3))
        yield np.uint8(np.clip(image + noise, 0, 255))


def answers(predictor: Predictor, options: Options) -> np.ndarray:
    """The probabilities of each frame, [frame, class]."""
    images = (predictor.preprocessing(image).numpy() for image in frames(options))
    found = []
    while batch := list(itertools.islice(images, EVALUATION_BATCH_SIZE)):
        found.append(predictor.probabilities(np.stack(batch)))
    return np.concatenate(found)


def smooth(
    probabilities: np.ndarray,
    milliseconds: Sequence[float],
    settings: Sequence[dict[str, float]] = ({},),
) -> list[dict]:
    """Runs the page's smoothing once for each of `settings`, which replace its own.

    Each result has the settings, and for each frame places, raw and averages.
    """
    asked = {
        "web": str(WEB_SOURCE_FOLDER),
        "milliseconds": list(milliseconds),
        "probabilities": np.round(probabilities.astype(float), 6).tolist(),
        "settings": list(settings),
    }
    return json.loads(
        subprocess.check_output(
            ["node", STEADY_RUNNER], input=json.dumps(asked), text=True
        )
    )


def changes(labels: Sequence[int]) -> int:
    """The number of times that the label changes."""
    return sum(a != b for a, b in itertools.pairwise(labels))


def delays(
    raw: Sequence[int], steady: Sequence[int], pan: Sequence[Scene], rate: float
) -> list[float]:
    """Seconds by which the steady label shows each new scene later than the frames do.

    Infinite for a scene that it leaves without having shown it.
    """
    found = []
    for scene, new in new_scenes(raw, pan):
        first, shown = (arrival(labels, new, scene, rate) for labels in (raw, steady))
        found.append((shown - first) / rate)
    return found


def new_scenes(raw: Sequence[int], pan: Sequence[Scene]) -> list[tuple[Scene, int]]:
    """The scenes with a label, and not that of the scene before, with their label."""
    labels = [own_label(raw, scene) for scene in pan]
    return [
        (scene, new)
        for scene, (old, new) in zip(pan[1:], itertools.pairwise(labels), strict=True)
        if old is not None and new is not None and old != new
    ]


def own_label(raw: Sequence[int], scene: Scene) -> int | None:
    """The label of most frames while the camera rests; None: they are divided."""
    seen = raw[scene.rest : scene.end]
    ((label, count),) = Counter(seen).most_common(1)
    return label if count >= MIN_LABEL_FRACTION * len(seen) else None


def arrival(labels: Sequence[int], new: int, scene: Scene, rate: float) -> float:
    """The first frame of the scene from which on the label is `new` for a while."""
    count = max(round(MIN_STAY_SECONDS * rate), 1)
    for i in range(scene.start, scene.end - count + 1):
        if set(labels[i : i + count]) == {new}:
            return i
    return float("inf")


def row(found: dict, pan: Sequence[Scene], rate: float) -> list[str]:
    """One line of the table."""
    raw, steady, used = found["raw"], found["places"], found["settings"]
    late = delays(raw, steady, pan, rate) or [float("nan")]
    counts = changes(raw), changes(steady)
    rest = [max(count - len(new_scenes(raw, pan)), 0) for count in counts]
    return [
        *(f"{used[name]:g}" for name in ("timeConstant", "margin", "hold")),
        *(f"{count / len(raw) * rate:.2f}" for count in counts),
        *(f"{b / a:.2f}" if a else "" for a, b in (counts, rest)),
        *(f"{x:.2f}" for x in (np.median(late), max(late))),
        f"{sum(x > 0.5 for x in late)}/{len(late)}",
    ]


def combinations(options: Options) -> list[dict[str, float]]:
    """Every combination of the settings that are given; the page has the others."""
    asked = {
        "timeConstant": options.time_constants,
        "margin": options.margins,
        "hold": options.holds,
    }
    given = {name: values for name, values in asked.items() if values}
    return [
        dict(zip(given, x, strict=True)) for x in itertools.product(*given.values())
    ]


def main() -> None:
    """Pans, smooths and prints a row for each combination."""
    options = tyro.cli(Options, description=__doc__)
    probabilities = answers(open_classifier(options.file), options)
    pan = scenes(options)
    milliseconds = [1000 * i / options.rate for i in range(len(probabilities))]
    table = Table(*TABLE_COLUMNS, box=box.SIMPLE)
    for found in smooth(probabilities, milliseconds, combinations(options)):
        table.add_row(*row(found, pan, options.rate))
    Console().print(table)
    seconds = len(probabilities) / options.rate
    count = len(new_scenes(probabilities.argmax(1).tolist(), pan))
    print(
        f"{len(probabilities)} frames in {seconds:.0f} s, {count} changes of scene: "
        f"{count / seconds:.2f} per second"
    )


if __name__ == "__main__":
    main()
