"""A server of a page, for this computer alone."""

import functools
import http.server
import os
from pathlib import Path

from bnn_keras.errors import UserError

HOST = "127.0.0.1"
TYPES = {".js": "text/javascript", ".wasm": "application/wasm"}


class _Handler(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """As browsers want scripts and WebAssembly, whatever the system's tables say."""
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def log_message(self, *args: object) -> None:
        """Print nothing for each file."""


def server_of(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of a folder, which listens already.

    Args:
        folder: of the page.
        port: 0 takes a free one.

    Raises:
        UserError: the port is taken.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise UserError(
            f"Cannot listen on port {port}: {error.strerror}; --port=0 takes a free one."
        ) from error
