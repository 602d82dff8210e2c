"""Runs exported .tflite files through LiteRT's CompiledModel, here or emulated.

    python compiled_model.py JOBS.json

Needs NumPy and ai-edge-litert only. JOBS.json has a list of `Job`. For each, a JSON
object is written beside its answers: its `Outcome`.
"""

import json
import sys
import time
from pathlib import Path
from typing import TypedDict

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.options import CpuOptions, Options

SIGNATURE, IMAGE, PROBABILITIES = "serving_default", "image", "probabilities"


class Job(TypedDict):
    """A file to run on images, and where its answers go."""

    file: str
    images: str  # .npy, [images, height, width, 3] in 0..255
    answers: str  # .npy, [images, classes] float32
    accelerator: str  # CPU or GPU
    xnnpack_flags: int  # 0: LiteRT's own


class Outcome(TypedDict):
    """The outcome of a job; the error is None if there are answers."""

    seconds: float
    fully_accelerated: bool
    error: str | None


def run(job: Job) -> Outcome:
    """Runs a job and saves its answers."""
    began = time.perf_counter()
    try:
        model = open_file(job)
        accelerated = model.is_fully_accelerated()
        np.save(job["answers"], answer(model, np.load(job["images"])))
        error = None
    except Exception as failure:  # LiteRT raises its own kinds
        accelerated, error = False, str(failure) or type(failure).__name__
    seconds = round(time.perf_counter() - began, 2)
    return {"seconds": seconds, "fully_accelerated": accelerated, "error": error}


def open_file(job: Job) -> CompiledModel:
    """Opens the file for its accelerator alone, on one thread."""
    cpu = CpuOptions(num_threads=1)
    if job["xnnpack_flags"]:
        cpu.xnnpack_flags = job["xnnpack_flags"]
    accelerator = HardwareAccelerator[job["accelerator"]]
    options = Options(hardware_accelerators=accelerator, cpu_options=cpu)
    return CompiledModel.from_file(job["file"], options=options)


def answer(model: CompiledModel, images: np.ndarray) -> np.ndarray:
    """The probabilities of each image, [images, classes] float32."""
    takes = model.get_input_tensor_details(SIGNATURE)[IMAGE]
    gives = model.get_output_tensor_details(SIGNATURE)[PROBABILITIES]
    image = model.create_input_buffer_by_name(SIGNATURE, IMAGE)
    probabilities = model.create_output_buffer_by_name(SIGNATURE, PROBABILITIES)
    in_type, out_type = np.dtype(takes["dtype"]), np.dtype(gives["dtype"])
    if in_type == np.uint8:
        images = np.clip(np.round(images), 0, 255)
    found = []
    for pixels in images:
        image.write(np.ascontiguousarray(pixels[None], in_type))
        model.run_by_name(SIGNATURE, {IMAGE: image}, {PROBABILITIES: probabilities})
        raw = probabilities.read(int(np.prod(gives["shape"])), out_type)
        found.append(raw / 256 if out_type == np.uint8 else raw)
    return np.array(found, np.float32)


if __name__ == "__main__":
    for job in json.loads(Path(sys.argv[1]).read_text()):
        outcome = json.dumps(run(job))
        Path(job["answers"]).with_suffix(".json").write_text(outcome)
