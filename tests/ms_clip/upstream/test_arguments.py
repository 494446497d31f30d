"""What upstream's command lines share: words for truth, layers, how files are read."""

import argparse
from pathlib import Path

import pytest

from eocore.errors import ConfigError
from ms_clip.upstream.arguments import add_model, bands_of, load_named, reading_of, truth


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_model(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(("word", "value"), [("True", True), ("1", True), ("yes", True), ("FALSE", False), ("0", False), ("no", False)])
def test_truth_is_a_word(word: str, value: bool) -> None:
    assert truth(word) is value and parsed("--pretrained", word).pretrained is value


def test_other_words_end_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--pretrained", "maybe")
    assert "'maybe': expected True or False" in capsys.readouterr().err


def test_files_are_read_as_the_arguments_say() -> None:
    plain, told = (
        parsed(),
        parsed("--bands", "optical=B04, B03,-,", "--sensor", "optical=sentinel2_l1c", "--batch-size", "3", "--skip-broken"),
    )
    assert (plain.model_name, plain.pretrained, bands_of(plain)) == ("Llama3-MS-CLIP-Base", True, ())
    reading = reading_of(told)
    assert (reading.sensor, reading.bands, reading.batch_size, reading.skip_broken) == ("sentinel2_l1c", ("B04", "B03", "-"), 3, True)
    with pytest.raises(ConfigError, match="batch size is 0"):
        reading_of(parsed("--batch-size", "0"))


def test_the_named_model_is_loaded_with_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no size 'RN50'"):
        load_named(parsed("--model-name", "RN50", "--pretrained", "no", "--tokenizer", "words"))
    with pytest.raises(ConfigError, match="pretrained/llama3-ms-clip is not there"):
        load_named(parsed())
