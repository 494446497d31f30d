"""Weights of checkpoints: loaded only where they fit, and no code in a file is run."""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

from eocore.errors import CheckpointError
from eocore.train.checkpoint.weights import load_trainable, read_weights
from eocore.train.launch import train
from eocore.train.task import Task


@pytest.fixture(scope="module")
def run(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one update."""
    work_dir = tmp_path_factory.mktemp("run")
    train(tiny.tiny_config(max_iters=1), work_dir)
    return work_dir


@pytest.fixture
def task(tiny: ModuleType) -> Task:
    torch.manual_seed(99)
    return tiny.TinyTask(trainable=["encoder", "norm", "head", "extra"])


def test_loading_brings_the_trained_weights(run: Path, task: Task) -> None:
    load_trainable(task, run / "iter_000001")
    for name, value in load_file(run / "iter_000001" / "trainable.safetensors").items():
        assert torch.equal(task.get_parameter(name), value), name


def test_a_pth_file_of_mmengine_can_be_loaded(run: Path, task: Task, tmp_path: Path) -> None:
    weights = load_file(run / "iter_000001" / "trainable.safetensors")
    task.model.extra.requires_grad_(False)
    torch.save({"meta": {"iter": 6}, "state_dict": weights}, tmp_path / "model.pth")
    before = task.model.extra.clone()
    load_trainable(task, tmp_path / "model.pth")
    assert torch.equal(task.model.head.weight, weights["model.head.weight"])
    assert torch.equal(task.model.extra, before), "frozen weights in the file are ignored"


def test_names_that_differ_are_listed_and_nothing_is_loaded(run: Path, task: Task, tmp_path: Path) -> None:
    weights = load_file(run / "iter_000001" / "trainable.safetensors")
    weights["model.tail.weight"] = weights.pop("model.head.weight")
    save_file(weights, tmp_path / "other.safetensors")
    before = task.model.head.bias.clone()
    with pytest.raises(CheckpointError, match=r"Missing: model\.head\.weight\. Unexpected: model\.tail\.weight\."):
        load_trainable(task, tmp_path / "other.safetensors")
    assert torch.equal(task.model.head.bias, before)


def test_a_shape_that_differs_is_named(run: Path, task: Task, tmp_path: Path) -> None:
    weights = load_file(run / "iter_000001" / "trainable.safetensors")
    weights["model.extra"] = torch.zeros(4)
    save_file(weights, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.extra: \(4,\) in the file, \(3,\) in the model"):
        load_trainable(task, tmp_path / "other.safetensors")


def test_a_missing_file_is_named(task: Task, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth does not exist"):
        load_trainable(task, tmp_path / "none.pth")


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.pth"])
def test_a_cut_file_is_refused(run: Path, task: Task, tmp_path: Path, name: str) -> None:
    torch.save({"state_dict": {"model.head.weight": torch.zeros(100)}}, whole := tmp_path / "whole.pth")
    source = run / "iter_000001" / "trainable.safetensors" if name.endswith(".safetensors") else whole
    (tmp_path / name).write_bytes(source.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read .* it is damaged"):
        load_trainable(task, tmp_path / name)


@pytest.mark.parametrize(("content", "found"), [(b"lr = 1e-4\n", r"begins with b'lr ='"), (b"", "is empty")])
def test_a_file_of_another_kind_is_told_as_such(task: Task, tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "notes.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"notes\.pth {found}, which is no checkpoint of torch; .* Give an iter_\* folder"):
        load_trainable(task, tmp_path / "notes.pth")


def test_the_files_of_older_releases_of_torch_are_read(tmp_path: Path) -> None:
    torch.save({"state_dict": {"head": torch.ones(3)}}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / "old.pth")["head"].tolist() == [1.0] * 3


def test_a_pth_file_that_would_run_code_is_refused(task: Task, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state_dict": {"model.head.weight": Payload()}}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=r"bad\.pth cannot be read"):
        load_trainable(task, tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


def test_a_file_without_a_table_of_weights_is_refused(task: Task, tmp_path: Path) -> None:
    torch.save({"state_dict": {"step": 3}}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"odd\.pth holds no name -> tensor table"):
        load_trainable(task, tmp_path / "odd.pth")
