"""Indexes of vectors that are made already: built, added to, replaced; tables that do not go together."""

from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import box

from eocore.data.io.vector_table import MadeBy, VectorRow, vector_table
from eocore.errors import ConfigError, DataError
from eocore.search.building import build_index
from eocore.search.changing import Change, add_to_index
from eocore.search.embedding import EmbedOptions
from eocore.search.index_folder import open_index
from eocore.search.query import Query, find
from eocore.search.stored_vectors import stored_vectors

CLIP = MadeBy("clip", "0123456789abcdef", "/models/clip")


def write(path: Path, *names: str, made_by: MadeBy = CLIP, stamp: str = "1") -> Path:
    with vector_table(path, made_by) as table:
        for number, name in enumerate(names):
            vector = np.random.default_rng([number, len(stamp)]).normal(size=8).astype(np.float32)
            shape = box(number, 0, number + 1, 1)
            table.write([VectorRow(name, vector / np.linalg.norm(vector), "/s.tif", f"{number},0,8,8", "2024-05-01", "s", stamp, shape)])
    return path


def add(index: Path, table: Path, *, replacing: bool = False) -> Change:
    encoder, source = stored_vectors([table])
    return add_to_index(index, source, encoder=encoder, options=EmbedOptions(), replacing=replacing)


def test_an_index_holds_the_rows_of_tables(tmp_path: Path) -> None:
    encoder, source = stored_vectors([write(tmp_path / "a.parquet", "s/0", "s/1"), write(tmp_path / "b.parquet", "t/0")])
    facts = build_index(tmp_path / "index", source, encoder=encoder, options=EmbedOptions())
    assert (facts.num_items, facts.width, facts.space.digest, facts.space.path) == (3, 8, CLIP.digest, CLIP.path)
    index = open_index(tmp_path / "index", verify=True)
    row = index.items.iloc[1]
    assert (row["key"], row["window"], row["time"], row["footprint"].bounds) == ("s/1", "1,0,8,8", "2024-05-01", (1, 0, 2, 1))
    (hit,) = find(index, Query(like=["s/0"], k=1), encoder=None)
    assert index.items["key"][hit.row] == "t/0"  # the same vector
    assert not list((tmp_path / "index").glob("job-*"))


def test_tables_are_added_and_replace_earlier_ones(tmp_path: Path) -> None:
    encoder, source = stored_vectors([write(tmp_path / "a.parquet", "s/0", "s/1")])
    build_index(tmp_path / "index", source, encoder=encoder, options=EmbedOptions())
    assert add(tmp_path / "index", write(tmp_path / "a.parquet", "s/0", "s/1", "s/2")).num_new == 1
    later = write(tmp_path / "b.parquet", "s/0", stamp="22")
    with pytest.raises(DataError, match=r"have changed since .*\(s/0\)"):
        add(tmp_path / "index", later)
    assert add(tmp_path / "index", later, replacing=True).num_replaced == 1
    index = open_index(tmp_path / "index", verify=True)
    np.testing.assert_array_equal(index.searcher.vectors[0], stored_vectors([later])[1].vectors["s/0"])  # type: ignore[index]


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    first, other = write(tmp_path / "a.parquet", "s/0"), write(tmp_path / "b.parquet", "s/1", made_by=MadeBy("other", "f" * 16))
    with pytest.raises(ConfigError, match=r"are of the model 'other' \(digest ffffffffffff\), those of .*a\.parquet of 'clip'"):
        stored_vectors([first, other])
    with pytest.raises(DataError, match=r"b\.parquet: the id 's/0' is taken by a row of another table"):
        stored_vectors([first, write(tmp_path / "b.parquet", "s/0")])
    encoder, source = stored_vectors([first])
    build_index(tmp_path / "index", source, encoder=encoder, options=EmbedOptions())
    with pytest.raises(ConfigError, match="vectors of different models cannot be compared"):
        add(tmp_path / "index", write(tmp_path / "b.parquet", "s/1", made_by=MadeBy("other", "f" * 16)))
    for call in (lambda: encoder.texts(["a"]), lambda: encoder(source.items)):
        with pytest.raises(ConfigError, match=r"vectors of a table alone cannot embed 1 .*\. Name the model with --model"):
            call()
