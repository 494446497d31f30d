"""tools/ms_clip/probe.py as it is called: scores of both probes, and folders whose figures would mean nothing."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., int]


def folders(chips: Path) -> tuple[str | Path, ...]:
    return "--train", chips / "train" / "multispectral", "--test", chips / "test" / "multispectral"


def test_scores_of_both_probes_have_intervals(
    call: Call, band_model: Path, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what = ("--neighbours", "1", "--save-path", tmp_path / "scores.csv", "--sensor", "sentinel2_l2a")
    assert call("probe", "--model-name", band_model, *folders(chips), *what) == 0
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert {(row["probe"], row["metric"]) for row in rows} == {
        (probe, metric) for probe in ("linear", "1 neighbours") for metric in ("accuracy", "balanced_accuracy")
    }
    assert all(0 <= float(row["low"]) <= float(row["value"]) <= float(row["high"]) <= 1 for row in rows)
    best = max(float(row["value"]) for row in rows)
    assert best >= 0.3, "random towers keep colours apart; chance is 0.1"
    assert (tmp_path / "scores.csv").read_text().strip() in capsys.readouterr().out


def test_a_test_image_that_was_learnt_from_is_refused(call: Call, chips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = chips / "train" / "multispectral"
    assert call("probe", "--model-name", "nowhere", "--train", same, "--test", same) == 1
    assert "20 images are in both folders" in capsys.readouterr().err


def test_a_class_that_is_not_learnt_is_refused(call: Call, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "water").symlink_to(chips / "train" / "multispectral" / "water")
    assert call("probe", "--model-name", "nowhere", "--train", tmp_path, "--test", chips / "test" / "multispectral") == 1
    told = capsys.readouterr().err
    assert "no training image of" in told and "snow" in told


def test_folders_without_classes_and_classes_without_images_are_refused(
    call: Call, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = chips / "test" / "multispectral"
    assert call("probe", "--train", tmp_path, "--test", test) == 1
    assert "holds no folder of images for each class" in capsys.readouterr().err
    (tmp_path / "water").mkdir()
    assert call("probe", "--train", tmp_path, "--test", test) == 1
    assert "water holds no image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--neighbours", "21"], "21 neighbours, expected 1 to 20"), (["--inverse-penalty", "0"], "positive")]
)
def test_numbers_that_do_not_fit_are_told(
    call: Call, band_model: Path, chips: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert call("probe", "--model-name", band_model, *folders(chips), *arguments) == 1
    assert message in capsys.readouterr().err
