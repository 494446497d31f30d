"""What the command refuses before weights are read."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from earthmind_models import make_config, make_fields, make_tiny, make_tokenizer, our_folder  # noqa: F401  (fixtures)

from eocore.commands import needle_test
from eocore.errors import ConfigError, OutputError


def parsed(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    needle_test.COMMAND.add_arguments(parser)
    return parser.parse_args(list(map(str, words)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--questions", "q"], "--questions needs --haystack VIDEO"),
        (
            ["--questions", "q", "--haystack", "a.mp4", "--of", "dates", "--samples", "4"],
            "brings its own needles: leave --of, --samples out",
        ),
    ],
)
def test_options_that_do_not_go_together(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        needle_test.COMMAND.run(parsed("MODEL", *words))
    assert message in capsys.readouterr().err


def test_an_out_that_cannot_be_written_is_refused_before_the_model_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"the report cannot be written: a file is in the place of a folder\. Nothing was done yet"):
        needle_test.COMMAND.run(parsed(tmp_path / "no_model", "--out", tmp_path / "file" / "out"))


def test_lengths_without_positions_are_refused_before_weights_are_read(
    our_folder: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*arguments: object, **choices: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr("earthmind.predictor.load_model", never)
    with pytest.raises(ConfigError, match=r"--lengths 100000: 100,000 tiles are more than the 63 whose tokens"):
        needle_test.COMMAND.run(parsed(our_folder, "--lengths", "4,100000", "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_signs_on_dates_are_asked_for_and_reported(
    command: Callable[..., tuple[int, str]],
    our_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    choices = ["--of", "dates", "--lengths", "2,3", "--depths", "0,1", "--ratios", "1,4", "--methods", "pool", "--samples", 2]
    status, printed = command("needle_test", our_folder, *choices, "--device", "cpu", "--out", tmp_path / "out")
    assert status == 0 and "2 dates" in printed and "mean pooling, ratio 4" in printed
    assert "on one of the dates of a series, 2 of each length and depth" in (tmp_path / "out/report.html").read_text()
