"""The command line of `eo evaluate run`."""

import argparse

import pytest

from eocore.commands.predict import add_image_options
from eocore.evaluate.commands.run import add_arguments


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


def test_options_of_images_given_twice_count_twice() -> None:
    parser = argparse.ArgumentParser()
    add_image_options(parser)
    given = parser.parse_args(
        ["--sensor", "optical=sentinel2_l1c", "--sensor", "sar=sentinel1_rtc_linear", "--sar", "vv.tif", "--sar", "vh.tif"]
    )
    assert given.sensor == ["optical=sentinel2_l1c", "sar=sentinel1_rtc_linear"]
    assert given.sar == ["vv.tif", "vh.tif"]
