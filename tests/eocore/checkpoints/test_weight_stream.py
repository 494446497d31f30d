"""What is written tensor by tensor reads back bit by bit, in one file or in shards."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from eocore.checkpoints.weight_files import DTYPES, Header, LazyTensor, open_weights
from eocore.checkpoints.weight_stream import write_file, write_weights
from eocore.errors import CheckpointError


def lazy(tensor: Tensor) -> LazyTensor:
    return LazyTensor(Header(tuple(tensor.shape), tensor.dtype), lambda: tensor)


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Every type, a scalar, an empty one, one that is not contiguous and a view of a larger one."""
    many = {f"type.{name}": torch.arange(1, 7).reshape(2, 3).to(dtype) for name, dtype in DTYPES.items()}
    base = torch.randn(4, 6)
    return {**many, "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "turned": base.T, "part": base[1:3]}


def test_one_file_reads_back_bit_by_bit(tmp_path: Path, state: dict[str, Tensor]) -> None:
    write_weights(tmp_path, {name: lazy(tensor) for name, tensor in state.items()})
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == state.keys()
    assert all(found[name].dtype == state[name].dtype and torch.equal(found[name], state[name]) for name in state)


def test_shards_hold_no_more_than_the_limit_and_have_an_index(tmp_path: Path) -> None:
    state = {f"layer.{number}": torch.randn(100) for number in range(7)}
    write_weights(tmp_path, {name: lazy(tensor) for name, tensor in state.items()}, max_shard_size="1KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 2800
    assert sorted(set(index["weight_map"].values())) == [f"model-{number:05d}-of-00004.safetensors" for number in (1, 2, 3, 4)]
    weights = open_weights(tmp_path)
    assert all(torch.equal(weights.read(name), tensor) for name, tensor in state.items())


def test_a_tensor_larger_than_the_limit_has_a_file_of_its_own(tmp_path: Path) -> None:
    write_weights(tmp_path, {name: lazy(torch.randn(400)) for name in "ab"}, max_shard_size="1KB")
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_a_tensor_that_is_not_what_its_header_says_stops_the_writing(tmp_path: Path) -> None:
    wrong = LazyTensor(Header((3,), torch.float32), lambda: torch.zeros(4))
    with pytest.raises(CheckpointError, match=r"a is \[4\] torch\.float32, its header says \[3\]"):
        write_file(tmp_path / "model.safetensors", {"a": wrong})


def test_a_size_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="largest weight file '5 gigabytes' is no size"):
        write_weights(tmp_path, {}, max_shard_size="5 gigabytes")
