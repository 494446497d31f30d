"""Numbers beside a predictions file: appended, cut short, merged, changed."""

from pathlib import Path

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.evaluate.engine.shards import PredictionWriter, merge_shards, shard_path, write_predictions
from eocore.evaluate.predictions import Prediction, read_predictions
from eocore.evaluate.vectors import VECTORS

SHARD = {"run_id": "one", "world_size": 1, "rank": 0}


def line(number: int) -> Prediction:
    return Prediction(f"s{number}", "classification", (f"{number}.tif",), "optical", "", "a", "a", {"candidates": ["a", "b"]})


def numbers(number: int) -> np.ndarray:
    return np.array([number, -number], dtype=np.float32)


def write(folder: Path, *wanted: int) -> None:
    with PredictionWriter(shard_path(folder, **SHARD)) as writer:
        for number in wanted:
            writer.write(line(number), vectors=numbers(number))


def test_numbers_come_back_from_the_shard_and_from_the_merged_file(tmp_path: Path) -> None:
    write(tmp_path, 2, 1)
    for sample, number in zip(read_predictions(shard_path(tmp_path, **SHARD)), (2, 1), strict=True):
        np.testing.assert_array_equal(sample.vectors.load(), numbers(number))
    write_predictions(tmp_path, merge_shards(tmp_path, [line(1).key, line(2).key], run_id="one"))
    np.testing.assert_array_equal(np.load(tmp_path / VECTORS), [1, -1, 2, -2])
    for sample, number in zip(read_predictions(tmp_path / "predictions.jsonl"), (1, 2), strict=True):
        assert sample.vectors.file == VECTORS
        np.testing.assert_array_equal(sample.vectors.load(), numbers(number))


def test_a_run_killed_between_numbers_and_line_resumes_behind_the_last_line(tmp_path: Path) -> None:
    write(tmp_path, 1)
    path = shard_path(tmp_path, **SHARD)
    with path.with_suffix(".f32").open("ab") as file:
        file.write(b"\x01\x02\x03\x04\x05")  # numbers without a line, the last one cut short
    write(tmp_path, 2)
    np.testing.assert_array_equal(np.fromfile(path.with_suffix(".f32"), "<f4"), [1, -1, 2, -2])
    assert [sample.vectors.start for sample in read_predictions(path)] == [0, 2]


def test_changed_and_missing_numbers_are_told(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    path = shard_path(tmp_path, **SHARD).with_suffix(".f32")
    np.array([1, -1, 2, -2.5], dtype="<f4").tofile(path)
    samples = read_predictions(path.with_suffix(".jsonl"))
    samples[0].vectors.load()
    with pytest.raises(DataError, match=r"one\.0of1\.f32: the numbers 2 to 4 are not those of the predictions file"):
        samples[1].vectors.load()
    path.unlink()
    with pytest.raises(DataError, match=r"f32: no such file, but a predictions file beside it needs it"):
        samples[0].vectors.load()


@pytest.mark.parametrize("value", ['{"file": "../x", "start": 0, "shape": [2], "sha256": "0"}', '{"file": "x"}', "[1.0, 2.0]", "null"])
def test_a_line_with_another_reference_is_refused(tmp_path: Path, value: str) -> None:
    write(tmp_path, 1)
    path = shard_path(tmp_path, **SHARD)
    text = path.read_text()
    path.write_text(text[: text.index('"vectors"')] + f'"vectors": {value}}}\n')
    with pytest.raises(DataError, match=r"jsonl:1: (field vectors(\.file)?: expected|lacks vectors\.start)"):
        read_predictions(path)


def test_a_line_without_numbers_is_written_as_before(tmp_path: Path) -> None:
    with PredictionWriter(shard_path(tmp_path, **SHARD)) as writer:
        writer.write(line(1))
    assert "vectors" not in shard_path(tmp_path, **SHARD).read_text() and not list(tmp_path.glob("*.f32"))
