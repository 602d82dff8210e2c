"""Unpacks Debian packages, also of another architecture, without installing them."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from googlenet_keras.errors import UserError


def unpack_packages(folder: Path, architecture: str, packages: Sequence[str]) -> None:
    """Unpacks `packages` and all that they depend on into `folder`.

    apt-get downloads them with lists and a state of its own, so that nothing on this
    machine changes and no rights are needed. Raises UserError if it cannot.
    """
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        (state / "status").touch()  # nothing is installed
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Dir::State": name,
            "Dir::State::status": str(state / "status"),
            "Dir::Cache": name,
            "Dir::Log": name,
        }
        _apt_get(settings, "update")
        wanted = ("install", "--yes", "--no-install-recommends", "--download-only")
        _apt_get(settings, *wanted, *packages)
        for package in sorted((state / "archives").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    if not (folder / "lib").exists():  # Debian 13's packages count on this link
        (folder / "lib").symlink_to("usr/lib")


def own_architecture() -> str:
    """Debian's name for this machine's architecture. Raises UserError elsewhere."""
    try:
        return subprocess.check_output(
            ["dpkg", "--print-architecture"], text=True
        ).strip()
    except OSError as error:
        raise _not_debian(error) from error


def _apt_get(settings: Mapping[str, str], *words: str) -> None:
    options = [f"-o{key}={value}" for key, value in settings.items()]
    try:
        done = subprocess.run(
            ["apt-get", *options, *words], capture_output=True, text=True
        )
    except OSError as error:
        raise _not_debian(error) from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[0]
        raise UserError(
            f"packages come from Debian's archive; apt-get {words[0]} failed: {reason}"
        )


def _not_debian(error: OSError) -> UserError:
    return UserError(f"packages are fetched on Debian only: {error}.")
