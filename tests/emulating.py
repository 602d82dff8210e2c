"""The emulator of benchmarks, for tests that skip where it cannot be had."""

import pytest
from making import one_process

from benchmarks.debian import unpack_packages
from benchmarks.emulator import Emulator, find_processor
from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_folder

PHONE = find_processor("Cortex-A76")
LIBRARIES = ("libjpeg-dev", "libpng-dev", "libstdc++6", "nlohmann-json3-dev")


def shared_cache(shared_folder):
    """The variable that makes all test processes share what is fetched."""
    return "XDG_CACHE_HOME", str(shared_folder / "cache")


def prepare_emulator(shared_folder):
    """The emulator, fetched once a session."""
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            one_process(shared_folder / "emulator.lock"),
        ):
            patch.setenv(*shared_cache(shared_folder))
            return Emulator.prepare()
    except UserError as error:
        pytest.skip(f"needs packages of Debian: {error}")


def unpack_libraries(shared_folder):
    """A folder that a program for ARM64 is linked with and sees as /."""
    folder = shared_folder / "arm64"
    try:
        with one_process(shared_folder / "emulator.lock"):
            if not folder.exists():
                with atomic_folder(folder) as new:
                    unpack_packages(new, "arm64", LIBRARIES)
                    (new / "proc").mkdir()
                    (new / "proc" / "cpuinfo").write_text(PHONE.cpuinfo())
    except UserError as error:
        pytest.skip(f"needs packages of Debian: {error}")
    return folder
