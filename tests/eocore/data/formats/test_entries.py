"""Annotation files: what is refused, with which place named, and that nothing in them runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from eocore.data.formats import entries as annotations
from eocore.data.formats.entries import Entry, as_entries, read_entries, read_json, segmentation_mask
from eocore.errors import AnnotationError, DataError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_and_list_give_the_same_entries_with_their_places(tmp_path: Path) -> None:
    values = [{"a": 1}, {"a": 2}]
    lines = read_entries(write(tmp_path / "x.jsonl", '{"a": 1}\n\n{"a": 2}\n'))
    listed = read_entries(write(tmp_path / "x.json", json.dumps(values)))
    assert [entry.values for entry in lines] == [entry.values for entry in listed] == values
    assert [entry.source for entry in lines] == [f"{tmp_path}/x.jsonl:1", f"{tmp_path}/x.jsonl:3"]
    assert [entry.source for entry in listed] == [f"{tmp_path}/x.json#0", f"{tmp_path}/x.json#1"]


def test_unicode_line_separators_do_not_split_a_line(tmp_path: Path) -> None:
    entries = read_entries(write(tmp_path / "x.jsonl", '{"a": "one\u2028two\u0085three"}\n{"a": "b"}'))
    assert [entry.values["a"] for entry in entries] == ["one\u2028two\u0085three", "b"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", '[\n{"a": 1},\n{"a": }\n]', r"x\.json:3: not JSON: Expecting value \(column 7\)"),
        ("x.jsonl", '{"a": 1}\n{"a": 1', r"x\.jsonl:2: not JSON"),
        ("x.jsonl", '{"a": 1}\n[1]\n', r"x\.jsonl:2: expected an object, found list"),
        ("x.json", '{"a": 1}', r"x\.json: expected a list of objects, found dict"),
        ("x.json", '[{"a": 1}, 5]', r"x\.json#1: expected an object, found int: 5"),
        ("x.json", "[" * 100_000, r"x\.json: not usable JSON: RecursionError"),
        ("x.json", " \n", r"x\.json: the file is empty; expected JSON\. Export or fetch it again"),
        ("x.jsonl", '{"a": ' + "9" * 5000 + "}", r"x\.jsonl:1: not usable JSON: ValueError"),
    ],
)
def test_broken_text_names_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_entries(write(tmp_path / name, text))


@pytest.mark.parametrize(("name", "text"), [("x.json", '[{"a": "é"}]'), ("x.jsonl", '{"a": "é"}\r\n')])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert [entry.values for entry in read_entries(tmp_path / name)] == [{"a": "é"}]


def test_text_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'[\n{"a": "\xff"}]')
    with pytest.raises(AnnotationError, match=r"x\.json:2: not UTF-8"):
        read_json(tmp_path / "x.json")


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: no such annotation file\. Correct `annotations`"):
        read_entries(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"no file but a folder or a device; expected an annotation file\. Correct `annotations`"):
        read_entries(tmp_path)


def test_a_large_file_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "x.json", '[{"a": "' + "b" * 2_000_000 + '"}]')
    read_json(path)
    assert not capsys.readouterr().err
    monkeypatch.setattr(annotations, "LARGE_BYTES", 1_000_000)
    read_json(path)
    assert f"reading {path} (2 MB)" in capsys.readouterr().err


UNREADABLE = Path("/proc/self/mem")
"""A regular file whose first bytes nobody may read, not even root, who may read everything else."""


@pytest.mark.skipif(not UNREADABLE.is_file(), reason="needs Linux's /proc")
def test_a_file_that_cannot_be_read_says_why_and_what_to_do() -> None:
    with pytest.raises(DataError, match=r"mem: cannot be read \(Input/output error\); expected a file .* Correct its permissions"):
        read_json(UNREADABLE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda entry: entry.text("gone"), r"f:1: no field 'gone'; found n, t, e, b, l"),
        (lambda entry: entry.text("n"), r"f:1: field 'n' must be a text that is not empty, found 3\."),
        (lambda entry: entry.text("e"), r"field 'e' must be a text that is not empty, found '  '"),
        (lambda entry: entry.integer("t"), r"field 't' must be a whole number, found 'word'"),
        (lambda entry: entry.integer("b"), r"field 'b' must be a whole number, found True"),
        (lambda entry: entry.integer("n", minimum=4), r"field 'n' must be a number of at least 4, found 3"),
        (lambda entry: entry.identifier("l"), r"field 'l' must be a text or a whole number, found \[\]"),
        (lambda entry: entry.items("l"), r"field 'l' must be a list that is not empty, found \[\]"),
        (lambda entry: entry.items("t"), r"field 't' must be a list that is not empty, found 'word'"),
    ],
)
def test_fields_of_the_wrong_kind_are_named(call: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        call(Entry({"n": 3, "t": "word", "e": "  ", "b": True, "l": []}, "f:1"))


def test_inner_entries_carry_their_place() -> None:
    entry = Entry({"list": [{"a": 1}, {"a": 2}], "mixed": [{"a": 1}, 2]}, "f#4")
    assert [inner.source for inner in entry.entries("list")] == ["f#4 list[0]", "f#4 list[1]"]
    with pytest.raises(AnnotationError, match=r"f#4: field 'mixed' must be a list of objects"):
        entry.entries("mixed")


def test_extras_are_the_plain_values_not_read_otherwise() -> None:
    entry = Entry({"id": 1, "type": "count", "cloudy": True, "boxes": [1, 2], "none": None}, "f#0")
    assert entry.extras("id") == {"type": "count", "cloudy": True}


def test_entries_of_something_else_than_a_list_are_refused() -> None:
    with pytest.raises(AnnotationError, match=r"f images: expected a list of objects, found NoneType: None"):
        as_entries(None, "f images")


def test_long_and_deep_values_are_shortened_in_messages() -> None:
    laughs: list[Any] = ["ha" * 10_000]
    for _ in range(60):
        laughs = [laughs, laughs]
    laughs.append(laughs)
    with pytest.raises(AnnotationError) as caught:
        Entry({"a": laughs}, "f#0").text("a")
    assert len(str(caught.value)) < 300


def test_segmentations_become_masks() -> None:
    ring = [0, 0, 4, 0, 4, 4]
    assert segmentation_mask([ring, ring], "f#0").data == [ring, ring]
    rle = segmentation_mask({"size": [4, 4], "counts": "0a0", "more": 1}, "f#0")
    assert (rle.kind, rle.data) == ("rle", {"size": [4, 4], "counts": "0a0"})


@pytest.mark.parametrize("value", [None, [], {}, [[]], [[0, 0, 4, 4]], [0, 0, 4, 0, 4, 4], {"size": [4, 4]}, "0a0"])
def test_other_segmentations_are_refused(value: Any) -> None:
    with pytest.raises(AnnotationError, match=r"f#3: a segmentation must be a list of rings .* or an RLE object"):
        segmentation_mask(value, "f#3")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"a": 1}\n{"a": NaN}', r"x\.jsonl:2: not usable JSON: ValueError: NaN is no number in JSON"),
        ("x.json", '[{"a": -Infinity}]', r"x\.json#0 \(line 1\): not usable JSON: ValueError: -Infinity is no number"),
        ("x.jsonl", '{"id": 1, "id": 2}', r"x\.jsonl:1: .*the field 'id' is duplicated in one object; which one is meant cannot be told"),
    ],
)
def test_json_that_could_be_read_two_ways_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_entries(write(tmp_path / name, text))


def test_lines_and_files_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MAX_LINE_CHARACTERS", 100)
    with pytest.raises(AnnotationError, match=r"x\.jsonl:2: a line of 110 characters, at most 100 are read"):
        read_entries(write(tmp_path / "x.jsonl", '{"a": 1}\n{"a": "' + "x" * 101 + '"}'))
    monkeypatch.setattr(annotations, "MAX_JSON_BYTES", 10)
    with pytest.raises(DataError, match=r"x\.json: 20 bytes, at most 10 are read as JSON"):
        read_entries(write(tmp_path / "x.json", "[" + " " * 18 + "]"))


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\x00b", "a\ud800b", "a\x7fb"])
def test_texts_that_steer_terminals_or_break_tokenizers_are_refused(text: str) -> None:
    with pytest.raises(AnnotationError, match="field 'a' must be a text without control characters"):
        Entry({"a": text}, "f:1").text("a")


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "safe\u202egnp.exe", "x" * 1025, "a\u2028b"])
def test_names_are_one_printable_line(name: str) -> None:
    for call in (Entry({"a": name}, "f:1").file_name, Entry({"a": name}, "f:1").identifier):
        with pytest.raises(AnnotationError, match="field 'a' must be a printable name of at most 1024 characters"):
            call("a")
    assert Entry({"a": "name with spaces, 水 and dots.tif"}, "f:1").file_name("a")


def test_numbers_that_cannot_be_printed_are_refused() -> None:
    for call in (Entry({"a": 10**5000}, "f:1").integer, Entry({"a": 10**5000}, "f:1").identifier, Entry({"a": 10**5000}, "f:1").text):
        with pytest.raises(AnnotationError, match="found a int that cannot be printed"):
            call("a")


def test_faults_are_collected_instead_of_raised(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", '{"a": 1}\n{\n{"a": "x"}\n[1]\n{"a": 2}')
    with annotations.collecting_faults() as faults:
        numbers = annotations.each(read_entries(path), lambda entry: entry.integer("a"))
    assert numbers == [1, 2]
    assert sorted(str(fault).split(": ")[0] for fault in faults) == [f"{path}:{line}" for line in (2, 3, 4)]
    with pytest.raises(AnnotationError, match=r"x\.jsonl:2"):
        read_entries(path)


def test_the_case_of_the_ending_does_not_matter(tmp_path: Path) -> None:
    assert [entry.values for entry in read_entries(write(tmp_path / "x.JSONL", '{"a": 1}\n{"a": 2}\n'))] == [{"a": 1}, {"a": 2}]
