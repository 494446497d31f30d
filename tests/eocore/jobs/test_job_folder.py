"""What a job's folder refuses and repairs: other items, other choices, broken files, a second process."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from works import numbered

from eocore.errors import DataError, OutputError
from eocore.jobs import job_folder
from eocore.jobs.job_folder import JOB, RESULTS, JobFolder
from eocore.jobs.work import Item, Outcome


def opened(folder: Path, items: Sequence[Item] | None = None, *, model: str = "a", overwrite: bool = False) -> JobFolder:
    job = JobFolder(folder, {"model": model}, chunk_size=2)
    try:
        job.open(numbered(5) if items is None else items, overwrite=overwrite)
    except BaseException:
        job.close()
        raise
    return job


def filled(folder: Path) -> JobFolder:
    job = opened(folder)
    for chunk in job.pending():
        job.write(chunk.index, [Outcome(item.key, {"text": item.key, "vector": np.arange(3.0)}) for item in chunk.items])
    return job


def test_the_last_chunk_may_be_smaller(tmp_path: Path) -> None:
    assert [len(chunk.items) for chunk in opened(tmp_path).pending()] == [2, 2, 1]


def test_a_job_without_items_has_nothing_to_do(tmp_path: Path) -> None:
    job = opened(tmp_path, [])
    assert (job.pending(), list(job.outcomes())) == ([], [])


def test_other_choices_are_refused_until_overwritten(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with pytest.raises(DataError, match=r"holds a job with another model \('a', now 'b'\)\..*--overwrite"):
        opened(tmp_path, model="b")
    assert len(opened(tmp_path, model="b", overwrite=True).pending()) == 3


def test_other_items_are_refused(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with pytest.raises(DataError, match=r"another items \(5, now 4, or their files have changed\)"):
        opened(tmp_path, numbered(4))


def test_two_items_of_one_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two items have the key 'x'"):
        opened(tmp_path, [Item("x", {}), Item("x", {})])


def test_a_second_process_is_told_who_works_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_folder, "WAIT_S", 0.0)
    job = opened(tmp_path)
    with pytest.raises(OutputError, match=r"process \d+ on .* is working on this job\. Wait for it"):
        opened(tmp_path)
    job.close()
    opened(tmp_path).close()


@pytest.mark.parametrize("keep", [0, 10, 150])
def test_a_broken_result_file_is_told_and_done_again(tmp_path: Path, keep: int, capsys: pytest.CaptureFixture[str]) -> None:
    job = filled(tmp_path)
    path = tmp_path / RESULTS / "00000001.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    (chunk,) = job.pending()
    assert [item.key for item in chunk.items] == ["item 2", "item 3"]
    assert "00000001.safetensors is broken" in capsys.readouterr().err


def test_results_of_other_items_are_done_again(tmp_path: Path) -> None:
    job = filled(tmp_path)
    (tmp_path / RESULTS / "00000000.safetensors").rename(tmp_path / RESULTS / "00000001.safetensors")
    assert [chunk.index for chunk in job.pending()] == [0, 1]


@pytest.mark.parametrize("text", ["{", '{"chunk_size": 0}', "[]"])
def test_a_broken_job_file_is_refused(tmp_path: Path, text: str) -> None:
    filled(tmp_path).close()
    (tmp_path / JOB).write_text(text)
    with pytest.raises(DataError, match=r"job\.json: .*start anew with --overwrite"):
        opened(tmp_path)


def test_a_chunk_of_no_items_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="chunk_size is 0"):
        JobFolder(tmp_path, {}, chunk_size=0)
