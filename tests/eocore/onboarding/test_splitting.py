"""Splits by place: shares, seeds, columns of the table, and too few places."""

from typing import Any

import pytest

from eocore.errors import AnnotationError, ConfigError
from eocore.onboarding.choices import DatasetChoices, Findings
from eocore.onboarding.splitting import describe_splits, read_splits, split_places


def split(counts: dict[str, int], **choices: Any) -> dict[str, str]:
    return split_places(counts, DatasetChoices(**choices))


def test_shares_of_records_are_kept_as_places_allow() -> None:
    counts = {f"p{number:03d}": 1 + number % 5 for number in range(100)}
    found = split(counts)
    total = sum(counts.values())
    share = {name: sum(counts[place] for place in counts if found[place] == name) / total for name in ("train", "val", "test")}
    assert share == pytest.approx({"train": 0.8, "val": 0.1, "test": 0.1}, abs=0.02)
    assert split(counts) == found and split(counts, seed=1) != found


@pytest.mark.parametrize("counts", [{"a": 90, "b": 5, "c": 1}, {"a": 1, "b": 1, "c": 1}, dict.fromkeys("abcd", 7)])
def test_each_split_gets_a_place(counts: dict[str, int]) -> None:
    assert set(split(counts).values()) == {"train", "val", "test"}


def test_too_few_places_are_refused_and_fewer_splits_allowed() -> None:
    with pytest.raises(
        ConfigError, match=r"2 places cannot be split into train, val, test.*--split 50,0,50.*--group-by name.*--place-column"
    ):
        split({"a": 5, "b": 5})
    assert sorted(split({"a": 5, "b": 5}, fractions=(0.5, 0.0, 0.5)).values()) == ["test", "train"]


def test_a_column_of_splits_is_followed_unless_a_place_stands_in_two() -> None:
    findings = Findings()
    assert read_splits([("a", "Training", "t:2"), ("b", "dev", "t:3"), ("a", "train", "t:4")], findings) == {"a": "train", "b": "val"}
    assert findings.guessed == ["splits: as the table says (train 1 places, val 1 places, test 0 places)"]
    with pytest.raises(AnnotationError, match=r"t:4: in test, but t:2, of the same place, is in train.*split anew by place"):
        read_splits([("a", "train", "t:2"), ("a", "test", "t:4")], findings)
    with pytest.raises(AnnotationError, match=r"t:2: split 'fold1'; expected one of train, training"):
        read_splits([("a", "fold1", "t:2")], findings)
    with pytest.raises(ConfigError, match="puts nothing into train"):
        read_splits([("a", "test", "t:2")], findings)


def test_a_line_about_the_splits() -> None:
    assert describe_splits({"a": "train", "b": "test"}, {"a": 3, "b": 1}) == "train 3 records of 1 place, test 1 records of 1 place"
