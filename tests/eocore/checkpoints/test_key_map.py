"""Rules rename, split, join and copy, both ways; what no rule knows is kept apart; what cannot be done is said."""

import pytest
import torch
from torch import Tensor, nn

from eocore.checkpoints.key_map import KeyMap, Mapped, copy, join, our_headers, rename, split, unused
from eocore.checkpoints.weight_files import Header, LazyTensor
from eocore.errors import CheckpointError, ConfigError

RULES = [
    rename("blocks.{i}.fc.{leaf}", "layers.{i}.linear.{leaf}"),
    split("blocks.{i}.qkv", ["layers.{i}.q", "layers.{i}.k", "layers.{i}.v"]),
    join(["point.0", "point.1"], "points"),
    copy("grid", ["here.grid", "there.grid"]),
    unused("memory.{rest}", "video memory"),
]


def lazy(tensor: Tensor) -> LazyTensor:
    return LazyTensor(Header(tuple(tensor.shape), tensor.dtype), lambda: tensor)


def applied(key_map: KeyMap, tensors: dict[str, Tensor]) -> Mapped:
    return key_map.apply_tensors({name: lazy(tensor) for name, tensor in tensors.items()}, origin="a test")


def values(mapped: Mapped) -> dict[str, Tensor]:
    read = {name: tensor.read() for name, tensor in mapped.tensors.items()}
    assert {name: (tuple(value.shape), value.dtype) for name, value in read.items()} == {
        name: (tensor.header.shape, tensor.header.dtype) for name, tensor in mapped.tensors.items()
    }
    return read


@pytest.fixture
def foreign() -> dict[str, Tensor]:
    return {
        "blocks.11.fc.weight": torch.randn(4, 3),
        "blocks.11.qkv": torch.randn(6, 3),
        "point.1": torch.randn(1, 5),
        "point.0": torch.randn(2, 5),
        "grid": torch.randn(2, 2),
        "memory.deep.down.weight": torch.randn(3),
        "blocks.x.fc.weight": torch.randn(1),
        "blocks.1.fc.scale": torch.randn(1),
    }


def test_every_rule_does_what_it_says(foreign: dict[str, Tensor]) -> None:
    mapped = applied(KeyMap("ours", RULES), foreign)
    found = values(mapped)
    assert torch.equal(found["layers.11.linear.weight"], foreign["blocks.11.fc.weight"])
    assert torch.equal(torch.cat([found[f"layers.11.{part}"] for part in "qkv"]), foreign["blocks.11.qkv"])
    assert torch.equal(found["points"], torch.cat([foreign["point.0"], foreign["point.1"]]))
    assert torch.equal(found["here.grid"], foreign["grid"])
    assert torch.equal(found["there.grid"], foreign["grid"])
    assert len(found) == 7


def test_what_is_not_used_is_named_and_what_no_rule_knows_kept_apart(foreign: dict[str, Tensor]) -> None:
    mapped = applied(KeyMap("ours", RULES), foreign)
    assert mapped.unused == {"video memory": {"memory.deep.down.weight": Header((3,), torch.float32)}}
    assert sorted(mapped.unexpected) == ["blocks.1.fc.scale", "blocks.x.fc.weight"]


def test_there_and_back_is_bit_exact(foreign: dict[str, Tensor]) -> None:
    key_map = KeyMap("ours", RULES)
    known = {name: foreign[name] for name in ("blocks.11.fc.weight", "blocks.11.qkv", "point.0", "point.1", "grid")}
    known["point.0"] = known["point.0"][:1]
    back = applied(key_map.reversed(), values(applied(key_map, known)))
    assert not back.unexpected
    assert list(back.unused) == ["copy of here.grid"]
    found = values(back)
    assert found.keys() == known.keys()
    assert all(torch.equal(found[name], known[name]) for name in known)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    def never() -> Tensor:
        raise AssertionError("read")

    mapped = KeyMap("ours", RULES).apply_tensors({"blocks.0.qkv": LazyTensor(Header((9, 2), torch.bfloat16), never)}, origin="a test")
    assert mapped.tensors["layers.0.k"].header == Header((3, 2), torch.bfloat16)


def test_uneven_pieces_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"blocks\.0\.qkv has shape \[7, 3\].*3 equal pieces"):
        applied(KeyMap("ours", RULES), {"blocks.0.qkv": torch.zeros(7, 3)})


def test_a_missing_piece_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"points is joined from 2 tensors, of which point\.1 are not there; found point\.0"):
        applied(KeyMap("ours", RULES), {"point.0": torch.zeros(1, 3)})


def test_pieces_that_do_not_fit_are_shown() -> None:
    with pytest.raises(CheckpointError, match=r"point\.0 \[1, 3\], point\.1 \[1, 4\], which do not fit"):
        applied(KeyMap("ours", RULES), {"point.0": torch.zeros(1, 3), "point.1": torch.zeros(1, 4)})


def test_two_tensors_of_one_name_are_refused() -> None:
    key_map = KeyMap("ours", [rename("old", "new"), rename("older", "new")])
    with pytest.raises(CheckpointError, match="two of its tensors mean our new"):
        applied(key_map, {"old": torch.zeros(1), "older": torch.zeros(1)})


def test_a_placeholder_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"placeholder number; choices: i, j"):
        KeyMap("ours", [rename("a.{number}", "b.{number}")])


def test_placeholders_must_stand_on_both_sides() -> None:
    with pytest.raises(ConfigError, match="different placeholders"):
        KeyMap("ours", [rename("a.{i}", "b")])


def test_a_placeholder_that_stands_twice_means_one_text() -> None:
    key_map = KeyMap("ours", [rename("a.{i}.{i}", "b.{i}.{i}")])
    mapped = applied(key_map, {"a.1.1": torch.zeros(1), "a.1.2": torch.zeros(1)})
    assert list(mapped.tensors) == ["b.1.1"]
    assert list(mapped.unexpected) == ["a.1.2"]


def test_tied_parameters_count_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert our_headers(model) == {"0.weight": Header((3, 3), torch.float32)}
