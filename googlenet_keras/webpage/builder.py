"""Builds the web page with npm from the folder web/."""

import logging
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from googlenet_keras.errors import UserError

WEB_SOURCE_FOLDER = Path(__file__).parents[2] / "web"
NPM_LOCK_FILE = "package-lock.json"
INSTALLED_LOCK_FILE = "node_modules/.package-lock.json"
NODE_REQUIREMENT = "Node.js 20.19 or later of 20, or from 22.12"  # Vite's
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
        there = ".".join(map(str, version)) or "none"
        raise UserError(
            f"the format web is built by npm with {NODE_REQUIREMENT}; there is {there}"
            ". Install both from nodejs.org, or leave web out of --formats."
        )


def can_build(version: tuple[int, ...]) -> bool:
    """Whether that version of Node.js, if there is one, can build the page."""
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def node_version() -> tuple[int, ...]:
    """The version of Node.js, such as (20, 19); () if it is not installed."""
    if not (node := shutil.which("node")):
        return ()
    result = subprocess.run([node, "--version"], capture_output=True, text=True)
    numbers = re.match(r"v(\d+)\.(\d+)", result.stdout)
    return tuple(map(int, numbers.groups())) if numbers else ()


def build_page(folder: Path, npm_log: Path) -> None:
    """Builds the page into `folder`; installs the npm packages first if needed.

    npm_log: the file that takes what npm prints. Raises UserError if npm fails.
    """
    lock = WEB_SOURCE_FOLDER / NPM_LOCK_FILE
    installed = WEB_SOURCE_FOLDER / INSTALLED_LOCK_FILE
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        log.info("installing what the page is built with")
        _npm(npm_log, *NPM_INSTALL_ARGUMENTS)
    _npm(npm_log, "run", "build", "--", "--outDir", str(folder.resolve()))


def _npm(npm_log: Path, *arguments: str) -> None:
    with subprocess.Popen(
        [shutil.which("npm") or "npm", *arguments],
        cwd=WEB_SOURCE_FOLDER,
        env=os.environ | {"CI": "true", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:  # a signal
            os.killpg(process.pid, signal.SIGKILL)  # npm does not end its own children
            raise
    with npm_log.open("a") as file:
        file.write(output)
    if process.returncode:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        reason = (errors or lines[-1:] or ["it does not say why"])[0][:300]
        raise UserError(
            f"npm {arguments[0]} could not make the page: {reason}. Run it in "
            f"{WEB_SOURCE_FOLDER} to see more, or leave web out of --formats."
        )
