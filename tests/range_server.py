"""A web server on this machine that answers range requests, and remembers what it was asked for."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Served:
    """A server that runs.

    Attributes:
        url: of its folder.
        asked: (method, path with query, bytes sent) of every request.
        busy: requests that are answered by 503 before others are answered.
    """

    url: str = ""
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    busy: int = 0


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """The files of a folder, for as long as the block lasts."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, *, with_body: bool) -> None:
            file = folder / urlsplit(self.path).path.lstrip("/")
            if served.busy or not file.is_file():
                served.busy = max(served.busy - 1, 0) if file.is_file() else served.busy
                self.send_response(503 if file.is_file() else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = file.read_bytes()
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first = int(wanted[1]) if wanted else 0
            last = min(int(wanted[2]) if wanted and wanted[2] else len(content) - 1, len(content) - 1)
            part = content[first : last + 1]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{file.stat().st_mtime_ns}"')
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            served.asked.append((self.command, self.path, len(part) if with_body else 0))
            if with_body:
                self.wfile.write(part)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
