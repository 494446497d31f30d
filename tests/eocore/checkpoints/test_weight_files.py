"""Weights of every kind of file, one at a time; each kind of damage has its message."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from eocore.checkpoints import weight_files
from eocore.checkpoints.weight_files import Header, open_weights
from eocore.errors import CheckpointError


@pytest.fixture
def state() -> dict[str, Tensor]:
    return {"a.weight": torch.randn(4, 3), "b": torch.randn(5).bfloat16(), "count": torch.tensor(3)}


def write_shards(folder: Path, state: dict[str, Tensor], suffix: str = ".safetensors") -> Path:
    """One file for each tensor and an index, as transformers writes them."""
    safe = suffix == ".safetensors"
    stem = "model" if safe else "pytorch_model"
    files = {name: f"{stem}-{number:05d}-of-{len(state):05d}{suffix}" for number, name in enumerate(state, 1)}
    folder.mkdir(exist_ok=True)
    for name, file in files.items():
        save_file({name: state[name]}, folder / file) if safe else torch.save({name: state[name]}, folder / file)
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return folder


def single(name: str) -> Callable[[Path, dict[str, Tensor]], Path]:
    def write(folder: Path, state: dict[str, Tensor]) -> Path:
        folder.mkdir()
        save_file(state, folder / name) if name.endswith(".safetensors") else torch.save(state, folder / name)
        return folder

    return write


def nested(key: str) -> Callable[[Path, dict[str, Tensor]], Path]:
    def write(folder: Path, state: dict[str, Tensor]) -> Path:
        torch.save({key: state, "epoch": 3}, folder.with_suffix(".pt"))
        return folder.with_suffix(".pt")

    return write


WRITERS = {
    "safetensors": single("model.safetensors"),
    "safetensors shards": write_shards,
    "bin": single("pytorch_model.bin"),
    "bin shards": lambda folder, state: write_shards(folder, state, ".bin"),
    **{key: nested(key) for key in weight_files.NESTED},
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_gives_headers_and_values(tmp_path: Path, state: dict[str, Tensor], kind: str) -> None:
    weights = open_weights(WRITERS[kind](tmp_path / "model", state))
    assert weights.headers == {name: Header(tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
    assert all(torch.equal(weights.lazy(name).read(), tensor) for name, tensor in state.items())


def test_values_stay_right_when_files_are_mapped_afresh(tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files, "MAPPED_BYTES", 1)
    weights = open_weights(write_shards(tmp_path / "model", state))
    first = {name: weights.read(name) for name in state}
    assert all(torch.equal(weights.read(name), tensor) and torch.equal(first[name], tensor) for name, tensor in state.items())


def test_a_missing_shard_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    folder = write_shards(tmp_path / "model", state)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"3 files, of which model-00002-of-00003\.safetensors is not there; 1 tensors would be missing"
    ):
        open_weights(folder)


def test_shards_of_another_download_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    folder = write_shards(tmp_path / "model", state)
    save_file({"c": torch.zeros(1)}, folder / "model-00002-of-00003.safetensors")
    with pytest.raises(CheckpointError, match=r"disagree on 2 tensors; the first, b, is in model-00002.*in no file in fact"):
        open_weights(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    folder = single(name)(tmp_path / "model", {"a": torch.randn(100, 100)})
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read: .*{len(content) // 2} bytes; it is cut short"):
        open_weights(folder)


class Foreign:
    """Something a weights file should not hold; loading it would run what `__reduce__` names."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("/nowhere").touch, ())


def test_a_pickle_with_a_foreign_global_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Foreign()}, file)
    with pytest.raises(CheckpointError, match=r"holds more than tensors: .*GLOBAL.*was not loaded\. If you trust its source"):
        open_weights(file)


def test_a_plain_pickle_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    file.write_bytes(pickle.dumps({"a": Foreign()}))
    with pytest.raises(CheckpointError, match=r"was not loaded|cannot be read"):
        open_weights(file)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "optimizer": {}}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"no dictionary of tensors.*found: epoch, optimizer"):
        open_weights(tmp_path / "model.pt")


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, dtype=torch.float8_e4m3fn)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"a is of type F8_E4M3.*Quantised weights cannot be trained on"):
        open_weights(tmp_path)


def test_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist; nothing is downloaded"):
        open_weights(tmp_path / "absent")


def test_a_folder_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    with pytest.raises(CheckpointError, match=r"holds no weights under a known name .*found notes\.md"):
        open_weights(tmp_path)


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.npz").touch()
    with pytest.raises(CheckpointError, match=r"of no known kind; expected \.safetensors"):
        open_weights(tmp_path / "weights.npz")
