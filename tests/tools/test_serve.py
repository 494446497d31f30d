"""tools/serve.py as people start it: a process of its own, asked with the commands that docs/serving.md shows."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import rasterio
from served_models import chips, masks_model, sent_images, vectors_model  # noqa: F401  (fixtures)

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse"
LIMIT_S = 300.0


@dataclass
class Started:
    """A server process."""

    process: subprocess.Popen[str]
    address: str
    uploads: Path
    token: str
    folder: Path
    said: str


def eo(*words: object, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eocore.commands", *map(str, words)]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.fixture(scope="module")
def started(masks_model: Path, vectors_model: Path, sent_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:  # noqa: F811
    folder = tmp_path_factory.mktemp("started")
    users = folder / "users.json"
    assert eo("serve-users", users, "add", "ada", given=PASSWORD + "\n").returncode == 0
    token = eo("serve-users", users, "token", "script").stdout.strip()
    uploads = folder / "uploads"
    (folder / "scene.tif").write_bytes((sent_images / "place.tif").read_bytes())
    words = ["--model", masks_model, vectors_model, "--port", 0, "--threads", 1, "--auth", users, "--uploads", uploads]
    command = [sys.executable, str(ROOT / "tools/serve.py"), *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        found = re.match(r"serving on (http://127\.0\.0\.1:\d+);", line)
        if found:
            break
    else:
        pytest.fail("".join(lines))
    yield Started(process, found[1], uploads, token, folder, "".join(lines))
    if process.poll() is None:
        process.kill()
        process.wait()


def curl_lines() -> list[str]:
    text = (ROOT / "docs/serving.md").read_text()
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.S))
    return re.findall(r"^(?:curl|printf) (?:.*(?:\\\n|,\n|\|\n))*.*$", blocks, re.M)


def test_the_commands_of_the_docs(started: Started) -> None:
    (started.folder / ".curlrc").write_text(f'header = "Authorization: Bearer {started.token}"\n')
    said = []
    for line in curl_lines():
        line = line.replace("http://127.0.0.1:8000", started.address).replace("MODEL", "masks").replace("CLIP", "vectors")
        environment = {**os.environ, "CURL_HOME": str(started.folder)}
        made = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=started.folder, env=environment, check=False)
        assert made.returncode == 0, f"{line}\n{made.stdout}{made.stderr}"
        said.append(made.stdout)
    models, chat, vectors, *_, stream = said
    assert len(said) == 6 and [model["id"] for model in json.loads(models)["data"]] == ["masks", "vectors"]
    assert json.loads(chat)["choices"][0]["finish_reason"] == "stop"
    assert len(json.loads(vectors)["data"]) == 2
    assert '"masks"' in stream and stream.rstrip().endswith("data: [DONE]")
    assert json.loads((started.folder / "water.geojson").read_text())["features"][0]["properties"]["pixels"] > 0
    with rasterio.open(started.folder / "water.tif") as raster:
        assert raster.shape == (48, 64) and raster.crs is not None


def test_nobody_asks_without_a_token_or_login(started: Started) -> None:
    assert httpx.get(f"{started.address}/v1/models").status_code == 401
    assert httpx.get(f"{started.address}/docs").status_code == 303
    with httpx.Client(base_url=started.address) as client:
        assert client.post("/login", data={"name": "ada", "password": PASSWORD}).status_code == 303
        assert client.get("/docs").status_code == 200


def test_it_listens_on_this_machine_alone(started: Started) -> None:
    listening = [each for each in psutil.Process(started.process.pid).net_connections() if each.status == psutil.CONN_LISTEN]
    assert [each.laddr.ip for each in listening] == ["127.0.0.1"]


def test_it_says_what_it_loads_and_nothing_else(started: Started) -> None:
    loading, *models, last = started.said.splitlines()
    assert loading == "loading masks, vectors" and last.startswith("serving on ")
    loaded = [line for line in models if "still loading" not in line]
    assert sorted(re.sub(r"\d+ s", "N s", line) for line in loaded) == [
        "  masks (earthmind): in memory after N s",
        "  vectors (ms_clip): in memory after N s",
    ]


def test_two_servers_do_not_share_a_folder_of_uploads(started: Started, masks_model: Path) -> None:  # noqa: F811
    made = eo("serve", "--model", masks_model, "--port", 0, "--uploads", started.uploads)
    assert made.returncode == 1 and made.stderr.count("\n") == 1
    assert f"{started.uploads}: another server keeps its files there (process {started.process.pid} on" in made.stderr
    assert started.uploads.is_dir() and "loading" not in made.stdout


def test_a_port_that_is_taken(started: Started, masks_model: Path) -> None:  # noqa: F811
    made = eo("serve", "--model", masks_model, "--port", started.address.rpartition(":")[2])
    assert made.returncode == 1 and "cannot listen on 127.0.0.1" in made.stderr and made.stderr.count("\n") == 1
    assert "loading" not in made.stdout


def test_it_ends_in_order(started: Started) -> None:
    workers = psutil.Process(started.process.pid).children(recursive=True)
    assert len(workers) >= 2 and started.uploads.is_dir()
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(60) == 0
    assert not started.uploads.exists()
    assert not psutil.wait_procs(workers, timeout=30)[1]


def test_workers_do_not_outlive_a_killed_server(masks_model: Path, tmp_path: Path) -> None:  # noqa: F811
    command = [sys.executable, str(ROOT / "tools/serve.py"), "--model", str(masks_model), "--port", "0", "--uploads", str(tmp_path / "up")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + LIMIT_S
    while not (workers := psutil.Process(process.pid).children(recursive=True)):
        assert time.monotonic() < end
        time.sleep(0.1)
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(workers, timeout=120)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no model and no index"),
        (["--model", "none/model"], "no folder of a converted model"),
        (["--model", "a/model", "b/model"], "two models are named model"),
        (["--index", "none"], "none: no index (no index.json)"),
        (["--index", "a/index", "b/index"], "two indexes are named index"),
        (["--model", "none/model", "--reports", "none"], "--reports none: there is no such folder"),
        (["--model", "none/model", "--device", "cpu", "gpu9"], "device 'gpu9' cannot be used here"),
        (["--model", "none/model", "--basemap", "tiles"], "--basemap tiles: lies under the map of search, and no index is served"),
        (["--model", "none/model", "--auth", "none.json"], "eo serve-users none.json add NAME"),
    ],
)
def test_what_cannot_be_served(words: list[str], said: str, command: Callable[..., tuple[int, str]]) -> None:
    status, printed = command("serve", *words, "--port", "0")
    assert status == 1 and said in printed and "Traceback" not in printed
