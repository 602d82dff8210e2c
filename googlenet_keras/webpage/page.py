"""export/web: a static folder with a page, its runtime and two .tflite files."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from googlenet_keras.artifacts.artifact import LABELS, texts
from googlenet_keras.artifacts.tflite_metadata import card
from googlenet_keras.classifier import Classifier
from googlenet_keras.data.decode import JPEG_RATIOS
from googlenet_keras.exporting import parity
from googlenet_keras.exporting.conversion import Job, convert_explained
from googlenet_keras.exporting.formats import FORMATS, WEB, WEB_FORMATS
from googlenet_keras.files import read_json, write_json
from googlenet_keras.processes import Call, ProcessError
from googlenet_keras.webpage.activation_output import steps, steps_apart
from googlenet_keras.webpage.icons import SIZES, icon

WORKER, MODEL, MANIFEST = "sw.js", "model.json", "manifest.webmanifest"
RUNTIME, RUNTIME_VERSION = "litert", "litert/version.json"
FIRST_LOAD = 20e6  # bytes, beyond which float32 waits until it is asked for
COMPARED, STEPS_APART = 32, 2.0  # images, and of what int8's probabilities are told by


def web_row(
    folder: Path,
    job: Job,
    rows: Mapping[str, Mapping[str, Any]],
    classifier: Classifier,
    reference: parity.Reference,
    call: Call | None,
) -> dict[str, Any]:
    """Completes the page built in folder/web; gives its row, prints a line.

    rows: of the formats beside it, whose files it takes. call: of a process that
    converts them anew with activation maps; none: without. A page that cannot be is
    removed, and its row says why.
    """
    began, page = time.perf_counter(), folder / WEB
    try:
        _take_files(folder, rows)
        if call:
            _explain_files(folder, job, reference, classifier, call)
        row = complete(page, classifier, job.licence) | {"passed": True, "reason": None}
    except (ProcessError, ValueError) as error:
        shutil.rmtree(page)
        row = {"file": WEB, "passed": False, "reason": str(error)}
    outcome = "passed" if row["passed"] else f"FAILED: {row['reason']}"
    print(f"{WEB:<12} {outcome} in {time.perf_counter() - began:.0f} s", flush=True)
    return row


def _take_files(folder: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Copies what the page runs. Raises ValueError for a format that has failed."""
    for name in WEB_FORMATS:
        if not rows[name]["passed"]:
            raise ValueError(f"it needs {name}, which did not pass")
        shutil.copyfile(folder / FORMATS[name].file, folder / WEB / FORMATS[name].file)


def _explain_files(
    folder: Path,
    job: Job,
    reference: parity.Reference,
    classifier: Classifier,
    call: Call,
) -> None:
    """Replaces them by files with maps. Raises ValueError if those answer otherwise."""
    images = list(_images(reference, classifier))
    for name in WEB_FORMATS:
        path, proven = folder / WEB / FORMATS[name].file, folder / FORMATS[name].file
        call(convert_explained, job, name, path)
        apart = call(steps_apart, path, proven, images)
        if not apart <= STEPS_APART:
            raise ValueError(
                f"with activation maps the probabilities of {name} move by up to "
                f"{apart:.1f} / 256, allowed {STEPS_APART:g}"
            )


def _images(reference: parity.Reference, classifier: Classifier) -> Iterator[Any]:
    batches = parity.batches(
        reference.split, classifier.preprocessing, f"{WEB}: comparing"
    )
    for batch in islice(batches, COMPARED // parity.BATCH):
        yield from batch


def complete(
    folder: Path, classifier: Classifier, licence: str | None
) -> dict[str, Any]:
    """Makes the built page in `folder`, which has the .tflite files, one of a model.

    Gives the report's row: what a visitor fetches first, what all weighs, in megabytes.
    """
    (folder / LABELS).write_text(texts(classifier)[LABELS], "utf-8")
    for size in SIZES:
        (folder / f"icon-{size}.png").write_bytes(icon(size))
    shown = card(classifier, licence)
    write_json(folder / MANIFEST, _manifest(shown.name, shown.description))
    first = _first_bytes(folder)
    exact = (folder / FORMATS["float32"].file).stat().st_size
    model = {
        "name": shown.name,
        "description": shown.description,
        "licence": shown.licence,
        "preprocessing": _preprocessing(classifier),
        "files": {name: _file(folder / FORMATS[name].file) for name in WEB_FORMATS},
        "ahead": first + exact <= FIRST_LOAD,
    }
    write_json(folder / MODEL, model)
    _list_files(folder)
    total = sum(path.stat().st_size for path in _files(folder))
    return {
        "file": folder.name,
        "megabytes": round(total / 1e6, 3),
        "first_load_megabytes": round(first / 1e6, 3),
        "runtime": read_json(folder / RUNTIME_VERSION),
    }


def _preprocessing(classifier: Classifier) -> dict[str, Any]:
    preprocessing = classifier.preprocessing
    return preprocessing.to_json() | {
        "least_side": preprocessing.least_side,
        "jpeg_ratios": list(JPEG_RATIOS),
    }


def _file(path: Path) -> dict[str, Any]:
    return {"file": path.name, "bytes": path.stat().st_size, **steps(path)}


def _manifest(name: str, description: str) -> dict[str, Any]:
    """What a phone needs to install the page as an app."""
    return {
        "name": name,
        "short_name": "Classifier",
        "description": description,
        "start_url": "./",
        "display": "standalone",
        "background_color": "#f6f7f9",
        "theme_color": "#0b57c2",
        "icons": [
            {
                "src": f"icon-{size}.png",
                "sizes": f"{size}x{size}",
                "type": "image/png",
                "purpose": "any maskable",
            }
            for size in SIZES
        ],
    }


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _is_page(path: Path, folder: Path) -> bool:
    """Whether a file is part of the page itself: no runtime, no network."""
    return path.relative_to(folder).parts[0] != RUNTIME and path.suffix != ".tflite"


def _first_bytes(folder: Path) -> int:
    """What a first visit fetches: the page, int8, the largest build of the runtime."""
    page = sum(p.stat().st_size for p in _files(folder) if _is_page(p, folder))
    builds = [
        path.stat().st_size + path.with_suffix(".js").stat().st_size
        for path in (folder / RUNTIME).glob("*.wasm")
    ]
    return page + max(builds) + (folder / FORMATS["int8"].file).stat().st_size


def _list_files(folder: Path) -> None:
    """Tells the service worker every file of the folder and which the page needs."""
    paths = [path for path in _files(folder) if path.name != WORKER]
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    listed = {
        "files": {names[path]: _integrity(path) for path in paths},
        "first": [names[path] for path in paths if _is_page(path, folder)],
    }
    worker = folder / WORKER
    code = worker.read_text("utf-8")
    worker.write_text(f"self.FOLDER = {json.dumps(listed)};\n{code}", "utf-8")


def _integrity(path: Path) -> str:
    """The file's SHA-256 as browsers compare it."""
    digest = hashlib.sha256(path.read_bytes()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
