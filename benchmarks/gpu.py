"""Runs a run's exported files on a GPU through LiteRT's CompiledModel.

    python -m benchmarks.gpu RUN [RUN ...]

Without a GPU it runs on SwiftShader, Vulkan on the CPU, which Debian's chromium
contains. A row says whether the GPU delegate takes the whole file and how its answers
to 20 photographs differ from the CPU's. report.json of the export gets the rows, too.
Exit status 1 if a file's `gpu_refuses` there says otherwise, or a top-1 differs.
"""

import ctypes.util
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.compiled_model import Job
from benchmarks.debian import own_architecture, unpack_packages
from benchmarks.jobs import Answers, run_jobs
from benchmarks.proofs import (
    ExportedFile,
    Proof,
    Selection,
    compare,
    print_proofs,
    record,
)
from googlenet_keras.console import run_script
from googlenet_keras.errors import UserError
from googlenet_keras.exporting.report import ProcessorRow
from googlenet_keras.files import atomic_folder, cache_folder

SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")  # Debian's chromium
LIMIT = 1 / 16  # a probability's, of int8, whose layers the GPU computes in float


@dataclass(frozen=True)
class Options(Selection):
    """Options of the GPU."""

    count: int = 20
    """Photographs, spread evenly over the folder or the split."""
    driver: Path = SWIFTSHADER
    """The JSON file of a Vulkan driver."""
    minutes: float = 30.0
    """The most that a file may take."""


def vulkan(driver: Path) -> dict[str, str]:
    """The environment in which LiteRT finds Vulkan and the driver. Raises UserError."""
    if not driver.exists():
        raise UserError(
            f"no such Vulkan driver: {driver}. SwiftShader's comes with Debian's "
            "chromium: apt-get install chromium; or name another with --driver."
        )
    found = {"VK_ICD_FILENAMES": str(driver), "VK_DRIVER_FILES": str(driver)}
    if not ctypes.util.find_library("vulkan"):
        folder = cache_folder() / "vulkan"
        if not folder.exists():
            with atomic_folder(folder) as new:
                unpack_packages(new, own_architecture(), ["libvulkan1"])
        library = next(folder.rglob("libvulkan.so.1"))
        found["LD_LIBRARY_PATH"] = str(library.parent)
    return found


def judge(file: ExportedFile, expected: Answers, found: Answers) -> ProcessorRow:
    """Judges a file: the GPU takes it whole, or as report.json says, not."""
    row = compare(expected, found, LIMIT)
    if file.gpu_refuses and not row["fully_accelerated"]:
        kinds = ", ".join(file.gpu_refuses)
        row.update(passed=True, reason=f"refused, as report.json says: {kinds}")
    elif file.gpu_refuses:
        row.update(passed=False, reason="not refused, although report.json says so")
    elif not row["fully_accelerated"] and row["passed"]:
        row.update(passed=False, reason="some operators are left to the CPU")
    return row


def prove(options: Options, folder: Path) -> list[Proof]:
    """Runs each file here and on the GPU, in a process of its own. Raises UserError."""
    environment, seconds = vulkan(options.driver), options.minutes * 60
    name = "SwiftShader" if "swiftshader" in options.driver.name else "Vulkan"
    proofs, python = [], [sys.executable]
    for file, job in options.jobs(folder).items():
        (expected,) = run_jobs(python, [job], {}, seconds, "Python")
        on_gpu: Job = {**job, "accelerator": "GPU"}
        (found,) = run_jobs(python, [on_gpu], environment, seconds, name)
        proofs.append(Proof(file, f"GPU ({name})", judge(file, expected, found)))
    return proofs


def main() -> None:
    """Runs the files, prints the table and records it in each export's report.json."""
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        proofs = prove(options, Path(folder))
    print_proofs(proofs)
    record(proofs)
    sys.exit(0 if all(proof.row["passed"] for proof in proofs) else 1)


if __name__ == "__main__":
    run_script(main)
