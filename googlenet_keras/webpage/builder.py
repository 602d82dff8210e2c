"""Builds the web page with npm from its sources."""

import hashlib
import logging
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from googlenet_keras.errors import UserError
from googlenet_keras.files import atomic_folder, cache_folder
from googlenet_keras.installation import CHECKOUT

PACKAGED_SOURCE_FOLDER = Path(__file__).with_name("source")  # of an installed package
WEB_SOURCE_FOLDER = (
    PACKAGED_SOURCE_FOLDER if PACKAGED_SOURCE_FOLDER.is_dir() else CHECKOUT / "web"
)
NPM_LOCK_FILE = "package-lock.json"
INSTALLED_LOCK_FILE = "node_modules/.package-lock.json"
NODE_REQUIREMENT = "Node.js 20.19 or later of 20, or from 22.12"  # Vite's
NPM_INSTALL_ARGUMENTS = ("ci", "--omit=dev", "--ignore-scripts", "--prefer-offline")

log = logging.getLogger(__name__)


def check_builder() -> None:
    """Raises UserError if the page cannot be built here."""
    version = node_version()
    if not can_build(version) or not shutil.which("npm"):
        there = ".".join(map(str, version)) or "none"
        there = "no npm" if can_build(version) else there
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
    sources = _build_folder()
    lock, installed = sources / NPM_LOCK_FILE, sources / INSTALLED_LOCK_FILE
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        log.info("installing what the page is built with")
        _npm(sources, npm_log, *NPM_INSTALL_ARGUMENTS)
    _npm(sources, npm_log, "run", "build", "--", "--outDir", str(folder.resolve()))


def _build_folder() -> Path:
    """The folder of the sources, in which npm may install.

    That is web/ in a checkout, and else a copy in the user's cache, since an installed
    package's own folder may be read-only and belongs to pip.
    """
    if WEB_SOURCE_FOLDER != PACKAGED_SOURCE_FOLDER:
        return WEB_SOURCE_FOLDER
    digest = hashlib.sha256()
    for path in sorted(WEB_SOURCE_FOLDER.rglob("*")):
        digest.update(path.read_bytes() if path.is_file() else path.name.encode())
    folder = cache_folder() / "webpage" / digest.hexdigest()[:16]
    if not folder.is_dir():
        with atomic_folder(folder) as temporary:
            shutil.copytree(WEB_SOURCE_FOLDER, temporary, dirs_exist_ok=True)
    return folder


def _npm(sources: Path, npm_log: Path, *arguments: str) -> None:
    with subprocess.Popen(
        [shutil.which("npm") or "npm", *arguments],
        cwd=sources,
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
            f"{sources} to see more, or leave web out of --formats."
        )
