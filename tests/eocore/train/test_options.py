"""Groups of a task's options: one flat section, each key in exactly one group, checked where it is read."""

import dataclasses
import inspect
import itertools
from typing import Any

import pytest

from eocore.config import read_options
from eocore.errors import ConfigError
from eocore.registry import TASKS
from eocore.resolve import declared, resolve
from eocore.train.checkpoint.allowable import ALLOWABLE
from eocore.train.options import GROUPS, DataOptions, ModelOptions, TrainabilityOptions, VisionCacheOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class AllOptions(ModelOptions, DataOptions, TrainabilityOptions, VisionCacheOptions):
    """As a system has them."""


def names(group: type) -> set[str]:
    return {field.name for field in dataclasses.fields(group)}  # type: ignore[arg-type]


def test_each_key_stands_in_exactly_one_group() -> None:
    assert all(not names(one) & names(other) for one, other in itertools.combinations(GROUPS, 2))
    assert names(AllOptions) == set().union(*map(names, GROUPS))


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_said_of_options_is_said_of_those_beside_it(group: Any) -> None:
    assert set(group.uncompared) <= names(group)
    assert set(group.option_kinds) - {"attention"} <= names(group)
    assert set(group.option_kinds.values()) <= set(ALLOWABLE)


def test_a_combination_declares_what_its_groups_do() -> None:
    found = declared(AllOptions, "uncompared")
    assert set(found) == {"num_workers", "prefetch", "batch_size", "trainable", "gradient_checkpointing", "vision_cache"}
    assert declared(AllOptions, "option_kinds")["packing"] == "data"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batchsize": 2}, r"config section 'task' has no option 'batchsize'\. Did you mean 'batch_size'"),
        ({"prefetch": 0}, r"task\.prefetch is 0; expected a whole number of batches of at least 1"),
        ({"num_workers": -1}, r"task\.num_workers is -1; expected a whole number of at least 0"),
        ({"max_length": 0}, r"task\.max_length is 0; expected a whole number of at least 1"),
        ({"model": 3}, r"task\.model is 3 \(a whole number\); expected keys with values"),
        ({"packing": {}, "batch_size": 2}, r"task\.packing decides which samples share a row: leave batch_size at 1"),
        ({"packing": {}, "row_length": 90}, r"task\.packing decides which samples share a row: leave batch_size at 1 and row_length out"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_options(AllOptions, {"model": {}, "tokenizer": {}, "processor": {}, **options}, name="task")


class Grouped:
    """A registered class whose arguments its options name."""

    options_class = AllOptions

    def __init__(self, **options: Any) -> None:
        self.options = read_options(AllOptions, options, name="task")


def test_the_registry_and_the_record_see_the_flat_options() -> None:
    TASKS.register_module(module=Grouped, force=True)
    try:
        given = {"type": "Grouped", "model": {}, "tokenizer": {}, "processor": {}, "batch_size": 3}
        assert TASKS.build(given).options.batch_size == 3
        with pytest.raises(ConfigError, match=r"Grouped has no argument 'trainabel'\. Did you mean 'trainable'"):
            TASKS.build({**given, "trainabel": []})
        resolved = resolve(given)
        assert "batch_size" not in resolved.values and resolved.values["max_length"] == 8192
        assert resolved.defaults["length_window"] == inspect.signature(AllOptions).parameters["length_window"].default
    finally:
        TASKS.module_dict.pop("Grouped")
