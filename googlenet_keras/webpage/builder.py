"""The page that runs a .tflite file in a browser, built by npm from the folder web/."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from googlenet_keras.errors import UserError

SOURCES = Path(__file__).parents[2] / "web"
LOCK, INSTALLED = "package-lock.json", "node_modules/.package-lock.json"
NODE = "Node.js 20.19 or later of 20, or from 22.12"  # what the builder, Vite, asks for
INSTALL = ("ci", "--omit=dev", "--ignore-scripts", "--prefer-offline")


def check_builder() -> None:
    """Raises UserError where the page cannot be built, before any work."""
    if not (SOURCES / LOCK).is_file():
        raise UserError(
            "the format web is built from the folder web/ of the project's repository, "
            f"and {SOURCES} is not there; export from a clone of it, or leave web out."
        )
    version = node_version()
    if not is_enough(version) or not shutil.which("npm"):
        there = ".".join(map(str, version)) if version else "none"
        raise UserError(
            f"the format web is built by npm with {NODE}; there is {there}. Install "
            "both from nodejs.org, or leave web out of --formats."
        )


def is_enough(version: tuple[int, int] | None) -> bool:
    """Whether the page can be built with that version of Node.js."""
    return bool(version) and ((20, 19) <= version < (21, 0) or version >= (22, 12))


def node_version() -> tuple[int, int] | None:
    """The version of Node.js, if there is one: (20, 19)."""
    if not (node := shutil.which("node")):
        return None
    done = subprocess.run([node, "--version"], capture_output=True, text=True)
    major, minor, *_ = (*done.stdout.strip().lstrip("v").split("."), "", "")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def build_page(folder: Path, log: Path) -> None:
    """Builds the page into `folder`, which is made; installs what that needs.

    log: the file that takes what npm prints. Raises UserError for what npm refuses.
    """
    check_builder()
    if not _is_installed():
        print("installing what the page is built with", flush=True)
        _npm(INSTALL, log)
    _npm(("run", "build", "--", "--outDir", str(folder.resolve())), log)


def _is_installed() -> bool:
    """Whether npm has installed what the lock file says."""
    lock, installed = SOURCES / LOCK, SOURCES / INSTALLED
    return installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime


def _npm(arguments: Sequence[str], log: Path) -> None:
    done = subprocess.run(
        [shutil.which("npm") or "npm", *arguments],
        cwd=SOURCES,
        env=os.environ | {"CI": "true", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with log.open("a") as file:
        file.write(done.stdout)
    if done.returncode:
        raise UserError(
            f"npm {arguments[0]} could not make the page: {_reason(done.stdout)}. "
            f"Run it in {SOURCES} to see more, or leave web out of --formats."
        )


def _reason(printed: str) -> str:
    """The line that says most of why npm failed."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    last = lines[-1] if lines else "it does not say why"
    return next(iter(errors), last)[:300]
