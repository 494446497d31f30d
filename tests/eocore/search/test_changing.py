"""Indexes changed: items put in the place of earlier versions, and taken out; nothing is lost where a change is killed."""

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

from eocore.errors import ConfigError, DataError
from eocore.search import index_kinds, making
from eocore.search.building import build_index
from eocore.search.changing import Change, Selection, add_to_index, remove_from_index
from eocore.search.embedding import EmbedOptions
from eocore.search.filters import Filters
from eocore.search.index_folder import Index, open_index
from eocore.search.query import Query, find
from eocore.search.sources import captions_of

Write = Callable[..., Path]
PROGRAM = Path(__file__).with_name("remove_items.py")
WORDS = ("farm", "road", "river", "lake", "forest", "harbour", "airport", "beach")
KEYS = ("0.png#0", "2.png#0")


def rows(count: int) -> list[str]:
    draw = random.Random(1)
    return [f"{number}.png,{' '.join(draw.choices(WORDS, k=3))} {number}" for number in range(count)]


def build(folder: Path, table: Path, *, kind: str | None = None, encoder: Letters | None = None) -> None:
    build_index(folder, captions_of(table), encoder=encoder or Letters(), options=EmbedOptions(), kind=kind)


def replace(folder: Path, table: Path, *, encoder: Letters | None = None) -> Change:
    return add_to_index(folder, captions_of(table), encoder=encoder or Letters(), options=EmbedOptions(), replacing=True)


def same(first: Index, second: Index) -> bool:
    equal = first.items.equals(second.items) and np.array_equal(first.searcher.vectors, second.searcher.vectors)
    return equal and (first.facts.kind, first.facts.num_items) == (second.facts.kind, second.facts.num_items)


def test_an_index_without_items_is_as_one_that_never_had_them(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(6)))
    change = remove_from_index(tmp_path / "index", Selection(KEYS))
    assert (change.num_removed, change.facts.num_items, change.facts.generation) == (2, 4, 2)
    build(tmp_path / "without", write_captions([row for row in rows(6) if f"{row.split(',')[0]}#0" not in KEYS]))
    assert same(open_index(tmp_path / "index", verify=True), open_index(tmp_path / "without"))
    assert not list((tmp_path / "index").glob("*-0001.*"))


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_what_is_removed_is_not_found_and_the_others_are(tmp_path: Path, write_captions: Write, kind: str) -> None:
    build(tmp_path / "index", write_captions(rows(320)), kind=kind)
    remove_from_index(tmp_path / "index", Selection(KEYS))
    index = open_index(tmp_path / "index", verify=True)
    assert (index.facts.kind, index.facts.num_items, index.searcher.index.ntotal) == (kind, 318, 318)
    hits = find(index, Query(index.items["caption"][0], k=318), encoder=Letters())
    keys = [index.items["key"][hit.row] for hit in hits]
    assert keys[0] == index.items["key"][0] and not set(KEYS) & set(keys) and len(set(keys)) == 318


def test_an_index_that_becomes_small_changes_its_kind(tmp_path: Path, write_captions: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_kinds, "MOST_FLAT", 10)
    build(tmp_path / "index", write_captions(rows(12)))
    assert open_index(tmp_path / "index").facts.kind == "hnsw"
    assert remove_from_index(tmp_path / "index", Selection(KEYS)).facts.kind == "flat"
    build(tmp_path / "lists", write_captions(rows(257)), kind="ivf")
    assert remove_from_index(tmp_path / "lists", Selection(KEYS)).facts.kind == "hnsw"  # too few to learn lists from


def test_items_are_removed_by_filters_and_what_fits_none_changes_nothing(tmp_path: Path, write_captions: Write) -> None:
    table = write_captions(["a.png,a farm,2024-05-01", "b.png,a road,2023-05-01", "c.png,a lake,"], header="image,caption,date")
    build(tmp_path / "index", table)
    assert remove_from_index(tmp_path / "index", Selection(filters=Filters(until="2020-01-01"))).num_removed == 0
    assert remove_from_index(tmp_path / "index", Selection(filters=Filters(until="2023-12-31"))).num_removed == 1
    assert list(open_index(tmp_path / "index").items["key"]) == ["a.png#0", "c.png#0"]


def test_what_could_not_be_embedded_can_be_forgotten(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(["a.png,a farm", "b.png,a road"]), encoder=Letters(broken=("a road",)))
    change = remove_from_index(tmp_path / "index", Selection(["b.png#0"]))
    assert (change.num_removed, change.facts.failed, change.facts.num_items) == (0, {}, 1)


def test_what_cannot_be_removed_is_told(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(2)))
    for selection, error, message in (
        (Selection(["0.png#1"]), DataError, r"no item '0\.png#1' in the index\. Did you mean '0\.png#0'\? Nothing was removed"),
        (Selection(["x", "y"]), DataError, r"no item 'x' in the index \(nor 1 others\)"),
        (Selection(["0.png#0", "1.png#0"]), DataError, "nothing would be left of 2 items"),
        (Selection(missing_files=True), ConfigError, "an index of captions, whose images need not be there"),
    ):
        with pytest.raises(error, match=message):
            remove_from_index(tmp_path / "index", selection)
    for fields in ({}, {"keys": ["a"], "missing_files": True}):
        with pytest.raises(ConfigError, match="say which items are meant in one way"):
            Selection(**fields)  # type: ignore[arg-type]
    assert open_index(tmp_path / "index", verify=True).facts.generation == 1


@pytest.mark.parametrize("kind", [None, "hnsw", "ivf"])
def test_an_index_with_replaced_items_is_as_one_built_of_them(tmp_path: Path, write_captions: Write, kind: str | None) -> None:
    before = rows(300)
    after = [*before[:7], "7.png,a windy airport", *before[8:], "new.png,a quiet zoo"]
    build(tmp_path / "index", write_captions(before), kind=kind)
    change = replace(tmp_path / "index", write_captions(after))
    assert (change.num_new, change.num_replaced, change.stale) == (1, 1, {})
    build(tmp_path / "anew", write_captions(after), kind=kind)
    index = open_index(tmp_path / "index", verify=True)
    assert same(index, open_index(tmp_path / "anew"))
    (hit,) = find(index, Query("a windy airport", k=1), encoder=Letters())
    assert hit.row == 7 and hit.score == pytest.approx(1, abs=1e-6)
    assert replace(tmp_path / "index", write_captions(after)).num_replaced == 0


def test_unasked_nothing_is_replaced(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(["a.png,a farm"]))
    with pytest.raises(DataError, match=r"1 of 1 items have the key of another .*\(a\.png#0\)\. Nothing was added\. Replace .* --replace"):
        add_to_index(tmp_path / "index", captions_of(write_captions(["a.png,a road"])), encoder=Letters(), options=EmbedOptions())


def test_an_item_whose_new_version_is_refused_stays_as_it_was(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(["a.png,a farm", "b.png,a lake"]))
    change = replace(tmp_path / "index", write_captions(["a.png,a road", "b.png,a sea"]), encoder=Letters(broken=("a road",)))
    assert (change.num_replaced, change.stale, change.facts.failed) == (1, {"a.png#0": "'a road' is refused"}, {})
    assert list(open_index(tmp_path / "index", verify=True).items["caption"]) == ["a farm", "a sea"]


def test_what_a_stopped_addition_has_made_outlives_a_removal(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(4)))
    more = [*rows(4), *(f"{name}.png,a {name}" for name in WORDS)]
    with pytest.raises(KeyboardInterrupt):
        add_to_index(
            tmp_path / "index", captions_of(write_captions(more)), encoder=Letters(stops="a beach"), options=EmbedOptions(batch_size=2)
        )
    made = {path.name: path.read_bytes() for path in (tmp_path / "index" / "job-0002" / "results").iterdir()}
    assert len(made) == 3
    remove_from_index(tmp_path / "index", Selection(["0.png#0"]))
    results = making.job_folder(tmp_path / "index", 3) / "results"
    assert {path.name: path.read_bytes() for path in results.iterdir()} == made
    add = add_to_index(tmp_path / "index", captions_of(write_captions(more[1:])), encoder=Letters(), options=EmbedOptions(batch_size=2))
    assert (add.num_new, add.facts.num_items) == (8, 11) and not list((tmp_path / "index").glob("job-*"))


@pytest.mark.fault
def test_a_removal_killed_at_random_leaves_the_index_as_it_was_or_without_the_items(tmp_path: Path, write_captions: Write) -> None:
    build(tmp_path / "index", write_captions(rows(300)), kind="ivf")
    draw = random.Random(4)
    for number in range(10):
        process = subprocess.Popen([sys.executable, str(PROGRAM), str(tmp_path / "index"), f"{number}.png#0"], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(draw.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        index = open_index(tmp_path / "index", verify=True)
        gone = f"{number}.png#0" not in set(index.items["key"])
        assert index.facts.num_items == index.searcher.index.ntotal == 300 - number - gone
        if not gone:
            remove_from_index(tmp_path / "index", Selection([f"{number}.png#0"]))
    assert sorted(path.name for path in (tmp_path / "index").iterdir() if not path.name.startswith(".")) == [
        "faiss-0011.faiss",
        "index.json",
        "items-0011.parquet",
        "vectors-0011.npy",
    ]
