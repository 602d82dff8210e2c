"""A web server for export/web on this machine; the standard library's, read only."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

from googlenet_keras.errors import UserError
from googlenet_keras.run_folder import RunFolder

WEB, PAGE = "web", "index.html"
EVERYWHERE = ("0.0.0.0", "")
LOOPBACK = ("127.0.0.1", "localhost")
HEADERS = {
    # together they let the page compute on several threads
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def web_folder(run: Path) -> Path:
    """The page of a run, or `run` itself if it is one. Raises UserError for neither."""
    for folder in (RunFolder(run).export / WEB, run):
        if (folder / PAGE).is_file():
            return folder
    raise UserError(
        f"a run is served from its export/{WEB}, and {run} has none; make it "
        f"with python export.py --run-folder {run} --formats web."
    )


class Handler(SimpleHTTPRequestHandler):
    """Files of the folder, nothing else, and no list of them."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        ".js": "text/javascript",
        ".tflite": "application/octet-stream",
    }

    def end_headers(self) -> None:
        """Adds the headers that every answer has."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:
        """Sends a file, or as much of it as the browser waits for."""
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)

    def list_directory(self, path: str) -> None:
        """Refuses: folders have no list."""
        self.send_error(404)

    def log_message(self, *arguments: object) -> None:
        """Says nothing of each request."""


def open_server(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """A server of `folder` that listens; port 0: any free one. Raises UserError."""
    if not 0 <= port <= 65535:
        raise UserError(f"port must be from 0 to 65535; received {port}.")
    try:
        handler = partial(Handler, directory=str(folder))
        return ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be listened at: {error.strerror or error}; choose "
            "another --port or --host."
        ) from error


def instructions(host: str, port: int) -> str:
    """Where the page is, and how it comes onto a phone."""
    shown = socket.gethostname() if host in EVERYWHERE else host
    lines = [
        f"the page is at http://{shown}:{port}/ (Ctrl+C ends it)",
        "A camera, and use without a network, need https or the machine itself:",
        f"  Android by cable: adb reverse tcp:{port} tcp:{port}, then on the phone "
        f"http://localhost:{port}/",
        "  any phone: put the folder on a static host with https, or run an https",
        f"  tunnel to port {port} of this machine",
    ]
    if host not in LOOPBACK:
        lines.insert(1, "everybody who reaches this machine can open it: photos only")
    return "\n".join(lines)
