"""Defaults are filled in from signatures, exceptions are what classes name themselves."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from eocore.registry import TRANSFORMS
from eocore.resolve import Resolved, plain, resolve, resolve_instance
from eocore.train.checkpoint.differences import compare


@dataclass(frozen=True, kw_only=True)
class Part:
    uncompared: ClassVar[Mapping[str, str]] = {"name": "in messages"}
    size: int = 3
    name: str = ""
    marks: dict[str, float] = field(default_factory=lambda: {"a": 0.5})


class Whole:
    uncompared: ClassVar[Mapping[str, str]] = {"root": "content counts"}
    sections: ClassVar[Mapping[str, Callable[..., Any]]] = {"parts.*": Part, "by_name.*": Part, "main": Part}

    def __init__(self, *, root: str = "", limit: int | None = None, parts: Any = (), by_name: Any = None, main: Any = None) -> None:
        pass


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    TRANSFORMS.register_module(name="WholeForTests", module=Whole)
    yield
    TRANSFORMS.module_dict.pop("WholeForTests")


def test_an_option_given_at_its_default_is_none_at_all() -> None:
    short = resolve({"type": "WholeForTests", "parts": [{}, {"size": 4}]})
    long = {"type": "WholeForTests", "limit": None, "parts": ({"size": 3, "marks": {"a": 0.5}}, {"size": 4})}
    assert short.values == resolve(long).values
    assert short.values["parts"] == [{"size": 3, "marks": {"a": 0.5}}, {"size": 4, "marks": {"a": 0.5}}]


def test_the_default_of_every_option_is_told_by_its_path() -> None:
    found = resolve({"inner": [{"type": "WholeForTests", "limit": 5, "by_name": {"x": {"size": 9}}, "main": {}}]})
    assert found.values["inner"][0]["limit"] == 5
    assert found.defaults["inner.0.limit"] is None
    assert found.defaults["inner.0.by_name.x.size"] == found.defaults["inner.0.main.size"] == 3
    assert found.defaults["inner.0.main.marks"] == {"a": 0.5}


def test_the_order_of_named_parts_counts_unless_an_older_version_recorded_none() -> None:
    first, second = ({"type": "WholeForTests", "by_name": {name: {} for name in names}} for names in ("ab", "ba"))
    then, now = resolve(first), resolve(second)
    assert [path for path, _ in compare(then.values, now.values, defaults=now.defaults)] == ["by_name.a.position", "by_name.b.position"]
    older = {**then.values, "by_name": {name: {"size": 3, "marks": {"a": 0.5}} for name in "ab"}}
    assert not list(compare(older, now.values, defaults=now.defaults))


def test_what_a_class_leaves_out_is_left_out_and_what_it_does_not_know_stays() -> None:
    found = resolve({"type": "WholeForTests", "root": "/a", "new": 1, "main": {"name": "x"}})
    assert "root" not in found.values and "root" not in found.defaults and "name" not in found.values["main"]
    assert found.values["new"] == 1


def test_a_mapping_of_no_known_type_stays_as_it_is() -> None:
    assert resolve({"type": "NobodyRegistered", "a": (1, 2)}) == Resolved({"type": "NobodyRegistered", "a": [1, 2]})


def test_an_options_instance_is_resolved_by_its_fields() -> None:
    found = resolve_instance(Part(size=7, name="x"))
    assert found.values == {"size": 7, "marks": {"a": 0.5}}
    assert found.defaults == {"size": 3, "marks": {"a": 0.5}}


def test_values_come_as_json_gives_them_back() -> None:
    value = {"a": (1, 2.5), 3: {"z", "b"}, "path": Path("/x"), "call": plain, "kind": Part, "object": Part(), "none": None, "yes": True}
    assert json.loads(json.dumps(plain(value))) == plain(value)
    assert plain(value) == {
        "a": [1, 2.5], "3": ["b", "z"], "path": "/x", "call": "plain", "kind": "Part", "object": "Part", "none": None, "yes": True,
    }  # fmt: skip
