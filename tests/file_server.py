"""A local HTTP server of one file, for tests of downloads."""

import contextlib
import dataclasses
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclasses.dataclass
class Served:
    """What is served, and how.

    Args:
        content: of the file.
        address: of the file.
        status: another HTTP status than 200 and 206.
        stops_after: bytes of an answer after which the connection ends.
        knows_ranges: whether a part of the file can be asked for.
        tells_length: whether the size of the file is told.
        asked: the range of each request, None for the whole file.
    """

    content: bytes
    address: str = ""
    status: int | None = None
    stops_after: int | None = None
    knows_ranges: bool = True
    tells_length: bool = True
    asked: list = dataclasses.field(default_factory=list)


def _answer(served, request):
    wanted = request.headers.get("Range")
    served.asked.append(wanted)
    start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and served.knows_ranges else 0
    status = served.status or (416 if start >= len(served.content) else 206 if start else 200)
    body = served.content[start:] if status in (200, 206) else b""
    request.send_response(status)
    if served.tells_length:
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[: served.stops_after])


@contextlib.contextmanager
def serving(content, name="file.h5"):
    """Serve a file on a free port of this machine as long as the block lasts."""
    served = Served(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            _answer(served, self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.address = f"http://127.0.0.1:{server.server_port}/{name}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
