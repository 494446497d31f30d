"""Each difference is one line that names the option, the old and the new value."""

import copy
from typing import Any

import pytest

from eocore.train.checkpoint.differences import compare, content_differences


def lines(then: Any, now: Any, **defaults: Any) -> list[str]:
    return [line for _, line in compare(then, now, defaults={path.replace("__", "."): value for path, value in defaults.items()})]


class TestOptions:
    @pytest.mark.parametrize(
        ("then", "now", "expected"),
        [
            ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b: 1 then, 2 now"]),
            ({"a": [1, 2]}, {"a": (1, 2)}, []),
            ({"a": 1}, {"a": 1.0}, []),
            ({"a": [1, 2]}, {"a": [2, 1]}, ["a: [1, 2] then, [2, 1] now"]),
            ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 3}]}, ["a.1.b: 2 then, 3 now"]),
            ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}]}, ["a: 2 entries then, 1 now"]),
            ({"a": {"type": "X", "b": 1}}, {"a": {"type": "Y", "c": 1}}, ["a.type: X then, Y now"]),
            ({"a": None}, {"a": {"rank": 4}}, ["a: None then, {'rank': 4} now"]),
            ({"a": 1}, {}, ["a: 1 then, nothing now"]),
            ({"a": None}, {}, []),
        ],
    )
    def test_old_and_new_value_are_told(self, then: Any, now: Any, expected: list[str]) -> None:
        assert lines(then, now) == expected

    def test_an_option_of_a_newer_version_is_no_difference_at_its_default(self) -> None:
        assert lines({"a": {}}, {"a": {"new": 3}}, a__new=3) == []
        assert lines({}, {"a": {"new": 3}}, a__new=3) == []
        assert lines({"a": {}}, {"a": {"new": 4}}, a__new=3) == ["a.new: nothing then, 4 now"]

    def test_a_default_that_changed_between_versions_is_one(self) -> None:
        assert lines({"a": 3}, {"a": 4}, a=4) == ["a: 3 then, 4 now"]

    def test_long_values_are_shortened_and_told_apart_by_a_digest(self) -> None:
        (line,) = lines({"a": "x" * 500 + "1"}, {"a": "x" * 500 + "2"})
        assert len(line) < 350
        then, now = line.split(" then, ")
        assert "(501 characters, sha256 " in then and then.removeprefix("a: ") != now.removesuffix(" now")


def dataset(name: str, mark: str, records: int = 10) -> dict[str, Any]:
    return {
        "name": name,
        "files": [{"name": f"{name}.json", "sha256": mark * 64}],
        "records": records,
        "left_out": 0,
        "content": mark * 64,
        "images": mark * 64,
    }


class TestContent:
    then: dict[str, Any] = {"samples": 20, "datasets": [dataset("a", "1"), dataset("b", "2"), dataset("c", "3")]}  # noqa: RUF012

    def changed(self, **entries: Any) -> list[str]:
        now = copy.deepcopy(self.then)
        now["datasets"][1].update(entries)
        return content_differences(self.then, now)

    def test_equal_content_under_other_names_is_no_difference(self) -> None:
        assert self.changed(name="other", files=[{"name": "moved.json", "sha256": "2" * 64}]) == []

    def test_an_edited_file_is_named_with_both_digests(self) -> None:
        found = self.changed(files=[{"name": "b.json", "sha256": "9" * 64}], content="9" * 64, images="9" * 64)
        assert found == ["data set 'b': b.json (sha256) 222222222222 then, 999999999999 now"]

    def test_a_shortened_file_tells_its_numbers(self) -> None:
        found = self.changed(files=[{"name": "b.json", "sha256": "9" * 64}], records=5)
        assert found[0] == "data set 'b': 10 records then, 5 now" and len(found) == 2

    @pytest.mark.parametrize(
        ("entries", "expected"),
        [
            ({"left_out": 2}, "data set 'b': 0 broken entries left out then, 2 now"),
            ({"content": "9" * 64}, "data set 'b': its records as parsed (sha256) 222222222222 then, 999999999999 now"),
            ({"images": "9" * 64}, "data set 'b': names and sizes of image files (sha256) 222222222222 then, 999999999999 now"),
            (
                {"files": [{"name": "b.json", "sha256": "2" * 64}, {"name": "i.json", "sha256": "4" * 64}]},
                "data set 'b': 1 annotation files then, 2 now",
            ),
        ],
    )
    def test_whatever_else_differs_is_told(self, entries: dict[str, Any], expected: str) -> None:
        assert self.changed(**entries) == [expected]

    def test_a_data_set_that_is_gone_or_new_is_named(self) -> None:
        a, b, c = self.then["datasets"]
        found = content_differences(self.then, {"samples": 20, "datasets": [a, c]})
        assert found == ["data set 'b': 10 records of b.json then, gone or moved now"]
        found = content_differences({"samples": 20, "datasets": [a, c]}, self.then)
        assert found == ["data set 'b': not at this position then, 10 records of b.json now"]
        swapped = content_differences(self.then, {"samples": 20, "datasets": [b, a, c]})
        assert len(swapped) == 2 and "gone or moved now" in " ".join(swapped)

    def test_another_number_of_draws_is_told(self) -> None:
        assert content_differences(self.then, {**self.then, "samples": 30}) == ["samples of an epoch: 20 then, 30 now"]
