"""Tables: the kinds of files, where each row comes from, and what is refused."""

import json
from pathlib import Path

import pytest

from eocore.data.formats.entries import collecting_faults
from eocore.data.formats.tables import column_names, read_table
from eocore.errors import AnnotationError, ConfigError, DataError

ROWS = [{"image": "a.png", "n": "1"}, {"image": "b.png"}]


def write(folder: Path, suffix: str) -> Path:
    path = folder / f"table{suffix}"
    if suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    elif suffix.startswith(".json"):
        path.write_text(json.dumps(ROWS) if suffix == ".json" else "\n".join(map(json.dumps, ROWS)))
    else:
        mark = {".csv": ",", ".tsv": "\t"}[suffix]
        path.write_text(f"image{mark}n\n\na.png{mark}1\nb.png{mark}\n")
    return path


@pytest.mark.parametrize(
    ("suffix", "sources"),
    [(".csv", [":3", ":4"]), (".tsv", [":3", ":4"]), (".json", ["#0", "#1"]), (".jsonl", [":1", ":2"]), (".parquet", ["#0", "#1"])],
)
def test_rows_know_their_line_and_hold_no_empty_cells(tmp_path: Path, suffix: str, sources: list[str]) -> None:
    path = write(tmp_path, suffix)
    rows = read_table(path)
    assert [dict(row.values) for row in rows] == ROWS and [row.source for row in rows] == [f"{path}{source}" for source in sources]
    assert column_names(rows) == ["image", "n"]


def test_a_line_of_another_length_is_told_or_collected(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(AnnotationError, match=r"t.csv:3: 1 cells, but the header has 2 columns"):
        read_table(path)
    with collecting_faults() as faults:
        assert len(read_table(path)) == 1
    assert len(faults) == 1


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a folder or a table \(.csv, .tsv"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_text("no")
    with pytest.raises(AnnotationError, match="cannot be read as Parquet"):
        read_table(tmp_path / "t.parquet")
