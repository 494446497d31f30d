"""Downloads against a server on this machine that speaks as the hub does: whole, resumed, damaged, unreachable."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from eocore.errors import CheckpointError, DataError
from eocore.hub import HubFile, download, list_files
from eocore.hub_files import HubFiles

REPOSITORY = "owner/model"
LARGE = 3 * 2**23
"""Bytes of a file whose first half is more than one piece of 10 MB, in which the client writes."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WANTED = HubFiles(
    repository=REPOSITORY, files=("config.json", "*.safetensors"), extras=("vocab.json",), folder="Model", licence="MIT", command="import"
)

DATA_SET = HubFiles(repository=REPOSITORY, kind="dataset", files=("*",), folder="Set", licence="MIT", command="read")


@dataclass
class Hub:
    """What the server holds and what was asked of it."""

    url: str
    files: dict[str, bytes]
    sums: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    cut: int | None = None

    def entry(self, name: str) -> dict[str, object]:
        content = self.files[name]
        digest = self.sums.get(name, hashlib.sha256(content).hexdigest())
        lfs = {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 134} if name.endswith("safetensors") else None
        plain = hashlib.sha1(content).hexdigest()
        return {"type": "file", "rfilename": name, "path": name, "size": len(content), "blobId": plain, "oid": plain, "lfs": lfs}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith((f"/api/models/{REPOSITORY}", f"/api/datasets/{REPOSITORY}")):
            entries = [self.hub.entry(name) for name in self.hub.files]
            whole = {"id": REPOSITORY, "sha": COMMIT, "siblings": entries}
            self.answer(json.dumps(entries if "/tree/" in path else whole).encode(), {"Content-Type": "application/json"})
            return
        found = re.fullmatch(rf"(?:/datasets)?/{REPOSITORY}/resolve/{COMMIT}/(.+)", path)
        if found is None or found[1] not in self.hub.files:
            self.answer(b"{}", {"X-Error-Code": "RepoNotFound"}, status=404)
            return
        self.file(found[1])

    def file(self, name: str) -> None:
        content, entry = self.hub.files[name], self.hub.entry(name)
        lfs = entry["lfs"]
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{lfs["sha256"] if isinstance(lfs, dict) else entry["oid"]}"',
            "Accept-Ranges": "bytes",
        }
        wanted = self.headers.get("Range")
        if self.command == "GET":
            self.hub.asked.append((name, wanted))
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(content[start:], headers, status=206 if wanted else 200)

    def answer(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut, self.hub.cut = (self.hub.cut, None) if status == 200 and len(content) > 10_000 else (None, self.hub.cut)
        self.wfile.write(content if cut is None else content[:cut])
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    weights = bytes(range(256)) * 200
    files = {"config.json": b"{}", "model.safetensors": weights, "vocab.json": b'{"a": 0}', "modeling.py": b"print('never')"}
    Handler.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}", files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Handler.hub
    server.shutdown()
    server.server_close()


def test_what_is_wanted_comes_and_code_does_not(hub: Hub, tmp_path: Path) -> None:
    folder = download(WANTED, tmp_path, endpoint=hub.url)
    assert folder == tmp_path / "Model"
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["config.json", "model.safetensors", "vocab.json"]
    assert (folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_a_second_call_fetches_nothing(hub: Hub, tmp_path: Path) -> None:
    download(WANTED, tmp_path, endpoint=hub.url)
    hub.asked.clear()
    download(WANTED, tmp_path, endpoint=hub.url)
    assert hub.asked == []


def test_what_was_cut_short_resumes_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.files["model.safetensors"] = bytes(LARGE)
    hub.cut = LARGE // 2
    download(WANTED, tmp_path, endpoint=hub.url)
    ranges = [wanted for name, wanted in hub.asked if name == "model.safetensors"]
    assert ranges[0] is None and any(wanted and wanted.startswith("bytes=") and wanted != "bytes=0-" for wanted in ranges[1:])
    assert (tmp_path / "Model" / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_a_file_that_is_not_what_the_hub_says_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.sums["model.safetensors"] = "ab" * 32
    with pytest.raises(CheckpointError, match=r"model.safetensors has the checksum .*, the hub says abababababab.*Remove it and fetch"):
        download(WANTED, tmp_path, endpoint=hub.url)


def test_a_file_that_was_damaged_later_is_found(hub: Hub, tmp_path: Path) -> None:
    file = download(WANTED, tmp_path, endpoint=hub.url) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    try:
        download(WANTED, tmp_path, endpoint=hub.url)
    except CheckpointError as error:
        assert "it is damaged or changed" in str(error)
    else:
        assert file.read_bytes() == hub.files["model.safetensors"], "fetched again"


def test_files_that_are_not_there_are_named(hub: Hub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(CheckpointError, match=r"owner/model has no file \*.safetensors, without which the import cannot be made"):
        download(WANTED, tmp_path, endpoint=hub.url)


def test_an_unknown_repository_is_named(hub: Hub, tmp_path: Path) -> None:
    other = HubFiles(repository="owner/other", files=("config.json",), folder="x", licence="", command="")
    with pytest.raises(CheckpointError, match=r"the hub has no repository owner/other, or it is private"):
        download(other, tmp_path, endpoint=hub.url)


def test_without_a_network_it_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"could not provide owner/model .*the next call resumes there. Without a network, fetch config.json, \*.safetensors of "
        r"owner/model elsewhere and put them into .*Model; for a mirror set HF_ENDPOINT",
    ):
        download(WANTED, tmp_path, endpoint="http://127.0.0.1:9")


def test_a_data_set_comes_whole_but_for_code(hub: Hub, tmp_path: Path) -> None:
    hub.files["images/a.png"] = b"picture"
    folder = download(DATA_SET, tmp_path, endpoint=hub.url)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts}
    assert found == {"config.json", "model.safetensors", "vocab.json", "images/a.png"}


def test_listing_states_names_sizes_and_digests_and_fetches_nothing(hub: Hub) -> None:
    listing = list_files(WANTED, endpoint=hub.url)
    weights = hub.files["model.safetensors"]
    digest = hashlib.sha256(weights).hexdigest()
    assert listing.commit == COMMIT
    assert listing.files == (
        HubFile("config.json", 2, None),
        HubFile("model.safetensors", len(weights), digest),
        HubFile("vocab.json", 8, None),
    )
    assert listing.size == len(weights) + 10
    assert hub.asked == []


def test_a_data_set_that_is_not_there_is_a_data_error(hub: Hub, tmp_path: Path) -> None:
    other = HubFiles(repository="owner/other", kind="dataset", files=("*",), folder="x", licence="", command="")
    with pytest.raises(DataError, match=r"the hub has no repository owner/other, or it is private. See data/README.md"):
        download(other, tmp_path, endpoint=hub.url)
