"""`eo new-dataset`: its options, what it says, and its exit status."""

from pathlib import Path

import pytest
from own_chips import make_chips

from eocore.commands.new_dataset import COMMAND, read_fractions
from eocore.errors import ConfigError


def test_it_says_what_it_guessed_and_where_the_report_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_chips(tmp_path)
    with (tmp_path / "captions.csv").open("a") as file:
        file.write("rgb/gone.tif,nothing\n")
    words = [str(tmp_path / "captions.csv"), "--out", str(tmp_path / "own.yaml"), "--workers", "0"]
    assert COMMAND([*words, "--split", "50,0,50", "--question", "What is it?"]) == 0
    said = capsys.readouterr().out
    assert "guessed: learns caption; columns: caption = caption, image = image (image)" in said
    assert f"skipped: {tmp_path}/captions.csv:14: no image 'rgb/gone.tif'" in said and "skipped: 1 rows and files in all" in said
    assert "own.yaml: train 6 records of 3 places, test 6 records of 3 places" in said
    assert (tmp_path / "own" / "data_check" / "report.html").is_file() and "What is it?" in (
        tmp_path / "own/train/captions.json"
    ).read_text()
    assert COMMAND(words) == 1
    assert "is there already. Replace it with --overwrite" in capsys.readouterr().err


def test_options_of_another_form_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND([str(tmp_path), "--out", "x.yaml", "--sensor", "s1"]) == 1
    assert "--sensor s1: expected GROUP=VALUE, such as --sensor s1=sentinel1_grd" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["80,20", "80,10,20", "a,b,c", "0,50,50", "-10,60,50"])
def test_other_shares_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected three shares that add up to 100"):
        read_fractions(text)


def test_shares() -> None:
    assert read_fractions("70, 0, 30") == (0.7, 0.0, 0.3)
