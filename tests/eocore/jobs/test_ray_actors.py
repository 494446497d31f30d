"""Actors of a Ray cluster: the outcomes are those of one process, also where an actor, a node or the program is killed; refusals."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from works import CannotBeLoaded, Located, Square, numbered

from eocore.errors import ConfigError, UnforeseenError
from eocore.jobs.engine import local_executor, run_job
from eocore.jobs.job_folder import RESULTS, JobFolder
from eocore.jobs.processes import InThisProcess
from eocore.jobs.ray_actors import RayActors
from eocore.jobs.work import Chunk, Executor, Outcome, Work

ray = pytest.importorskip("ray", reason="ray (extra ray) is not installed")
PROGRAM = Path(__file__).with_name("run_square_ray.py")
STORE_BYTES = 100_000_000
NUM_ITEMS, WAIT_S = 60, 120


@pytest.fixture(autouse=True)
def _not_niced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray gives its workers the lowest priority but four, with which they hardly begin beside other tests."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


@pytest.fixture
def cluster() -> Iterator[None]:
    """Two nodes on this machine, each with one CPU, and this process joined to them."""
    from ray.cluster_utils import Cluster

    made: Any = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
    )
    made.add_node(num_cpus=1, object_store_memory=100_000_000)
    ray.init(address=made.address, log_to_driver=False)
    yield
    ray.shutdown()
    made.shutdown()


def run(executor: Executor, work: Work) -> dict[int, list[Outcome]]:
    items = numbered(8)
    chunks = [Chunk(index, tuple(items[start : start + 3])) for index, start in enumerate(range(0, len(items), 3))]
    return dict(executor.run(work, chunks))


def plain(found: dict[int, list[Outcome]]) -> list[Any]:
    told = [outcome for index in sorted(found) for outcome in found[index]]
    return [(item.key, item.error, item.result and (item.result["square"], item.result["vector"].tolist())) for item in told]


@pytest.mark.slow
@pytest.mark.fault
def test_actors_give_what_one_process_gives_and_a_killed_one_costs_its_item_alone(cluster: None, tmp_path: Path) -> None:
    own = run(InThisProcess(), Square(tmp_path / "own", broken=(5,)))
    assert plain(run(RayActors(2), Square(tmp_path / "log", broken=(5,)))) == plain(own)
    found = run(RayActors(2, attempts=2), Square(tmp_path / "deadly", deadly=(4,)))
    lost = [outcome for outcomes in found.values() for outcome in outcomes if outcome.result is None]
    assert [outcome.key for outcome in lost] == ["item 4"] and lost[0].error.endswith(", 2 times")
    with pytest.raises(UnforeseenError, match=r"worker processes cannot load the work: no such model\. Nothing was lost"):
        run(RayActors(2), CannotBeLoaded())


def test_an_address_without_a_cluster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where Ray notes the cluster of this machine, which others may have left
    with pytest.raises(ConfigError, match=r"no Ray cluster at 'auto' .*ray start --head"):
        run(RayActors(1, address="auto"), Square(tmp_path / "log"))


def test_an_address_of_a_cluster_that_has_ended_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match=r"no Ray cluster at 'auto' \(.*refused\)"):
        run(RayActors(1, address="auto"), Square(tmp_path / "log"))


def test_one_actor_gives_what_one_process_gives(tmp_path: Path) -> None:
    assert plain(run(RayActors(1), Square(tmp_path / "log", broken=(5,)))) == plain(
        run(InThisProcess(), Square(tmp_path / "own", broken=(5,)))
    )


@pytest.mark.slow
@pytest.mark.fault
def test_an_actor_and_a_node_are_killed_on_the_way(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    made: Any = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    )
    second = made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    items = numbered(36)
    chunks = [Chunk(index, tuple(items[3 * index : 3 * index + 3])) for index in range(12)]
    ray.init(address=made.address, log_to_driver=False)
    try:
        found: dict[int, list[Any]] = {}
        for index, outcomes in RayActors(2).run(Located(), chunks):
            found[index] = outcomes
            pid = outcomes[0].result["pid"] if outcomes[0].result else 0
            if len(found) == 2:
                os.kill(pid, signal.SIGKILL)
            if len(found) == 6:
                made.remove_node(second, allow_graceful=False)
    finally:
        ray.shutdown()
        made.shutdown()
    told = [outcome for index in range(12) for outcome in found[index]]
    assert [outcome.result and outcome.result["square"] for outcome in told] == [number**2 for number in range(36)]
    pids = {outcome.result["pid"] for outcome in told if outcome.result}
    assert len(pids) >= 3, "one was killed and replaced, and one node went"


@pytest.fixture
def nodes() -> Iterator[str]:
    """The address of a cluster of two nodes that `ray start` has started, each a process of its own."""
    port = free_port()
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    program = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--block",
        "--num-cpus",
        "1",
        "--object-store-memory",
        str(STORE_BYTES),
    ]
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:  # sockets have short paths
        head = [*program, "--head", "--port", str(port), "--include-dashboard", "false", "--temp-dir", folder]
        started = [start([*head, "--ray-client-server-port", str(free_port())], environment)]
        address = f"127.0.0.1:{port}"
        try:
            wait_for(port)
            started.append(start([*program, "--address", address], environment))
            yield address
        finally:
            for process in reversed(started):
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def start(command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("the head did not start")


def numbers(log: Path) -> Counter[int]:
    return Counter(map(int, log.read_text().split())) if log.exists() else Counter()


@pytest.mark.slow
@pytest.mark.fault
def test_the_program_is_killed_and_goes_on_with_the_same_nodes(tmp_path: Path, nodes: str) -> None:
    job = JobFolder(tmp_path / "own", {"work": "square"}, chunk_size=3)
    run_job(Square(tmp_path / "own_log"), numbered(NUM_ITEMS), folder=job, executor=local_executor(0))
    job.close()
    folder, log = tmp_path / "job", tmp_path / "log"
    command = [sys.executable, str(PROGRAM), nodes, str(folder), str(log), str(NUM_ITEMS)]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + WAIT_S
    while len(list((folder / RESULTS).glob("*.safetensors"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    time.sleep(3)  # actors of a program that has ended end, too
    known, before = {int(path.stem) for path in (folder / RESULTS).glob("*.safetensors")}, numbers(log)
    assert 5 <= len(known) < 20
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and f"{3 * len(known)} before, {NUM_ITEMS} done" in done.stdout, done.stderr
    again = numbers(log) - before
    assert not {3 * index + place for index in known for place in range(3)} & set(again), "what had a result was done again"
    for path in (tmp_path / "own" / RESULTS).iterdir():
        assert (folder / RESULTS / path.name).read_bytes() == path.read_bytes()
