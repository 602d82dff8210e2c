"""Runs LiteRT on a phone's processor: an ARM64 Python under qemu-user, no phone needed.

The emulated Python, its libraries and the emulator are fetched once, into the cache
folder: Debian's packages by apt-get, wheels of ai-edge-litert and what it needs by pip.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.compiled_model import Job
from benchmarks.debian import own_architecture, unpack_packages
from benchmarks.jobs import Answers, run_jobs
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.files import atomic_folder, cache_folder

ARM_PACKAGES = ("python3", "libstdc++6")
WHEELS = ("numpy", "ml-dtypes", "ai-edge-litert")
WHEEL_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64")
QEMU_NAMES = ("qemu-aarch64-static", "qemu-aarch64")
WEBGPU_LIBRARY = "libLiteRtWebGpuAccelerator.so"
EIGHT_BIT_STEP = 1 / 256


@dataclass(frozen=True)
class Processor:
    """A phone's processor as qemu and Linux name it.

    features: the flags in /proc/cpuinfo; they must be those that qemu emulates, since
    LiteRT takes its kernels by them.
    """

    name: str
    cpu: str
    part: str
    features: str

    @property
    def has_float16_arithmetic(self) -> bool:
        return "asimdhp" in self.features.split()

    def cpuinfo(self) -> str:
        """The content of /proc/cpuinfo; with this machine's, LiteRT crashes."""
        return "".join(
            f"processor\t: {number}\nBogoMIPS\t: 38.40\nFeatures\t: {self.features}\n"
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\n"
            f"CPU part\t: {self.part}\nCPU revision\t: 0\n\n"
            for number in range(os.cpu_count() or 1)
        )


ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
PROCESSORS = (
    Processor("Cortex-A53", "cortex-a53", "0xd03", f"{ARMV8} cpuid"),  # 2012, ARMv8.0
    Processor(  # 2018, ARMv8.2: float16 arithmetic and products of bytes
        "Cortex-A76",
        "cortex-a76",
        "0xd0b",
        f"{ARMV8} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
)


def find_processor(name: str) -> Processor:
    """The processor of this name. Raises UserError if it is unknown."""
    known = {processor.name: processor for processor in PROCESSORS}
    if name not in known:
        raise unknown_choice_error("a processor", name, known)
    return known[name]


@dataclass(frozen=True)
class Emulator:
    """An emulated Linux with Python and LiteRT: its folder and qemu-user's program."""

    folder: Path
    qemu: Path

    @classmethod
    def prepare(cls, qemu: Path | None = None) -> "Emulator":
        """Fetches what is not in the cache. qemu: the program, or the one on PATH.

        Raises UserError if something cannot be fetched.
        """
        folder = cache_folder() / f"arm64-litert-{version('ai-edge-litert')}"
        if not folder.exists():
            with atomic_folder(folder) as new:
                _fill(new)
        return cls(folder, qemu or _find_qemu() or _fetch_qemu())

    @property
    def version(self) -> str:
        """The first line that qemu says of itself."""
        done = subprocess.run([self.qemu, "--version"], capture_output=True, text=True)
        return (done.stdout.splitlines() or ["unknown"])[0]

    def run(
        self, processor: Processor, jobs: Sequence[Job], seconds: float
    ) -> list[Answers]:
        """Runs the jobs on a processor; seconds: the most. Raises UserError."""
        root = self._root(processor)
        python = next((self.folder / "usr" / "bin").glob("python3.*"))
        command = [self.qemu, "-cpu", processor.cpu, "-L", root, python]
        environment = {
            "PYTHONPATH": str(self.folder / "wheels"),
            "OPENBLAS_NUM_THREADS": "1",
        }
        return run_jobs(
            [str(word) for word in command], jobs, environment, seconds, processor.name
        )

    def check(self, processor: Processor, probe: Job, seconds: float) -> None:
        """Raises UserError if a small int8 network answers otherwise than here."""
        (expected,) = run_jobs([sys.executable], [probe], {}, seconds, "Python")
        (found,) = self.run(processor, [probe], seconds)
        if error := expected.error or found.error:
            raise UserError(f"LiteRT cannot run a small network: {error}")
        apart = abs(found.probabilities - expected.probabilities).max()
        if not apart <= EIGHT_BIT_STEP:
            raise UserError(
                f"an emulator must compute int8 as a processor does; {self.version}, "
                f"as {processor.name}, is {apart * 256:.0f} steps off in a small "
                "network. Some versions compute SME wrong, as 7.2 with -cpu max does: "
                "name another program with --qemu."
            )

    def _root(self, processor: Processor) -> Path:
        """The folder that the emulated processor sees as /, in part."""
        root = self.folder / "processors" / processor.cpu
        if not root.exists():
            with atomic_folder(root) as new:
                for name in ("lib", "usr"):
                    (new / name).symlink_to(self.folder / name)
                (new / "proc").mkdir()
        (root / "proc" / "cpuinfo").write_text(processor.cpuinfo())
        return root


def _fill(folder: Path) -> None:
    unpack_packages(folder, "arm64", ARM_PACKAGES)
    python = os.readlink(folder / "usr" / "bin" / "python3")
    wheels = folder / "downloads"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += [
        "--only-binary=:all:",
        "--python-version",
        python.removeprefix("python"),
    ]
    command += [word for name in WHEEL_PLATFORMS for word in ("--platform", name)]
    command += ["--dest", str(wheels), *(f"{name}=={version(name)}" for name in WHEELS)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise UserError(f"pip cannot fetch the wheels of {', '.join(WHEELS)}: {reason}")
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "wheels")
    # LiteRT opens it whatever the accelerator, and a Cortex-A53 cannot
    (folder / "wheels" / "ai_edge_litert" / WEBGPU_LIBRARY).unlink()
    shutil.rmtree(wheels)


def _find_qemu() -> Path | None:
    found = [path for path in map(shutil.which, QEMU_NAMES) if path]
    return Path(found[0]) if found else None


def _fetch_qemu() -> Path:
    folder = cache_folder() / "qemu-user"
    if not folder.exists():
        with atomic_folder(folder) as new:
            unpack_packages(new, own_architecture(), ["qemu-user-static"])
    programs = [folder / "usr" / "bin" / name for name in QEMU_NAMES]
    return next(path for path in programs if path.exists())
