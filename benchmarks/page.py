"""The exported page against the Python interpreter: answers, first load, latency.

    python -m benchmarks.page RUN --photos FOLDER

RUN has been exported with --formats web; FOLDER has a folder of photos for each class.
Needs npm, what `npm ci` installs in web/, and Chromium. Prints the bytes and
milliseconds until the page is ready; the milliseconds of one image by file, in the page
and in Python on one thread; and on how many photos the page's int8 has the top-1 of
export/int8.tflite under ai-edge-litert, and how many of each are right. Without
--photos, export/web is enough.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from googlenet_keras.artifacts.artifact import Artifact
from googlenet_keras.predictor import predict
from googlenet_keras.webpage.builder import WEB_SOURCE_FOLDER

RUNS = 30


def drive_page(run: Path, photos: list[Path], rounds: int) -> tuple[dict, list[dict]]:
    """What page.mjs saw, and the lines of the page's CSV file."""
    with tempfile.TemporaryDirectory() as folder:
        return _drive_page(run, photos, rounds, Path(folder))


def _drive_page(
    run: Path, photos: list[Path], rounds: int, work: Path
) -> tuple[dict, list[dict]]:
    serve = [sys.executable, "-m", "googlenet_keras", "serve", str(run), "--port", "0"]
    config = {
        "web": str(WEB_SOURCE_FOLDER),
        "serve": serve,
        "chromium": shutil.which("chromium") or shutil.which("google-chrome"),
        "photos": [str(photo) for photo in photos],
        "rounds": rounds,
        "csv": str(work / "photos.csv"),
        "found": str(work / "found.json"),
    }
    (work / "config.json").write_text(json.dumps(config))
    driver = Path(__file__).with_name("page.mjs")
    subprocess.run(["node", driver, work / "config.json"], check=True)
    with (work / "photos.csv").open(newline="") as file:
        return json.loads((work / "found.json").read_text()), list(csv.DictReader(file))


def milliseconds(path: Path) -> float:
    """The median of one image in Python, on one thread, from bytes to answers."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    outputs = [output["index"] for output in interpreter.get_output_details()]
    image = np.random.default_rng(0).integers(0, 256, entry["shape"])
    image, spent = image.astype(entry["dtype"]), []
    for _ in range(3 + RUNS):
        began = time.perf_counter()
        interpreter.set_tensor(entry["index"], image)
        interpreter.invoke()
        for output in outputs:
            interpreter.get_tensor(output)
        spent.append(time.perf_counter() - began)
    return 1e3 * float(np.median(spent[3:]))


def compare(run: Path, photos: list[Path], lines: list[dict]) -> None:
    """Prints on how many photos the page agrees with Python, and both accuracies."""
    proven = Artifact.load(run / "export" / "int8.tflite", threads=1)
    known = [prediction.top[0][0] for prediction in predict(proven, photos)]
    mine = [line["label_1"] for line in lines]
    same = sum(a == b for a, b in zip(mine, known, strict=True))
    right = [photo.parent.name for photo in photos]
    correct = [
        sum(a == b for a, b in zip(x, right, strict=True)) for x in (mine, known)
    ]
    print(
        f"{same} of {len(photos)} photos with the same top-1 ({same / len(photos):.4f})"
    )
    print(f"right: {correct[0]} in the page, {correct[1]} in Python")


def main() -> None:
    """Drives, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    photos = sorted(options.photos.glob("*/*.*")) if options.photos else []
    web = options.run / "export" / "web"
    before = {f: milliseconds(web / f"{f}.tflite") for f in ("int8", "float32")}
    found, lines = drive_page(options.run, photos, options.rounds)
    after = {f: milliseconds(web / f"{f}.tflite") for f in before}
    print(f"ready in {found['milliseconds']:.0f} ms, {found['bytes'] / 1e6:.2f} MB")
    for name in before:
        print(
            f"{name} in Python: {before[name]:.1f} ms before, {after[name]:.1f} after"
        )
    for timings in found["timings"]:
        print(" | ".join(line.replace("\t", " ") for line in timings))
    print(f"console errors: {found['errors']}; hosts: {found['hosts']}")
    if photos:
        compare(options.run, photos, lines)


if __name__ == "__main__":
    main()
