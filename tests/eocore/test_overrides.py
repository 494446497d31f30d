"""Values of --cfg-options: Python's notation, words without quotes, and what cannot be read."""

import argparse
from typing import Any

import pytest

from eocore.overrides import OverrideAction, read_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("['[SEG]']", ["[SEG]"]),
        ('["[SEG]", "<p>"]', ["[SEG]", "<p>"]),
        ("['[SEG]', <p>]", ["[SEG]", "<p>"]),
        ("[SEG]", ["SEG"]),
        ("[]", []),
        ("[1, 2.5, -3]", [1, 2.5, -3]),
        ("1,2", [1, 2]),
        ("(0.9,0.95)", (0.9, 0.95)),
        ("rgb,sar", ["rgb", "sar"]),
        ("[rgb, sar]", ["rgb", "sar"]),
        ("[(rgb, 1), (sar, 2)]", [("rgb", 1), ("sar", 2)]),
        ("['a', 'b,c']", ["a", "b,c"]),
        ("'Hello, world'", "Hello, world"),
        ("Say what this is.", "Say what this is."),
        ("don't", "don't"),
        ("{'model.head': 0.5, 'b': {'c': [1, None]}}", {"model.head": 0.5, "b": {"c": [1, None]}}),
        ("None", None),
        ("true", True),
        ("False", False),
        ("-1", -1),
        ("1e-4", 1e-4),
        ("'7'", "7"),
        ("", ""),
        ("data/a_b-c.json", "data/a_b-c.json"),
        ("2024-1-1", "2024-1-1"),
        ("1+2j", "1+2j"),
        ("a=b", "a=b"),
        ("x.y", "x.y"),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = read_value(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("a=[1,2", "']' is missing"),
        ("a=1]", "']' closes no bracket"),
        ("a={b: 1}", "a dict that cannot be read"),
        ("a='x", "''' is missing"),
        ("training.max_iters", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
    ],
)
def test_what_cannot_be_read_says_how_to_write_it(word: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={})
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--cfg-options", word])
    assert caught.value.code == 2
    last = capsys.readouterr().err.rstrip().splitlines()[-1]
    assert f"--cfg-options {word}: " in last and told in last


def test_mentions_add_up_and_the_last_value_counts() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={})
    found = parser.parse_args(["--cfg-options", "a=1", "+b.c='x'", "--cfg-options", "a=2"]).cfg_options
    assert found == {"a": 2, "+b.c": "x"}
    assert parser.parse_args([]).cfg_options == {}
