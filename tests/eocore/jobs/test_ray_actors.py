"""Actors of a Ray cluster: the outcomes are those of one process, also where an actor is killed; refusals."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from works import CannotBeLoaded, Square, numbered

from eocore.errors import ConfigError, UnforeseenError
from eocore.jobs.processes import InThisProcess
from eocore.jobs.ray_actors import RayActors
from eocore.jobs.work import Chunk, Executor, Outcome, Work

ray = pytest.importorskip("ray", reason="ray (extra ray) is not installed")


@pytest.fixture(scope="module")
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
