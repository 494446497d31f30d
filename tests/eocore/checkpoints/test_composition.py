"""Sources are put together in order, and whatever does not fit stops with the table."""

import pytest
import torch

from eocore.checkpoints.composition import MAPPED, NEW, UNUSED, Row, compose
from eocore.checkpoints.key_map import Mapped
from eocore.checkpoints.weight_files import Header, LazyTensor
from eocore.errors import CheckpointError


def header(*shape: int) -> Header:
    return Header(shape, torch.float32)


def lazy(*shape: int) -> LazyTensor:
    return LazyTensor(header(*shape), lambda: torch.zeros(shape))


WANTED = {"tower.a": header(2, 3), "tower.b": header(4), "head.c": header(5)}


def test_a_whole_model_says_what_became_of_everything() -> None:
    base = Mapped("base", {"tower.a": lazy(2, 3), "tower.b": lazy(4)}, unused={"memory": {"m": header(7)}})
    made = compose([base], WANTED, new=["head"])
    made.require_whole()
    assert list(made.state) == ["tower.a", "tower.b"]
    assert made.rows() == [Row(MAPPED, "tower", "base", 2, 10), Row(NEW, "head", "", 1, 5), Row(UNUSED, "memory", "base", 1, 7)]


def test_a_later_source_takes_the_place_of_an_earlier_one() -> None:
    base = Mapped("base", {"tower.a": lazy(2, 3), "tower.b": lazy(4), "head.c": lazy(5)})
    made = compose([base, Mapped("trained", {"tower.b": lazy(4)})], WANTED)
    made.require_whole()
    assert made.origins == {"tower.a": "base", "tower.b": "trained", "head.c": "base"}
    assert Row(UNUSED, "replaced by trained", "base", 1, 4) in made.rows()


def test_all_that_does_not_fit_is_listed_with_the_table() -> None:
    given = {"tower.a": lazy(3, 2), "tower.layers.0.x": lazy(1), "tower.layers.1.x": lazy(1)}
    made = compose([Mapped("base", given, unexpected={"odd": header(9)})], WANTED)
    with pytest.raises(CheckpointError) as caught:
        made.require_whole()
    text = str(caught.value)
    assert "1 of another shape, 3 unexpected, 2 missing. Nothing was written." in text
    assert "other shape: tower.a is [3, 2], the model has [2, 3]" in text
    assert "unexpected: tower.layers.#.x [1] (2 times)" in text
    assert "missing: head.c [5]" in text
    assert made.table() in text


def test_only_what_may_be_new_is_new() -> None:
    made = compose([Mapped("base", {"tower.a": lazy(2, 3), "head.c": lazy(5)})], WANTED, new=["head"])
    assert made.missing == {"tower.b": header(4)}
    assert not made.new
