"""Pickled annotations: plain values are read, nothing in them runs, and no few bytes take much memory."""

import itertools
import pickle
import resource
from pathlib import Path
from typing import Any

import pytest

from eocore.data.io import safe_pickle as plain_pickle
from eocore.data.io.safe_pickle import read_plain_pickle
from eocore.errors import AnnotationError, DataError

REFS = [{"ref_id": 1, "ann_id": [2, -1], "split": "train", "sentences": [{"sent_id": 7, "raw": "The Lake.", "tokens": ("the", "lake")}]}]


class Payload:
    """Runs when it is unpickled by the ordinary means: writes the file it is given."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.marker, "ran"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps(REFS, protocol=protocol))
    assert read_plain_pickle(path) == REFS


def test_byte_strings_of_python_2_are_read_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "refs.p"
    path.write_bytes(b"(lp0\nS'caf\\xc3\\xa9'\np1\na.")
    assert read_plain_pickle(path) == ["café"]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_with_code_is_refused_before_it_runs(tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / "marker", tmp_path / "refs.p"
    payload = pickle.dumps([{"ref_id": 1}, Payload(marker)], protocol=protocol)
    pickle.loads(payload)
    assert marker.read_text() == "ran", "the payload must be a live one"
    marker.unlink()
    path.write_bytes(payload)
    with pytest.raises(AnnotationError, match=r"the pickle asks for '.*'; annotations hold plain values only.*Nothing was run"):
        read_plain_pickle(path)
    assert not marker.exists()


def test_a_pickle_cut_anywhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = pickle.dumps(REFS, protocol=2)
    for length in range(len(raw)):
        monkeypatch.setattr(plain_pickle, "read_bytes", lambda path, limit, kind, cut=raw[:length]: cut)
        with pytest.raises(AnnotationError, match=r"refs\.p: broken pickle"):
            read_plain_pickle("refs.p")


def test_a_pickle_with_any_byte_changed_raises_our_errors_or_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = pickle.dumps(REFS, protocol=2)
    refused = 0
    for position, value in itertools.product(range(len(raw)), (0x00, 0x28, 0x52, 0x63, 0x8D, 0xFF)):
        changed = raw[:position] + bytes([value]) + raw[position + 1 :]
        monkeypatch.setattr(plain_pickle, "read_bytes", lambda path, limit, kind, changed=changed: changed)
        try:
            read_plain_pickle("refs.p")
        except AnnotationError:
            refused += 1
    assert refused > len(raw)


def test_a_pickle_that_asks_for_a_huge_table_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "refs.p"
    path.write_bytes(b"]r" + (2**31 - 1).to_bytes(4, "little") + b".")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_plain_pickle(path) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "[KiB]"


def test_a_pickle_with_a_byte_array_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "refs.p"
    path.write_bytes(b"\x96" + (2**62).to_bytes(8, "little") + b".")
    with pytest.raises(AnnotationError, match=r"broken pickle \(KeyError: 150\)"):
        read_plain_pickle(path)


def test_a_huge_pickle_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_pickle, "MAX_PICKLE_BYTES", 10)
    path = tmp_path / "refs.p"
    path.write_bytes(pickle.dumps(REFS))
    with pytest.raises(DataError, match=r"refs\.p: \d+ bytes, at most 10 are read as a pickle"):
        read_plain_pickle(path)
