"""Values of configs against the types of options: what fits, what does not, and where inside it stands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from eocore.data import registered as _registered  # noqa: F401  (registers what configs name)
from eocore.errors import ConfigError
from eocore.option_types import annotations_of, check_option
from eocore.registry import DATASETS, HOOKS, TRANSFORMS, options_of
from eocore.train import hooks as _hooks  # noqa: F401  (registers the hooks)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3, int),
        (3, float),
        (0.5, float),
        ("a", str),
        (True, bool),
        (None, int | None),
        ([0.9, 0.99], tuple[float, float]),
        (("a", "b"), Sequence[str]),
        ({"a": {"b": 1}}, Mapping[str, Mapping[str, int]]),
        ("image", Literal["image", "region"]),
        ("x/y", Path),
        ([1, "a", {}], Any),
        (5, Callable[[int], int]),
    ],
)
def test_what_fits_passes(value: Any, annotation: Any) -> None:
    check_option("training.x", value, annotation=annotation)


@pytest.mark.parametrize(
    ("value", "annotation", "said"),
    [
        ("ten", int, r"training\.x is 'ten' \(a text\); expected a whole number\. Correct it\."),
        (1.5, int, r"training\.x is 1\.5 \(a number\); expected a whole number"),
        (True, int, r"is True \(bool\); expected a whole number"),
        (float("inf"), float, r"is inf \(a number\); expected a number, such as 1e-4"),
        (float("nan"), float, r"is nan \(a number\); expected a number, such as 1e-4"),
        (["a"], str, r"is \['a'\] \(a list\); expected a text"),
        ("no", bool, r"expected True or False"),
        ("a", int | None, r"expected a whole number or None"),
        ([1], Mapping[str, Any], r"is \[1\] \(a list\); expected keys with values"),
        ("abc", Sequence[str], r"is 'abc' \(a text\); expected a list, each entry a text"),
        ([0.9], tuple[float, float], r"expected a list of 2: a number, such as 1e-4, a number"),
        (["a", 2], Sequence[str], r"training\.x\.1 is 2 \(a whole number\); expected a text"),
        ({"a": {"b": "c"}}, Mapping[str, Mapping[str, int]], r"training\.x\.a\.b is 'c'"),
        ({"a": [1]}, Mapping[str, int] | None, r"training\.x\.a is \[1\]"),
        ("pixel", Literal["image", "region"], r"expected one of 'image', 'region'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(value: Any, annotation: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_option("training.x", value, annotation=annotation)


@dataclass
class _Options:
    count: int
    names: "Sequence[str]" = ()


def test_annotations_of_classes_functions_and_dataclasses() -> None:
    class Plain:
        def __init__(self, *, size: float, label: "str | None" = None) -> None: ...

    assert annotations_of(_Options) == {"count": int, "names": Sequence[str]}
    assert annotations_of(Plain)["size"] is float and annotations_of(Plain)["label"] == str | None


def test_the_types_of_all_that_configs_build_are_known() -> None:
    for registry in (DATASETS, TRANSFORMS, HOOKS):
        for name, factory in registry.module_dict.items():
            assert annotations_of(options_of(factory)) or name in ("LossCurveHook", "AerithImageAlone", "ReverseSeries"), name
