"""Makes the self-test of a bundle: images that show mistakes, and each file's answers.

An image has a made picture in its center, where evaluation looks, and another one
around it, so that it matters what is cropped.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from PIL import Image

from googlenet_keras.artifacts.runtimes import open_runtime
from googlenet_keras.artifacts.selftest import (
    MISTAKES,
    RIGHT,
    SELF_TEST_FILE,
    SELF_TEST_FOLDER,
    Answer,
    FileTest,
    SelfTest,
    distances,
)
from googlenet_keras.data.dataset import list_names
from googlenet_keras.data.preprocessing import (
    PHONE_SQUARE_CROP,
    Crops,
    Preprocessing,
    resize,
)
from googlenet_keras.exporting.converters import Source, network_probabilities
from googlenet_keras.exporting.formats import Format
from googlenet_keras.exporting.job import ExportJob
from googlenet_keras.exporting.made_pictures import make_picture
from googlenet_keras.exporting.report import FormatRow, SelfTestRow
from googlenet_keras.files import write_bytes
from googlenet_keras.processes import ProcessError

IMAGE_COUNT, CANDIDATE_COUNT = 8, 64
IMAGES_PER_CALL = 4  # of a network, with five inputs from each
IMAGE_SCALE = (2.0, 1.5)  # of the input's height and width: not its aspect ratio
# black and white are left out: scaled to -1..1 they are whole numbers, which runtimes
# turn into different bytes
DARKEST, LIGHTEST = 8, 247
PHONE = "phone"  # the right crop, resized as MediaPipe does it
LISTED_CLASSES = 5  # the likeliest of each answer
MIN_TOLERANCE = 0.02  # other processors and decoders move probabilities by 0.01
RESIZING_TOLERANCE = 2.0  # times what MediaPipe's resizing moves
RESIZING_PENALTY = 4.0  # weight against a mistake's effect, when images are selected
DECIMALS = 4  # of a probability
MIN_MISTAKE_TOLERANCES = 2.0  # that a mistake's answers are away from the right ones
Answers: TypeAlias = Mapping[str, np.ndarray]
"""Probabilities [classes] of one image, by RIGHT, PHONE or mistake."""

log = logging.getLogger(__name__)


def add_self_test(job: ExportJob, rows: Mapping[str, FormatRow]) -> None:
    """Writes job.folder/selftest for the formats that passed; adds to their rows.

    Every export of a run has the same images. If it cannot be made, a warning says why.
    """
    passed = [format for format in job.formats if rows[format.name]["passed"]]
    if not passed:
        return
    began = time.perf_counter()
    try:
        content, images = _make(job, rows, passed)
    except ProcessError as error:
        log.warning(f"there is no self-test: {error}")
        return
    _write(job.folder / SELF_TEST_FOLDER, content, images)
    seconds = time.perf_counter() - began
    log.info("%-12s made in %.0f s", SELF_TEST_FOLDER, seconds)


def _make(
    job: ExportJob, rows: Mapping[str, FormatRow], passed: Sequence[Format]
) -> tuple[SelfTest, list[np.ndarray]]:
    """The self-test of the formats that passed, and its images; adds to their rows."""
    images = _select_images(job)
    labels, files = list(job.images.contents.labels), {}
    for format in passed:
        geometry = job.images_of(format).contents.preprocessing
        path = job.folder / format.file
        test = file_test(job.convert(_run_file, path, images, geometry))
        files[path.name] = test
        rows[format.name]["self_test"] = _row(format, test)
    return SelfTest(labels=labels, mistakes=MISTAKES, files=files), images


def file_test(answers: Sequence[Answers]) -> FileTest:
    """The part of selftest.json for a file that gives these answers to the images.

    A mistake is in it if it can be told from what is right and from all others.
    """
    listed = [_to_answer(i, probabilities) for i, probabilities in enumerate(answers)]
    test: FileTest = {"tolerance": 0.0, "answers": listed}
    resized = distances(test, [x[PHONE] for x in answers])[RIGHT]
    test["tolerance"] = round(MIN_TOLERANCE + RESIZING_TOLERANCE * resized, 3)
    shown = [name for name in MISTAKES if _shows(test, name, answers)]
    for answer in listed:
        kept = {name: answer["probabilities"][name] for name in (RIGHT, *shown)}
        answer["probabilities"] = kept
    return test


def _to_answer(number: int, answers: Answers) -> Answer:
    compared = {name: answers[name] for name in (RIGHT, *MISTAKES)}
    likeliest = [
        np.argsort(-x, kind="stable")[:LISTED_CLASSES] for x in compared.values()
    ]
    classes = np.unique(likeliest)
    return {
        "image": f"{number}.png",
        "classes": classes.tolist(),
        "probabilities": {
            name: [round(float(p), DECIMALS) for p in x[classes]]
            for name, x in compared.items()
        },
    }


def _shows(test: FileTest, mistake: str, answers: Sequence[Answers]) -> bool:
    """Whether a mistake's answers are far from all others."""
    apart = distances(test, [x[mistake] for x in answers])
    del apart[mistake]
    return min(apart.values()) >= MIN_MISTAKE_TOLERANCES * test["tolerance"]


def _row(format: Format, test: FileTest) -> SelfTestRow:
    """The row of report.json; logs which mistakes the test of a format cannot show."""
    hidden = [m for m in MISTAKES if m not in test["answers"][0]["probabilities"]]
    told = [m for m in hidden if m != "crop" or not format.takes_whole_photos]
    if told:
        log.warning(
            f"the self-test of {format.name} cannot show mistakes in {list_names(told)}"
        )
    return {"tolerance": test["tolerance"], "cannot_show": hidden}


def _write(folder: Path, content: SelfTest, images: Sequence[np.ndarray]) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    write_bytes(folder / SELF_TEST_FILE, json.dumps(content).encode())


def _select_images(job: ExportJob) -> list[np.ndarray]:
    """The candidates on whose answers every mistake has the largest effect."""
    geometry = job.images.contents.preprocessing
    candidates = make_candidates(geometry)
    answers = job.convert(_run_network, job.source, candidates, geometry)
    scores = [round(_score(x), DECIMALS) for x in answers]
    best = np.argsort(np.negative(scores), kind="stable")[:IMAGE_COUNT]
    return [candidates[i] for i in sorted(best)]


def _score(answers: Answers) -> float:
    apart = {
        name: float(np.abs(x - answers[RIGHT]).max()) for name, x in answers.items()
    }
    return min(apart[name] for name in MISTAKES) - RESIZING_PENALTY * apart[PHONE]


def make_candidates(geometry: Preprocessing) -> list[np.ndarray]:
    """The images to select from; the same for all networks of the same input."""
    pictures = [
        make_picture(geometry.size, seed) for seed in range(2 * CANDIDATE_COUNT)
    ]
    pairs = zip(pictures[::2], pictures[1::2], strict=True)
    return [compose(center, around, geometry) for center, around in pairs]


def compose(
    center: np.ndarray, around: np.ndarray, geometry: Preprocessing
) -> np.ndarray:
    """An image, uint8, of which evaluation sees `center`, with `around` around it.

    center, around: [height, width, 3] in 0..255, of the input's size.
    """
    size = [
        round(scale * side)
        for scale, side in zip(IMAGE_SCALE, geometry.size, strict=True)
    ]
    image = resize(tf.constant(around), size).numpy()
    (top, left), (height, width) = (
        x.numpy() for x in geometry.window(tf.constant(size))
    )
    crop = resize(tf.constant(center), (height, width)).numpy()
    image[top : top + height, left : left + width] = crop
    return np.clip(np.round(image), DARKEST, LIGHTEST).astype(np.uint8)


# what follows runs in the process that converts


def _run_network(
    source: Source, images: Sequence[np.ndarray], geometry: Preprocessing
) -> list[Answers]:
    return _answers(partial(network_probabilities, source), images, geometry)


def _run_file(
    path: Path, images: Sequence[np.ndarray], geometry: Preprocessing
) -> list[Answers]:
    return _answers(open_runtime(path), images, geometry)


def _answers(
    run: Callable[[np.ndarray], np.ndarray],
    images: Sequence[np.ndarray],
    geometry: Preprocessing,
) -> list[Answers]:
    """The answers to each image. run: [n, height, width, 3] to [n, classes]."""
    found: list[Answers] = []
    for begin in range(0, len(images), IMAGES_PER_CALL):
        chunk = images[begin : begin + IMAGES_PER_CALL]
        made = [inputs(image, geometry) for image in chunk]
        rows = iter(run(np.stack([x for one in made for x in one.values()])))
        found += [{name: next(rows) for name in one} for one in made]
    return found


def inputs(image: np.ndarray, geometry: Preprocessing) -> dict[str, np.ndarray]:
    """Inputs [height, width, 3] from an image, uint8: right ones and mistaken ones."""
    photo = tf.constant(image)
    right = geometry(photo).numpy()
    (phone,) = Crops(geometry, PHONE_SQUARE_CROP)(photo).numpy()
    return {
        RIGHT: right,
        PHONE: phone,
        "crop": resize(photo, geometry.size).numpy(),
        "channel order": right[..., ::-1],
        "scaling": right / 255,
    }
