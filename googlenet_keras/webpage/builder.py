"""Builds the web page with npm from the folder web/."""

import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from googlenet_keras.errors import UserError

WEB_SOURCE_FOLDER = Path(__file__).parents[2] / "web"
NPM_LOCK_FILE, INSTALLED_LOCK_FILE = (
    "package-lock.json",
    "node_modules/.package-lock.json",
)
NODE_REQUIREMENT = (
    "Node.js 20.19 or later of 20, or from 22.12"  # what the builder, Vite, needs
)
NPM_INSTALL_ARGUMENTS = ("ci", "--omit=dev", "--ignore-scripts", "--prefer-offline")

log = logging.getLogger(__name__)


def check_builder() -> None:
    """Raises UserError if the page cannot be built here."""
    if not (WEB_SOURCE_FOLDER / NPM_LOCK_FILE).is_file():
        raise UserError(
            "the format web is built from the folder web/ of the project's repository, "
            f"and {WEB_SOURCE_FOLDER} is not there; export from a clone of it, or "
            "leave web out."
        )
    version = node_version()
    if not can_build(version) or not shutil.which("npm"):
        there = ".".join(map(str, version)) if version else "none"
        raise UserError(
            f"the format web is built by npm with {NODE_REQUIREMENT}; there is {there}"
            ". Install both from nodejs.org, or leave web out of --formats."
        )


def can_build(version: tuple[int, int] | None) -> bool:
    """Whether that version of Node.js, if there is one, can build the page."""
    return version is not None and (
        (20, 19) <= version < (21, 0) or version >= (22, 12)
    )


def node_version() -> tuple[int, int] | None:
    """The version of Node.js, such as (20, 19); None if it is not installed."""
    if not (node := shutil.which("node")):
        return None
    result = subprocess.run([node, "--version"], capture_output=True, text=True)
    major, minor, *_ = (*result.stdout.strip().lstrip("v").split("."), "", "")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def build_page(folder: Path, npm_log: Path) -> None:
    """Builds the page into `folder`; installs the npm packages first if needed.

    npm_log: the file that takes what npm prints. Raises UserError if npm fails.
    """
    check_builder()
    if not _is_installed():
        log.info("installing what the page is built with")
        _npm(NPM_INSTALL_ARGUMENTS, npm_log)
    _npm(("run", "build", "--", "--outDir", str(folder.resolve())), npm_log)


def _is_installed() -> bool:
    """Whether npm has installed what the lock file says."""
    lock, installed = (
        WEB_SOURCE_FOLDER / NPM_LOCK_FILE,
        WEB_SOURCE_FOLDER / INSTALLED_LOCK_FILE,
    )
    return installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime


def _npm(arguments: Sequence[str], npm_log: Path) -> None:
    result = subprocess.run(
        [shutil.which("npm") or "npm", *arguments],
        cwd=WEB_SOURCE_FOLDER,
        env=os.environ | {"CI": "true", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with npm_log.open("a") as file:
        file.write(result.stdout)
    if result.returncode:
        raise UserError(
            f"npm {arguments[0]} could not make the page: {_reason(result.stdout)}. "
            f"Run it in {WEB_SOURCE_FOLDER} to see more, or leave web out of --formats."
        )


def _reason(printed: str) -> str:
    """The line that best says why npm failed."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    last = lines[-1] if lines else "it does not say why"
    return next(iter(errors), last)[:300]
