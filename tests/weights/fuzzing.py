"""Reads mutated copies of files of weights; run as a process, since it may die.

python fuzzing.py COUNT SOURCE FILE [SOURCE FILE ...]

Ends with status 0 if each was read or refused, within a second and without much memory:
with a UserError, or any exception of a function that runs in a child process, whose
memory is limited. Files that have FILE's name and more behind it are mutated in turn.
Each FILE is read in a process of its own, a fork, which need not import the reader.
"""

import importlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MEGABYTES = 200  # beyond what reading the whole file takes
SECONDS = 1.0
# (module, function, whether it runs in a child process, which may raise anything)
READERS = {
    "pytorch": ("pytorch_file", "parse_pytorch", True),
    "safetensors": ("from_torchvision", "read", False),
    "onnx-zoo": ("from_onnx", "parse_onnx", True),
    "caffe": ("from_caffe", "parse_caffemodel", True),
    "slim": ("from_slim", "read", False),
}


def mutated(data: bytes, draw: random.Random) -> bytes:
    """`data` cut, with bytes changed, or with a part of it doubled or taken out."""
    if not data:
        return data
    kind = draw.choice(["cut", "bytes", "bytes", "large", "double", "out"])
    start = draw.randrange(len(data))
    if kind == "cut":
        return data[:start]
    if kind in ("double", "out"):
        part = data[start : start + draw.randrange(1, 64)]
        rest = data[start + len(part) :]
        return data[:start] + (part * 2 if kind == "double" else b"") + rest
    changed = bytearray(data)
    for _ in range(draw.choice([1, 2, 8])):
        # a large number where a length may be, or any byte
        value = 0xFF if kind == "large" else draw.randrange(256)
        changed[draw.randrange(len(changed))] = value
    return bytes(changed)


def main(count: int, *sources_and_files: str) -> None:
    """Exits with the status of the first file's process that fails."""
    pairs = list(zip(sources_and_files[::2], sources_and_files[1::2], strict=True))
    for source, _ in pairs:
        reader(source)
    for source, file in pairs:
        if process := os.fork():
            _, status = os.waitpid(process, 0)
            if status:
                sys.exit(os.waitstatus_to_exitcode(status))
        else:
            fuzz(source, Path(file), count)
            return


def reader(source: str) -> Callable[[Path], object]:
    module, name, _ = READERS[source]
    return getattr(importlib.import_module(f"googlenet_keras.weights.{module}"), name)


def fuzz(source: str, file: Path, count: int) -> None:
    """Raises what a reader lets through."""
    from googlenet_keras.errors import UserError

    read, in_child = reader(source), READERS[source][2]
    refusals = Exception if in_child else UserError
    read(file)
    if in_child:
        limit_memory()
    before, draw = peak(), random.Random(0)
    whole = [path for path in file.parent.iterdir() if path.name.startswith(file.name)]
    accepted = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            for path in whole:
                shutil.copy(path, folder)
            chosen = whole[number % len(whole)]
            data = mutated(chosen.read_bytes(), draw)
            (folder / chosen.name).write_bytes(data)
            start = time.process_time()
            try:
                read(folder / file.name)
                accepted += 1
            except refusals:
                pass
            seconds = time.process_time() - start
            assert seconds < SECONDS, f"number {number} took {seconds:.1f} s"
            grown = peak() - before
            assert grown < MEGABYTES, f"number {number} took {grown:.0f} MB"
    assert 0 < accepted < count  # damage is met, and is not all there is
    print(f"{source} {file.name}: {count} mutations, {accepted} still whole")


def limit_memory() -> None:
    """As a child process that parses is limited, to less."""
    status = Path("/proc/self/status").read_text()
    used = int(status.split("VmSize:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + MEGABYTES * 2**20,) * 2)


def peak() -> float:
    """The largest memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
