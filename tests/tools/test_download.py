"""tools/download.py against a server on this machine that speaks as the hub does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess

import forked
import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
FILES = {
    "EarthMind4B_multi": ["config.json", "model-00001-of-00002.safetensors", "modeling.py"],
    "EarthMind-Bench": ["json/a.json", "a.py"],
    "CLIP-ViT-B-16-laion2B-s34B-b88K": [
        *("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "open_clip_config.json", "tokenizer.json", "tokenizer_config.json"),
        *("vocab.json", "merges.txt"),
    ],
}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        names = next((files for name, files in FILES.items() if f"/{name}/" in self.path), None)
        siblings = [{"rfilename": file, "size": 1500, "blobId": "0" * 40} for file in names or ()]
        body = json.dumps({"id": "sy1998/x", "sha": COMMIT, "siblings": siblings}).encode()
        self.send_response(200 if names else 404)
        if not names:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def run(*arguments: str, folder: Path) -> CompletedProcess[str]:
    return forked.run([ROOT / "tools" / "download.py", *arguments], cwd=folder)


def test_dry_run_lists_weights_and_data_sets_and_fetches_nothing(hub: str, tmp_path: Path) -> None:
    result = run("earthmind-4b-multi", "earthmind-bench", "--dry-run", "--endpoint", hub, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "earthmind-4b-multi: sy1998/EarthMind4B_multi at 89abcdef0123, 2 files, 3.0 kB -> pretrained/EarthMind4B_multi",
        "      1.5 kB  config.json",
        "      1.5 kB  model-00001-of-00002.safetensors",
        "earthmind-bench: sy1998/EarthMind-Bench at 89abcdef0123, 1 files, 1.5 kB -> data/EarthMind-Bench",
        "      1.5 kB  json/a.json",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_clip_is_listed_without_the_copy_that_is_a_pickle(hub: str, tmp_path: Path) -> None:
    result = run("clip-vit-b-16", "--dry-run", "--endpoint", hub, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    head, *files = result.stdout.splitlines()
    assert head.startswith("clip-vit-b-16: laion/CLIP-ViT-B-16-laion2B-s34B-b88K at 89abcdef0123, 6 files")
    assert head.endswith("-> pretrained/CLIP-ViT-B-16-laion2B-s34B-b88K")
    assert not [line for line in files if line.endswith(".bin")]


def test_what_the_hub_does_not_have_is_said(hub: str, tmp_path: Path) -> None:
    result = run("vrsbench", "--dry-run", "--endpoint", hub, folder=tmp_path)
    assert result.returncode == 1
    assert "DataError: the hub has no repository xiang709/VRSBench, or it is private" in result.stderr
