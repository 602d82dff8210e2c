"""export/web: a static folder with a page, its runtime and two .tflite files."""

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.artifacts.artifact import LABELS_FILE
from googlenet_keras.artifacts.mediapipe_metadata import ModelCard
from googlenet_keras.artifacts.runtimes import LiteRT
from googlenet_keras.artifacts.selftest import SELF_TEST_FOLDER
from googlenet_keras.data.decode import JPEG_RATIOS
from googlenet_keras.exporting.formats import FORMATS, WEB_FORMAT
from googlenet_keras.exporting.job import ExportJob
from googlenet_keras.exporting.report import FormatRow, megabytes, outcome
from googlenet_keras.files import read_json, write_json

SERVICE_WORKER_FILE, PAGE_MODEL_FILE = "sw.js", "model.json"
MANIFEST_FILE = "manifest.webmanifest"
RUNTIME_FOLDER, RUNTIME_VERSION_FILE = "litert", "litert/version.json"
MAX_FIRST_LOAD_BYTES = 20e6  # bytes, beyond which float32 waits until it is asked for
COMPARED_IMAGES = 32
MAX_DIFFERENCE_IN_INT8_STEPS = 2.0  # of 1 / 256, that an activation map may make


def add_page(job: ExportJob, rows: Mapping[str, FormatRow]) -> FormatRow:
    """Completes the page built in job.folder; logs the outcome and returns its row.

    rows: of the formats beside it, whose files it takes. A page that cannot be
    completed is removed, and its row says why.
    """
    page, row = job.folder / WEB_FORMAT.name, FormatRow(file=WEB_FORMAT.name)
    with outcome(WEB_FORMAT.name, row):
        for name in WEB_FORMAT.runs:
            if not rows[name]["passed"]:
                raise ValueError(f"it needs {name}, which did not pass")
            shutil.copy(job.folder / FORMATS[name].file, page)
        if (job.folder / SELF_TEST_FOLDER).is_dir():
            shutil.copytree(job.folder / SELF_TEST_FOLDER, page / SELF_TEST_FOLDER)
        if job.config.activation_map:
            _add_activation_maps(job)
        row.update(_add_model_files(page, job))
    if not row["passed"]:
        shutil.rmtree(page)
    return row


def _add_activation_maps(job: ExportJob) -> None:
    """Converts the page's files again, with activation_map as an extra output.

    Raises ValueError if their probabilities are not those of the checked files.
    """
    images = list(  # keeps no iterator, whose progress bar would stay open
        islice(
            chain.from_iterable(job.images.batches(f"{WEB_FORMAT.name}: comparing")),
            COMPARED_IMAGES,
        )
    )
    source = replace(job.source, activation_map=True)
    for format in (FORMATS[name] for name in WEB_FORMAT.runs):
        path, checked = (
            job.folder / WEB_FORMAT.name / format.file,
            job.folder / format.file,
        )
        job.convert(format.make, source, path)
        apart = job.convert(max_difference_in_int8_steps, path, checked, images)
        if not apart <= MAX_DIFFERENCE_IN_INT8_STEPS:
            raise ValueError(
                f"with activation maps the probabilities of {format.name} move by up "
                f"to {apart:.1f} / 256, allowed {MAX_DIFFERENCE_IN_INT8_STEPS:g}"
            )


def max_difference_in_int8_steps(
    path: Path, checked: Path, images: Sequence[np.ndarray]
) -> float:
    """The largest difference of two files' probabilities, in int8's steps of 1 / 256.

    images: [height, width, 3] in 0..255.
    """
    batch = np.stack(images)
    first, second = (LiteRT(file, threads=1)(batch) for file in (path, checked))
    return float(np.abs(first - second).max()) * 256


def _add_model_files(page: Path, job: ExportJob) -> FormatRow:
    """Completes the built page with the model's labels, name and list of files."""
    card = ModelCard.of(job.classifier, job.config.license)
    names = {"name": card.name, "description": card.description}
    contents = job.images.contents
    calibration = contents.calibration
    (page / LABELS_FILE).write_text(contents.to_texts()[LABELS_FILE], "utf-8")
    write_json(page / MANIFEST_FILE, read_json(page / MANIFEST_FILE) | names)
    first = _first_bytes(page)
    float32 = (page / FORMATS["float32"].file).stat().st_size
    model = names | {
        "license": card.license,
        "preprocessing": contents.preprocessing.to_json()
        | {"least_side": contents.preprocessing.least_side}
        | {"jpeg_ratios": list(JPEG_RATIOS)},
        "calibration": calibration.to_json() if calibration else None,
        "files": {
            name: _describe(page / FORMATS[name].file) for name in WEB_FORMAT.runs
        },
        "ahead": first + float32 <= MAX_FIRST_LOAD_BYTES,
    }
    write_json(page / PAGE_MODEL_FILE, model)
    _list_files(page)
    return {
        "megabytes": megabytes(page),
        "first_load_megabytes": round(first / 1e6, 3),
        "runtime": read_json(page / RUNTIME_VERSION_FILE),
        "passed": True,
        "reason": None,
    }


def _describe(path: Path) -> dict[str, Any]:
    """The name and size of a .tflite file, and the quantization of its tensors."""
    tensors = LiteRT(path, threads=1).quantization().items()
    steps = {n: {"scale": float(s), "zero": int(zero)} for n, (s, zero) in tensors}
    return {"file": path.name, "bytes": path.stat().st_size, **steps}


def _files(page: Path) -> dict[str, Path]:
    files = sorted(path for path in page.rglob("*") if path.is_file())
    return {path.relative_to(page).as_posix(): path for path in files}


def _is_own(name: str) -> bool:
    """Whether a file belongs to the page itself: no runtime, network or self-test."""
    others = (f"{RUNTIME_FOLDER}/", f"{SELF_TEST_FOLDER}/")
    return not name.startswith(others) and not name.endswith(".tflite")


def _first_bytes(page: Path) -> int:
    """Bytes of a first visit: the page, the int8 file and the largest runtime build."""
    own = sum(x.stat().st_size for name, x in _files(page).items() if _is_own(name))
    builds = [
        path.stat().st_size + path.with_suffix(".js").stat().st_size
        for path in (page / RUNTIME_FOLDER).glob("*.wasm")
    ]
    return own + max(builds) + (page / FORMATS["int8"].file).stat().st_size


def _list_files(page: Path) -> None:
    """Writes the files' names and subresource integrity into the service worker."""
    worker, files = page / SERVICE_WORKER_FILE, {}
    for name, path in _files(page).items():
        if path != worker:
            digest = hashlib.sha256(path.read_bytes()).digest()
            files[name] = f"sha256-{base64.b64encode(digest).decode()}"
    listed = {"files": files, "first": list(filter(_is_own, files))}
    code = worker.read_text("utf-8")
    worker.write_text(f"self.FOLDER = {json.dumps(listed)};\n{code}", "utf-8")
