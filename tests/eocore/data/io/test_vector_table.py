"""Tables of vectors written and read; what is no such table, or a broken one, is refused."""

from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import box

from eocore.data.io.vector_table import MadeBy, VectorRow, read_vector_table, vector_table
from eocore.errors import DataError

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (extra search) is not installed")
pyarrow = pytest.importorskip("pyarrow")
MADE_BY = MadeBy("clip", "0123", "/models/clip")


def unit(*numbers: float) -> np.ndarray:
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


ROWS = [
    VectorRow("s/0_0", unit(1, 2, 3), "/s.tif", "0,0,8,8", "2024-05-01", "sentinel2_l2a", "abc", box(1, 2, 3, 4)),
    VectorRow("s/0_8", unit(0, 1, 0)),
]


def write(path: Path, rows: list[VectorRow] = ROWS) -> Path:
    with vector_table(path, MADE_BY) as table:
        for row in rows:
            table.write([row])
    return path


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    made_by, rows = read_vector_table(write(tmp_path / "v.parquet"))
    assert made_by == MADE_BY
    for row, before in zip(rows, ROWS, strict=True):
        np.testing.assert_array_equal(row.vector, before.vector)
        assert {**vars(row), "vector": None} == {**vars(before), "vector": None}


def test_it_is_geoparquet(tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas (extra search) is not installed")
    table = geopandas.read_parquet(write(tmp_path / "v.parquet"))
    assert table.crs.to_string() == "OGC:CRS84" and table.geometry[0].bounds == (1, 2, 3, 4) and table.geometry[1] is None
    assert len(table["vector"][0]) == 3


def test_without_rows_or_where_writing_ends_early_no_file_is_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no vector to write"):
        write(tmp_path / "v.parquet", [])
    with pytest.raises(KeyboardInterrupt), vector_table(tmp_path / "v.parquet", MADE_BY) as table:
        table.write(ROWS)
        raise KeyboardInterrupt
    assert not (tmp_path / "v.parquet").exists()


def altered(path: Path, *, drop: str = "", about: bytes | None = None, vector: object = None) -> Path:
    table = parquet.read_table(write(path))
    metadata = dict(table.schema.metadata)
    if drop:
        table = table.drop_columns([drop])
    if about is not None:
        metadata[b"eocore.vectors"] = about
    if vector is not None:
        table = table.drop_columns(["vector"]).append_column("vector", vector)
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    return path


def lists(*rows: list[float] | None) -> object:
    return pyarrow.array(list(rows), pyarrow.list_(pyarrow.float32(), 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drop": "window"}, "no column window; expected a table as tools/embed_scenes.py writes it"),
        ({"about": b'{"format": 2, "model": "x", "digest": "y"}'}, "format 2; this version reads 1"),
        ({"about": b'{"format": 1, "model": "x"}'}, "its metadata do not say what made the vectors"),
        ({"vector": lists([1.0, 0.0], [3.0, 0.0])}, r"the vector of row 2 \(of 1\) has not the length 1"),
        ({"vector": lists([1.0, 0.0], [float("nan"), 0.0])}, "the vector of row 2"),
        ({"vector": lists([1.0, 0.0], None)}, "1 rows have no vector"),
        ({"vector": pyarrow.array([[1.0], [1.0, 0.0]])}, "expected lists of one length"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_vector_table(altered(tmp_path / "v.parquet", **changes))  # type: ignore[arg-type]


def test_ids_that_are_taken_files_that_are_missing_or_broken_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2 has the id 's/0_8', which is empty or taken"):
        read_vector_table(write(tmp_path / "v.parquet", [ROWS[1], ROWS[1]]))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_vector_table(tmp_path / "broken.parquet")
    with pytest.raises(DataError, match="no such file"):
        read_vector_table(tmp_path / "none.parquet")
    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="no column id, image"):
        read_vector_table(tmp_path / "other.parquet")
