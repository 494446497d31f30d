"""tools/ms_clip/evaluation.py as it is called: a CSV for each set, answers saved before, and calls that say too little."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Call = Callable[..., int]


def test_a_folder_of_ones_own_is_scored_by_the_upstream_flags(
    call: Call, band_model: Path, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = chips / "test" / "multispectral"
    flags = ("--pretrained", "True", "--templates", "clip", "--batch-size", "4", "--workers", "0", "--precision", "amp", "--device", "cpu")
    where = ("--save-name", "mine", "--save-path", tmp_path, "--datasets", folder)
    assert call("evaluation", "--model-name", band_model, *flags, *where) == 0
    (file,) = tmp_path.glob("mine_multispectral_*.csv")
    values = pd.read_csv(file, index_col="metric")["value"]
    assert values["images"] == 10 and 0 <= values["acc1"] <= 1
    assert str(file) in capsys.readouterr().out


def test_answers_saved_before_are_scored_as_the_model_is(
    call: Call, band_model: Path, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = chips / "test" / "multispectral"
    paths, names = sorted(folder.rglob("*.tif")), sorted(path.name for path in folder.iterdir())
    (tmp_path / "all.txt").write_text("\n".join(map(str, paths)))
    classify = ("--run-classification", "--class-names", *names, "--templates", "clip", "--save-path", tmp_path / "answers")
    assert call("inference", "--model-name", band_model, "--images", tmp_path / "all.txt", *classify) == 0
    assert call("evaluation", "--answers", tmp_path / "answers.csv", "--truth", folder, "--save-path", tmp_path) == 0
    whole = ("--model-name", band_model, "--save-name", "model", "--templates", "clip", "--datasets", folder, "--save-path", tmp_path)
    assert call("evaluation", *whole) == 0
    saved, model = (pd.read_csv(next(tmp_path.glob(f"{name}_*.csv")), index_col="metric")["value"] for name in ("answers", "model"))
    assert saved["acc1"] == model["acc1"] and saved["images"] == model["images"] == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--answers", "a.csv"], "--answers and --truth belong together"),
        (["--model-name", "a", "b", "--save-name", "c"], "a --save-name for each model"),
        (["--model-name", "a", "b", "--ckpt-path", "c"], "--ckpt-path with one model alone"),
        (["--datasets", "EuroSATMS"], "did you mean 'EuroSAT_MS'"),
        (["--precision", "half"], "choices: amp, fp32"),
        (["--save-name", "a/b"], "is no name of a file"),
    ],
)
def test_wrong_calls_write_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("evaluation", *arguments) == 1
    assert message in capsys.readouterr().err.replace("Did", "did") and not list(tmp_path.iterdir())
