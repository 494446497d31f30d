"""The logged steps of a training, as they are read for curves."""

from pathlib import Path

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.scalars import read_scalars, smooth


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_numbers_are_read_to_the_last_bit_with_those_that_are_not_finite(tmp_path: Path) -> None:
    lines = ['{"step": 1, "lr": 0.1, "loss": 1.640371483155324e-08}', '{"step": 2, "loss": NaN, "grad_norm": Infinity}']
    first, second = read_scalars(write(tmp_path / "scalars.jsonl", *lines))
    assert first == {"step": 1, "lr": 0.1, "loss": 1.640371483155324e-08}
    assert np.isnan(second["loss"]) and second["grad_norm"] == float("inf")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"step": 1}', '{"step": 2, "lo'], r"scalars\.jsonl:2: not JSON"),
        (['{"loss": 1}'], r"scalars\.jsonl:1: 'step' is missing\. Expected a line as a training writes it"),
        (['{"step": 1.5}'], r"scalars\.jsonl:1: 'step' is 1\.5\."),
        (['{"step": 1, "loss": "2.5"}'], r"scalars\.jsonl:1: field loss: expected a valid number, found '2\.5'\."),
        (["[1]"], r"scalars\.jsonl:1: expected an object, found \[1\]"),
        ([], r"scalars\.jsonl: no logged steps"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_scalars(write(tmp_path / "scalars.jsonl", *lines))


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file, so there are no training curves"):
        read_scalars(tmp_path / "none.jsonl")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"picture\.png: not text"):
        read_scalars(tmp_path / "picture.png")


def test_smoothing_starts_at_the_first_value_and_passes_over_what_is_not_finite() -> None:
    np.testing.assert_allclose(smooth([2.0, 2.0, float("nan"), 2.0]), 2.0)
    assert smooth([0.0, 1.0])[1] == pytest.approx(0.1 / 0.19)
    assert np.isnan(smooth([float("inf"), 1.0])[0])
