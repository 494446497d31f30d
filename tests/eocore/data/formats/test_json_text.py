"""JSON that can be read in two ways: which place is named, and what is kept."""

from pathlib import Path

import pytest

from eocore.data.formats.entries import as_entries, collecting_faults, read_entries, read_json
from eocore.data.formats.json_text import BrokenEntry, parse_json
from eocore.errors import AnnotationError


def test_plain_json_is_read_as_it_is() -> None:
    assert parse_json('{"a": [1, 2.5, null, {"b": "x"}]}', "x") == {"a": [1, 2.5, None, {"b": "x"}]}
    assert parse_json('[1e308, 2.5e-999, "1e999", 0.1e100]', "x") == [1e308, 0.0, "1e999", 1e99]


TWICE, NO_NUMBERS = (
    '{"a": 1, "a": 2}',
    ['{"a": 1, "score": NaN}', '{"a": {"b": [Infinity]}}', '{"a": [-1E+999]}', '{"a": ' + "9" * 5000 + "}"],
)


@pytest.mark.parametrize("broken", [TWICE, *NO_NUMBERS])
def test_the_other_entries_of_a_list_are_kept(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "x.json"
    path.write_text('[\n{"a": 0},\n' + broken + ',\n{"a": 2}\n]')
    with pytest.raises(AnnotationError, match=r"x\.json#1 \(line 3\): not usable JSON"):
        read_entries(path)
    with collecting_faults() as faults:
        entries = read_entries(path)
    assert [(entry.values, entry.source) for entry in entries] == [({"a": 0}, f"{path}#0"), ({"a": 2}, f"{path}#2")]
    assert len(faults) == 1


def test_entries_below_a_field_are_kept_likewise(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text('{"images": [{"id": 1}],\n "annotations": [{"id": 1, "id": 2},\n {"id": 3}]}')
    content = read_json(path)
    assert content["images"] == [{"id": 1}]
    assert isinstance(content["annotations"][0], BrokenEntry)
    with pytest.raises(AnnotationError, match=r"annotations#0 \(line 2\): .*the field 'id' is duplicated"):
        as_entries(content["annotations"], f"{path} annotations")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n"b": NaN}', "f:1: not usable JSON: ValueError: NaN is no number"),
        ('{"a": 1,\n"b": {"c": 1, "c": 2}}', "f:2: .*the field 'c' is duplicated"),
        ("[1,\n[NaN]]", "f:2: .*NaN"),
        ("NaN", "f: .*NaN"),
        ('{"a": 1,\n"b": 1e999}', "f:1: .*1e999 is beyond the largest number of 64 bits"),
        ("[1, 1" + "0" * 400 + ".5]", "f:1: .*beyond the largest number"),
    ],
)
def test_a_fault_outside_of_entries_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        parse_json(text, "f")
