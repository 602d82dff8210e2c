"""A read-only web server for export/web on this machine."""

import socket
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from googlenet_keras.errors import UserError
from googlenet_keras.installation import command_line
from googlenet_keras.run_folder import RunFolder

WEB_FOLDER, INDEX_FILE = "web", "index.html"
HTTP_HEADERS = {
    # the first two let the page compute on several threads
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def web_folder(run: Path) -> Path:
    """The page's folder in a run, or `run` if it is that folder. Raises UserError."""
    for folder in (RunFolder(run).export / WEB_FOLDER, run):
        if (folder / INDEX_FILE).is_file():
            return folder
    raise UserError(
        f"a run is served from its export/{WEB_FOLDER}, and {run} has none; make it "
        f"with {command_line('export')} --run-folder {run} --formats web."
    )


class _PageHandler(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        ".js": "text/javascript",
        ".tflite": "application/octet-stream",
    }

    def end_headers(self) -> None:
        for name, value in HTTP_HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def translate_path(self, path: str) -> str:
        """The path of the regular file that a URL names in the folder, or else none."""
        name = super().translate_path(path)
        with suppress(OSError, ValueError):  # too long a name, or a null character
            file = Path(name, INDEX_FILE if name.endswith("/") else "").resolve()
            if file.is_file() and file.is_relative_to(Path(self.directory).resolve()):
                return str(file)
        return ""

    def handle(self) -> None:
        with suppress(ConnectionError):  # the browser does not wait for the rest
            super().handle()

    def log_message(self, *arguments: object) -> None: ...


def open_server(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Opens an HTTP server for the files in `folder`; port 0: any free one.

    Folders are not listed, and links are not followed out of `folder`. Raises
    UserError.
    """
    if not host:
        raise UserError(
            "host must be a name or an address, such as 127.0.0.1; received ''. "
            "0.0.0.0 stands for all addresses of this machine."
        )
    if not 0 <= port <= 65535:
        raise UserError(f"port must be from 0 to 65535; received {port}.")
    try:
        handler = partial(_PageHandler, directory=str(folder))
        return ThreadingHTTPServer((host, port), handler)
    except (OSError, TypeError, UnicodeError) as error:  # the last two: of encoding
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{host}:{port} cannot be listened at: {reason}; choose another --port or "
            "--host."
        ) from error


def instructions(host: str, port: int) -> str:
    """Says where the page is and how to open it on a phone."""
    shown = socket.gethostname() if host == "0.0.0.0" else host
    lines = [
        f"the page is at http://{shown}:{port}/ (Ctrl+C ends it)",
        "A camera, and use without a network, need https or the machine itself:",
        f"  Android by cable: adb reverse tcp:{port} tcp:{port}, then on the phone "
        f"http://localhost:{port}/",
        "  any phone: put the folder on a static host with https, or run an https",
        f"  tunnel to port {port} of this machine",
    ]
    if host not in ("127.0.0.1", "localhost"):
        lines.insert(1, "everybody who reaches this machine can open it: photos only")
    return "\n".join(lines)
