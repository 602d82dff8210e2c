"""`serve`: serves the exported web page."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional


@dataclass(frozen=True)
class Serve:
    """Serves the page that export.py --formats web made, until Ctrl+C."""

    run_folder: Annotated[Path, Positional]
    """A run with export/web, or that folder itself."""
    port: int = 8000
    """Where to listen; 0: any free port."""
    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0: all of this machine's."""

    def run(self) -> None:
        """Prints the address and serves. Raises UserError."""
        from googlenet_keras.webpage.server import instructions, open_server, web_folder

        server = open_server(web_folder(self.run_folder), self.host, self.port)
        with suppress(KeyboardInterrupt), server:
            print(instructions(self.host, server.server_port), flush=True)
            server.serve_forever()
