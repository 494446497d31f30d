"""Indexes that are built, stopped, gone on with, added to and made anew."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from letters import Letters

from eocore.errors import ConfigError, DataError, OutputError
from eocore.folder_lock import LOCK, FolderLock
from eocore.jobs.engine import choose_executor
from eocore.search import index_kinds, making
from eocore.search.building import build_index, describe
from eocore.search.changing import add_to_index
from eocore.search.embedding import EmbedOptions
from eocore.search.index_folder import Facts, open_index
from eocore.search.query import Query, find
from eocore.search.sources import captions_of

Write = Callable[..., Path]
WORDS = ("farm", "road", "river", "lake", "forest", "harbour", "airport", "beach", "quarry", "village")
PROGRAM = Path(__file__).with_name("build_captions.py")


def rows(count: int) -> list[str]:
    draw = random.Random(0)
    return [f"{number}.png,{' '.join(draw.choices(WORDS, k=3))}" for number in range(count)]


def build(folder: Path, table: Path, *, encoder: Letters | None = None, kind: str | None = None, overwrite: bool = False) -> Facts:
    options = EmbedOptions(4, overwrite=overwrite)
    return build_index(folder, captions_of(table), encoder=encoder or Letters(), options=options, kind=kind)


def add(folder: Path, table: Path, *, encoder: Letters | None = None) -> tuple[Facts, int]:
    change = add_to_index(folder, captions_of(table), encoder=encoder or Letters(), options=EmbedOptions(4))
    return change.facts, change.num_new


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file() and path.name != LOCK}


def test_every_item_is_found_by_its_own_words(tmp_path: Path, write_captions: Write) -> None:
    facts = build(tmp_path / "index", write_captions(rows(9)))
    assert (facts.num_items, facts.width, facts.kind, facts.recall["value"], facts.failed) == (9, 26, "flat", 1.0, {})
    index = open_index(tmp_path / "index", verify=True)
    for row, caption in enumerate(index.items["caption"]):
        hits = find(index, Query(caption, k=3), encoder=Letters())
        assert hits[0].score == pytest.approx(1.0, abs=1e-6)
        assert index.items["caption"][hits[0].row].split() != [] and row in range(9)
    assert sorted(content(tmp_path / "index")) == ["index.json", "items-0001.parquet", "vectors-0001.npy"]


def test_an_index_that_is_there_is_not_replaced_unasked(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(3)))
    with pytest.raises(DataError, match=r"holds an index\. Put more into it with `add`"):
        build(tmp_path / "index", write_captions(rows(4)))
    assert build(tmp_path / "index", write_captions(rows(4)), overwrite=True).num_items == 4
    assert open_index(tmp_path / "index", verify=True).facts.generation == 2


def test_a_broken_index_may_be_overwritten(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(3)))
    (tmp_path / "index" / "index.json").write_text("{")
    with pytest.raises(DataError, match=r"index\.json"):
        build(tmp_path / "index", write_captions(rows(3)))
    assert build(tmp_path / "index", write_captions(rows(3)), overwrite=True).num_items == 3


def test_what_cannot_be_embedded_is_told_and_tried_again_by_add(tmp_path: Path, write_captions: Write) -> None:
    table = write_captions(["0.png,a farm", "1.png,a road", "2.png,a lake"])
    facts = build(tmp_path / "index", table, encoder=Letters(broken=("a road",)))
    assert (facts.num_items, facts.failed) == (2, {"1.png#0": "'a road' is refused"})
    assert "1 items are not in it (1.png#0: 'a road' is refused); `add` with the same inputs tries them again" in describe(facts)[-1]
    facts, count = add(tmp_path / "index", table)
    assert (facts.num_items, facts.failed, count) == (3, {}, 1)


def test_where_nothing_can_be_embedded_there_is_no_index(tmp_path: Path, write_captions: Write) -> None:
    with pytest.raises(DataError, match=r"none of 1 items could be embedded \(0\.png#0: 'a farm' is refused\)"):
        build(tmp_path / "index", write_captions(["0.png,a farm"]), encoder=Letters(broken=("a farm",)))


def test_a_build_that_found_nothing_leaves_no_trace(tmp_path: Path, write_captions: Write) -> None:
    with pytest.raises(DataError):
        build(tmp_path / "index", write_captions(["0.png,a farm"]), encoder=Letters(broken=("a farm",)))
    assert build(tmp_path / "index", write_captions(rows(3))).num_items == 3


def test_where_nothing_new_can_be_embedded_the_index_stays_and_it_is_told(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(3)))
    before = content(tmp_path / "index")
    facts, count = add(tmp_path / "index", write_captions([*rows(3), "x.png,a farm"]), encoder=Letters(broken=("a farm",)))
    assert (count, facts.num_items, facts.failed) == (0, 3, {"x.png#0": "'a farm' is refused"})
    assert content(tmp_path / "index") == before and not list((tmp_path / "index").glob("job-*"))


def test_no_two_processes_write_an_index(tmp_path: Path, write_captions: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "WAIT_S", 0.0)
    build(tmp_path / "index", write_captions(rows(3)))
    other = FolderLock(tmp_path / "index")
    other.take()
    for call in (lambda table: build(tmp_path / "index", table, overwrite=True), lambda table: add(tmp_path / "index", table)):
        with pytest.raises(OutputError, match=r"process \d+ on .* is writing the index\. Wait for it"):
            call(write_captions(rows(5)))
    other.release()
    assert add(tmp_path / "index", write_captions(rows(5)))[1] == 2


def test_adding_ends_as_building_at_once(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(6)))
    facts, count = add(tmp_path / "index", write_captions(rows(10)))
    assert (facts.num_items, count, facts.generation) == (10, 4, 2)
    build(tmp_path / "whole", write_captions(rows(10)))
    added, whole = open_index(tmp_path / "index", verify=True), open_index(tmp_path / "whole")
    assert added.items.equals(whole.items)
    np.testing.assert_array_equal(added.searcher.vectors, whole.searcher.vectors)
    assert add(tmp_path / "index", write_captions(rows(10)))[1] == 0


def test_an_index_that_is_added_to_changes_its_kind_where_it_has_outgrown_it(
    tmp_path: Path, write_captions: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_kinds, "MOST_FLAT", 10)
    build(tmp_path / "index", write_captions(rows(8)))
    assert add(tmp_path / "index", write_captions(rows(20)))[0].kind == "hnsw"
    build(tmp_path / "kept", write_captions(rows(20)), kind="flat")
    assert add(tmp_path / "kept", write_captions(rows(30)))[0].kind == "flat"


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_what_is_added_to_an_approximate_index_is_found(tmp_path: Path, write_captions: Write, kind: str) -> None:
    build(tmp_path / "index", write_captions(rows(300)), kind=kind)
    add(tmp_path / "index", write_captions([*rows(300), "new.png,zzz xyz"]))
    index = open_index(tmp_path / "index", verify=True)
    (hit,) = find(index, Query("zzz xyz", k=1), encoder=Letters())
    assert index.items["key"][hit.row] == "new.png#0" and hit.score == pytest.approx(1.0, abs=1e-6)


def test_another_model_is_refused(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(3)))
    with pytest.raises(ConfigError, match=r"built with the model 'letters' \(digest .*\), and 'numbers' is another"):
        add(tmp_path / "index", write_captions(rows(5)), encoder=Letters("numbers"))


def test_a_build_of_other_items_is_not_gone_on_with(tmp_path: Path, write_captions: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "index", write_captions([*rows(5), "x.png,a farm"]), encoder=Letters(stops="a farm"))
    with pytest.raises(DataError, match="holds a job with another items"):
        build(tmp_path / "index", write_captions(rows(3)))
    assert build(tmp_path / "index", write_captions(rows(3)), overwrite=True).num_items == 3


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path, write_captions: Write) -> None:
    (tmp_path / "index").mkdir()
    for name in ("mine.parquet", "vectors.npy", "notes.part"):
        (tmp_path / "index" / name).touch()
    build(tmp_path / "index", write_captions(rows(3)))
    add(tmp_path / "index", write_captions(rows(5)))
    assert {"mine.parquet", "vectors.npy", "notes.part", "vectors-0002.npy"} <= set(content(tmp_path / "index"))
    assert "vectors-0001.npy" not in content(tmp_path / "index")


@pytest.mark.fault
def test_a_build_killed_at_random_ten_times_ends_as_an_undisturbed_one(tmp_path: Path, write_captions: Write) -> None:
    table, draw, kills = write_captions(rows(400)), random.Random(2), 0
    subprocess.run([sys.executable, str(PROGRAM), str(tmp_path / "whole"), str(table), "2"], check=True)
    while True:
        process = subprocess.Popen([sys.executable, str(PROGRAM), str(tmp_path / "index"), str(table), "2"], stderr=subprocess.DEVNULL)
        results = tmp_path / "index" / "job-0001" / "results"
        goal = len(list(results.glob("*.safetensors"))) + draw.randint(0, 10)
        deadline = time.monotonic() + 120
        while kills < 10 and process.poll() is None and time.monotonic() < deadline:
            if len(list(results.glob("*.safetensors"))) > goal or (tmp_path / "index" / "index.json").exists():
                break
            time.sleep(0.002)
        if kills < 10 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
        if process.wait(timeout=300) == 0:
            break
        kills += 1
    assert kills >= 5
    assert content(tmp_path / "index") == content(tmp_path / "whole")
    assert json.loads(content(tmp_path / "whole")["index.json"])["kind"] == "ivf"


@pytest.mark.slow
def test_a_ray_cluster_makes_the_same_index(tmp_path: Path, write_captions: Write) -> None:
    pytest.importorskip("ray", reason="ray (extra ray) is not installed")
    table = write_captions(rows(20))
    build(tmp_path / "here", table)
    options = EmbedOptions(4, choose_executor("ray", 2))
    build_index(tmp_path / "cluster", captions_of(table), encoder=Letters(), options=options)
    assert content(tmp_path / "cluster") == content(tmp_path / "here")
