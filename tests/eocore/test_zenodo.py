"""Records of Zenodo from a server on this machine: fetched, resumed, checked, unpacked, and what is refused."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eocore.commands.download import COMMAND
from eocore.errors import DataError
from eocore.hub_files import ZenodoFiles
from eocore.zenodo import PART, download_record, list_record, unpack


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Answers as Zenodo does; `cut` = bytes after which it hangs up, `asked` = the ranges that were asked for."""

    files: dict[str, bytes]
    cut: int | None = None
    asked: list[str]
    wrong_sum = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if "/api/records/" in self.path:
            entries = [self._entry(name, content) for name, content in self.server.files.items()]
            self._send(200, json.dumps({"files": entries}).encode())
            return
        content = self.server.files[self.path.rpartition("/")[2]]
        wanted = self.headers.get("Range", "")
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        self._send(206 if wanted else 200, content[start:], cut=self.server.cut)

    def _entry(self, name: str, content: bytes) -> dict[str, Any]:
        digest = "0" * 32 if self.server.wrong_sum else hashlib.md5(content).hexdigest()
        return {"key": name, "size": len(content), "checksum": f"md5:{digest}", "links": {"self": f"{self.server.address}/f/{name}"}}

    def _send(self, status: int, content: bytes, *, cut: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:cut])

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.asked = []
        made.files = {"json_files.zip": zipped({"json_files/a.json": b"[1]"}), "plain.txt": bytes(range(256)) * 100}
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def wanted(*starts: str) -> ZenodoFiles:
    return ZenodoFiles(record="1", folder="set", licence="CC-BY-4.0", command="use it", md5_starts=starts)


def test_files_are_fetched_once_and_unpacked(server: Server, tmp_path: Path) -> None:
    known = wanted(hashlib.md5(server.files["plain.txt"]).hexdigest()[:8])
    folder = download_record(known, tmp_path, endpoint=server.address)
    assert folder == tmp_path / "set" and (folder / "json_files" / "a.json").read_bytes() == b"[1]"
    assert (folder / "plain.txt").read_bytes() == server.files["plain.txt"]
    download_record(known, tmp_path, endpoint=server.address)
    assert server.asked == ["", ""]


def test_what_was_cut_short_goes_on_there(server: Server, tmp_path: Path) -> None:
    server.files = {"plain.txt": server.files["plain.txt"]}
    server.cut = 1000
    with pytest.raises(DataError, match="was cut short"):
        download_record(wanted(), tmp_path, endpoint=server.address)
    assert (tmp_path / "set" / f"plain.txt{PART}").stat().st_size == 1000
    server.cut = None
    download_record(wanted(), tmp_path, endpoint=server.address)
    assert server.asked == ["", "bytes=1000-"] and (tmp_path / "set" / "plain.txt").read_bytes() == server.files["plain.txt"]


def test_damaged_and_other_files_are_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lists no file of the checksums ffff"):
        list_record(wanted("ffff"), endpoint=server.address)
    server.wrong_sum = True
    with pytest.raises(DataError, match=r"with the md5 .*; they were removed"):
        download_record(wanted(), tmp_path, endpoint=server.address)
    assert list((tmp_path / "set").iterdir()) == []
    server.files = {"../out.txt": b"x"}
    with pytest.raises(DataError, match="names that are none"):
        list_record(wanted(), endpoint=server.address)
    with pytest.raises(DataError, match="could not be read"):
        list_record(wanted(), endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt"])
def test_a_zip_file_writes_inside_its_folder_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / "a.zip"
    path.parent.mkdir()
    path.write_bytes(zipped({"fine.txt": b"x", name: b"x"}))
    with pytest.raises(DataError, match="which leads out of its folder"):
        unpack(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.zip"] and not (tmp_path / "out.txt").exists()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="is damaged"):
        unpack(path)


def test_the_command_lists_before_it_fetches(server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eocore.commands.download.known_downloads", lambda: {"set": wanted()})
    assert COMMAND(["set", "--dry-run", "--endpoint", server.address]) == 0
    assert "plain.txt" in capsys.readouterr().out and server.asked == []
