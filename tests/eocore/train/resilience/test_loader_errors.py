"""Errors of a loader's processes: the text they were raised with, in one line, and the trace beside it."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

from eocore.errors import AlignmentError, DataError, EOError, SampleError
from eocore.train.resilience.loader_errors import ProcessTrace, as_raised, last_error, trace_of_process
from eocore.train.work_dir import read_status

LONGEST = 1000
"""Characters of a line that can be read."""


def alignment() -> None:
    try:
        raise DataError("the cause: eocore.errors.AlignmentError: not this")
    except DataError as error:
        raise AlignmentError("masks.json#3: 2 tiles but\n3 places. Correct it.") from error


def lookup() -> None:
    {}["bands"]


def undecodable() -> None:
    b"\xff".decode()  # its class takes five arguments, so torch cannot make it of a text


def noted() -> None:
    error = RuntimeError("no bands")
    error.add_note("While the image was read.")
    raise error


class Failing(Dataset[int]):
    def __init__(self, fail: Callable[[], None]) -> None:
        self.fail = fail

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        self.fail()
        return index


def error_of(fail: Callable[[], None]) -> Exception:
    with pytest.raises(Exception) as caught:
        list(DataLoader(Failing(fail), num_workers=1))
    return caught.value


def test_an_error_of_ours_has_the_text_it_was_raised_with() -> None:
    error = error_of(alignment)
    assert isinstance(error, AlignmentError) and "Traceback" in str(error), "what torch makes of it"
    plain = as_raised(error)
    assert type(plain) is AlignmentError and str(plain) == "masks.json#3: 2 tiles but\n3 places. Correct it."
    assert isinstance(plain.__cause__, ProcessTrace) and "in alignment" in str(plain.__cause__)


def test_one_of_this_process_stays_as_it_is() -> None:
    error = DataError("a.tif: no such file.")
    assert as_raised(error) is error and trace_of_process(error) is None


@pytest.mark.parametrize(
    ("fail", "told"),
    [
        (lookup, "KeyError: 'bands'"),
        (undecodable, "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (noted, "RuntimeError: no bands While the image was read."),
    ],
)
def test_class_and_text_of_any_other_are_found(fail: Callable[[], None], told: str) -> None:
    trace = trace_of_process(error_of(fail))
    assert trace is not None and last_error(trace) == told


def fail_once(faulty: ModuleType, tmp_path: Path, fault: dict[str, Any], workers: int) -> list[Any]:
    config = faulty.make_config({"faults": [fault], "num_workers": workers}, {"interval": 100}, max_iters=12)
    ranks: list[Any] = faulty.run_ranks(config, tmp_path / "run")
    assert [rank.code for rank in ranks] == [1, 1]
    return ranks


@pytest.mark.fault
@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_sample_of_one_of_two_ranks_is_one_line_at_the_end(faulty: ModuleType, tmp_path: Path, workers: int) -> None:
    ranks = fail_once(faulty, tmp_path, {"kind": "data_error", "index": 17}, workers)
    told = "DataError: dataset 'numbers', index 17, sample 'n17' (numbers.json#17): numbers.bin: holds letters; expected numbers."
    lines = [line for rank in ranks for line in rank.text.splitlines() if "holds letters" in line]
    assert len(lines) == 1 and told in lines[0] and len(lines[0]) < LONGEST
    (number,) = [number for number, rank in enumerate(ranks) if told in rank.text]
    assert f"rank {number}: DataError" in lines[0] and ranks[number].text.rstrip().endswith(lines[0]), "nothing after it"
    for rank in ranks:
        assert "killed by signal" not in rank.text and "Traceback" not in rank.text and "most recent call first" not in rank.text
    assert told in read_status(tmp_path / "run")["reason"]


@pytest.mark.fault
@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_of_the_program_shows_its_trace_and_then_one_line(faulty: ModuleType, tmp_path: Path, workers: int) -> None:
    ranks = fail_once(faulty, tmp_path, {"kind": "raise", "index": 17}, workers)
    (text,) = [rank.text for rank in ranks if "raised on purpose" in rank.text]
    last = text.rstrip().splitlines()[-1]
    assert f"{SampleError.__name__}: dataset 'numbers', index 17, sample 'n17' (numbers.json#17), epoch 0: preparing it failed" in last
    assert "ValueError: raised on purpose (faulty_task.py:" in last and "in strike)" in last and len(last) < LONGEST
    assert 'raise ValueError("raised on purpose")' in text, "the trace, in lines of its own"
    assert all(len(line) < LONGEST for line in text.splitlines())


def test_no_policy_replaces_a_sample_after_a_fault_of_the_program() -> None:
    assert issubclass(SampleError, EOError) and not issubclass(SampleError, DataError)
