"""The command line of `eo evaluate run`."""

import argparse
from pathlib import Path

import pytest

from eocore.commands.predict import add_image_options
from eocore.errors import ConfigError
from eocore.evaluate.commands.run import _options, add_arguments, run
from eocore.evaluate.protocols import TEMPLATES


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--benchmark", ["custom:vqa:a.jsonl", "custom:referring:b.jsonl", "rrsisd"]),
        ("--settings", ["optical", "sar"]),
        ("--prompt", ["rrsisd=Segment {phrase}.", "custom_vqa_a={question}"]),
    ],
)
def test_an_option_given_twice_counts_twice(option: str, values: list[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["--model", "M", option, values[0], option, *values[1:]])
    assert getattr(given, option.removeprefix("--")) == values
    assert getattr(parser.parse_args(["--model", "M"]), option.removeprefix("--")) == []


def test_templates_given_twice_make_one_ensemble_and_none_the_default() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["--model", "M", "--templates", "a {label}", "--templates", "the {label}", "{label}"])
    assert _options(given, "s", boxes_by_masks=False).templates == ["a {label}", "the {label}", "{label}"]
    plain = _options(parser.parse_args(["--model", "M"]), "s", boxes_by_masks=False)
    assert (plain.templates, plain.batch_size, plain.data_root) == (TEMPLATES, 8, "data")


@pytest.mark.parametrize("option", [["--templates", "a {label}"], ["--batch-size", "2"], ["--data-root", "data"]])
def test_what_a_config_states_is_refused_beside_it(option: list[str], tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(ConfigError, match=rf"so {option[0]} would be ignored"):
        run(parser.parse_args(["--model", str(tmp_path), "--config", "c.py", *option]))


def test_options_of_images_given_twice_count_twice() -> None:
    parser = argparse.ArgumentParser()
    add_image_options(parser)
    given = parser.parse_args(
        ["--sensor", "optical=sentinel2_l1c", "--sensor", "sar=sentinel1_rtc_linear", "--sar", "vv.tif", "--sar", "vh.tif"]
    )
    assert given.sensor == ["optical=sentinel2_l1c", "sar=sentinel1_rtc_linear"]
    assert given.sar == ["vv.tif", "vh.tif"]
