"""export/web: a static folder with a page, its runtime and two .tflite files."""

import base64
import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.artifacts.contents import LABELS_FILE, Contents
from googlenet_keras.artifacts.mediapipe_metadata import ModelCard, model_card
from googlenet_keras.artifacts.runtimes import LiteRT
from googlenet_keras.data.decode import JPEG_RATIOS
from googlenet_keras.exporting.bundle import log_outcome
from googlenet_keras.exporting.formats import FORMATS, PAGE_FORMATS, WEB_FORMAT
from googlenet_keras.exporting.job import ExportJob
from googlenet_keras.exporting.report import FormatRow, PageRow
from googlenet_keras.files import read_json, write_json
from googlenet_keras.processes import ProcessError

SERVICE_WORKER_FILE, PAGE_MODEL_FILE = "sw.js", "model.json"
MANIFEST_FILE = "manifest.webmanifest"
RUNTIME_FOLDER, RUNTIME_VERSION_FILE = "litert", "litert/version.json"
MAX_FIRST_LOAD_BYTES = 20e6  # bytes, beyond which float32 waits until it is asked for
COMPARED_IMAGES = 32
MAX_DIFFERENCE_IN_INT8_STEPS = (
    2.0  # of 1 / 256, that an activation map may move probabilities
)


def add_page(job: ExportJob, rows: Mapping[str, FormatRow]) -> PageRow:
    """Completes the page built in job.folder; logs the outcome and returns its row.

    rows: of the formats beside it, whose files it takes. A page that cannot be
    completed is removed, and its row says why.
    """
    began, page = time.perf_counter(), job.folder / WEB_FORMAT
    try:
        _copy_files(job, rows)
        if job.config.activation_map:
            _add_activation_maps(job)
        row = complete_page(page, job)
        row.update({"passed": True, "reason": None})
    except (ProcessError, ValueError) as error:
        shutil.rmtree(page)
        row = {"file": WEB_FORMAT, "passed": False, "reason": str(error)}
    log_outcome(WEB_FORMAT, row, time.perf_counter() - began)
    return row


def _copy_files(job: ExportJob, rows: Mapping[str, FormatRow]) -> None:
    """Copies the page's .tflite files. Raises ValueError if a format has failed."""
    for name in PAGE_FORMATS:
        if not rows[name]["passed"]:
            raise ValueError(f"it needs {name}, which did not pass")
        shutil.copy(job.folder / FORMATS[name].file, job.folder / WEB_FORMAT)


def _add_activation_maps(job: ExportJob) -> None:
    """Converts the page's files anew with the output activation_map.

    Raises ValueError if their probabilities are not those of the checked files.
    """
    batches = job.images.batches(f"{WEB_FORMAT}: comparing")
    images = list(islice(chain.from_iterable(batches), COMPARED_IMAGES))
    source = replace(job.source, activation_map=True)
    for format in (FORMATS[name] for name in PAGE_FORMATS):
        path, checked = job.folder / WEB_FORMAT / format.file, job.folder / format.file
        job.convert(format.make, source, path)
        apart = job.convert(max_difference_in_int8_steps, path, checked, images)
        if not apart <= MAX_DIFFERENCE_IN_INT8_STEPS:
            raise ValueError(
                f"with activation maps the probabilities of {format.name} move by up "
                f"to {apart:.1f} / 256, allowed {MAX_DIFFERENCE_IN_INT8_STEPS:g}"
            )


def max_difference_in_int8_steps(
    path: Path, checked: Path, images: Iterable[np.ndarray]
) -> float:
    """The largest difference of two files' probabilities, in int8's steps of 1 / 256.

    images: [height, width, 3] in 0..255.
    """
    batch = np.stack(list(images))
    first, second = (LiteRT(file, threads=1)(batch) for file in (path, checked))
    return float(np.abs(first - second).max()) * 256


def complete_page(folder: Path, job: ExportJob) -> PageRow:
    """Completes the built page in `folder` with a model's labels, name and file list.

    Gives the report's row: what a visitor fetches first, what all weighs, in megabytes.
    """
    card = model_card(job.classifier, job.config.licence)
    labels = Contents.of(job.classifier).to_texts()[LABELS_FILE]
    (folder / LABELS_FILE).write_text(labels, "utf-8")
    manifest = read_json(folder / MANIFEST_FILE)
    names = {"name": card.name, "description": card.description}
    write_json(folder / MANIFEST_FILE, manifest | names)
    first = _first_bytes(folder)
    write_json(folder / PAGE_MODEL_FILE, _model(folder, job, card, first))
    _list_files(folder)
    total = sum(path.stat().st_size for path in _files(folder))
    return {
        "file": folder.name,
        "megabytes": round(total / 1e6, 3),
        "first_load_megabytes": round(first / 1e6, 3),
        "runtime": read_json(folder / RUNTIME_VERSION_FILE),
    }


def _model(
    folder: Path, job: ExportJob, card: ModelCard, first_bytes: int
) -> dict[str, Any]:
    """The content of model.json: the network and its files."""
    preprocessing = job.classifier.preprocessing
    float32 = (folder / FORMATS["float32"].file).stat().st_size
    return {
        "name": card.name,
        "description": card.description,
        "licence": card.license,
        "preprocessing": preprocessing.to_json()
        | {"least_side": preprocessing.least_side, "jpeg_ratios": list(JPEG_RATIOS)},
        "files": {name: _file(folder / FORMATS[name].file) for name in PAGE_FORMATS},
        "ahead": first_bytes + float32 <= MAX_FIRST_LOAD_BYTES,
    }


def _file(path: Path) -> dict[str, Any]:
    """Describes a .tflite file: name, bytes and the quantization of its tensors."""
    tensors = LiteRT(path, threads=1).quantization().items()
    steps = {
        n: {"scale": float(scale), "zero": int(zero)} for n, (scale, zero) in tensors
    }
    return {"file": path.name, "bytes": path.stat().st_size, **steps}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _is_page(path: Path, folder: Path) -> bool:
    """Whether a file belongs to the page itself, not to the runtime or a network."""
    top = path.relative_to(folder).parts[0]
    return top != RUNTIME_FOLDER and path.suffix != ".tflite"


def _first_bytes(folder: Path) -> int:
    """Bytes of a first visit: the page, int8 and the largest build of the runtime."""
    page = sum(p.stat().st_size for p in _files(folder) if _is_page(p, folder))
    builds = [
        path.stat().st_size + path.with_suffix(".js").stat().st_size
        for path in (folder / RUNTIME_FOLDER).glob("*.wasm")
    ]
    return page + max(builds) + (folder / FORMATS["int8"].file).stat().st_size


def _list_files(folder: Path) -> None:
    """Writes the list of the page's files into the service worker."""
    worker = folder / SERVICE_WORKER_FILE
    names = {
        path: path.relative_to(folder).as_posix()
        for path in _files(folder)
        if path != worker
    }
    listed = {
        "files": {name: _integrity(path) for path, name in names.items()},
        "first": [name for path, name in names.items() if _is_page(path, folder)],
    }
    code = worker.read_text("utf-8")
    worker.write_text(f"self.FOLDER = {json.dumps(listed)};\n{code}", "utf-8")


def _integrity(path: Path) -> str:
    """The file's SHA-256 as a subresource integrity string."""
    digest = hashlib.sha256(path.read_bytes()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
