"""The table of items: whole after a round trip, readable as GeoParquet by others, refused where it is broken."""

import json
from pathlib import Path

import pytest
from shapely.geometry import box

from eocore.errors import DataError
from eocore.search.documents import Document, as_table, joined, read_parquet, row_fields, to_parquet

DOCUMENTS = [
    Document("a", image="/x/a.tif", time="2024-05-31", sensor="sentinel2_l2a", cloud_cover=12.5, stamp="s", footprint=box(11, 48, 12, 49)),
    Document("b", caption="a farm; with, signs\n"),
]


def write(path: Path) -> Path:
    path.write_bytes(to_parquet(as_table(DOCUMENTS)))
    return path


def test_a_round_trip_keeps_what_is_known_and_what_is_not(tmp_path: Path) -> None:
    table = read_parquet(write(tmp_path / "items.parquet"))
    assert [row_fields(table.iloc[row]) for row in range(2)] == [
        {"key": "a", "image": "/x/a.tif", "time": "2024-05-31", "sensor": "sentinel2_l2a", "cloud_cover": 12.5, "bounds": [11, 48, 12, 49]},
        {"key": "b", "caption": "a farm; with, signs\n"},
    ]
    assert len(joined([table, as_table(DOCUMENTS[:1])])) == 3


def test_it_is_geoparquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra: search)")
    stated = json.loads(parquet.read_metadata(write(tmp_path / "items.parquet")).metadata[b"geo"])
    assert (stated["version"], stated["primary_column"]) == ("1.1.0", "footprint")
    assert stated["columns"]["footprint"]["encoding"] == "WKB"


@pytest.mark.parametrize("keep", [0, 100])
def test_a_broken_table_is_told(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "items.parquet")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"items\.parquet: the items of the index cannot be read"):
        read_parquet(path)


def test_a_table_of_something_else_is_told(tmp_path: Path) -> None:
    as_table(DOCUMENTS).drop(columns="stamp").to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="no column stamp; the table is of no index"):
        read_parquet(tmp_path / "other.parquet")


def test_a_table_where_nothing_has_a_place_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "items.parquet").write_bytes(to_parquet(as_table(DOCUMENTS[1:])))
    assert row_fields(read_parquet(tmp_path / "items.parquet").iloc[0]) == {"key": "b", "caption": DOCUMENTS[1].caption}
