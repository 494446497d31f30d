"""A second stage begins with the weights of the first, and says what does not fit."""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

from eocore.errors import CheckpointError, ConfigError
from eocore.train.checkpoint.files import WEIGHTS
from eocore.train.checkpoint.start_from import LoadFrom, load_from
from eocore.train.checkpoint.weights import load_trainable
from eocore.train.launch import train
from eocore.train.task import Task


@pytest.fixture(scope="module")
def first_stage(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained encoder and head."""
    work_dir = tmp_path_factory.mktemp("first")
    train(tiny.tiny_config({"trainable": ["encoder", "head"]}, max_iters=2), work_dir)
    return work_dir / "iter_000002"


@pytest.fixture
def second(tiny: ModuleType) -> Task:
    """What trains head and norm."""
    torch.manual_seed(5)
    return tiny.TinyTask(trainable=["head", "norm"])


def test_what_both_train_comes_from_the_file(first_stage: Path, second: Task) -> None:
    before = second.model.norm.weight.clone()
    load_from(second, LoadFrom(path=str(first_stage), new=["model.norm"], unused=["model.encoder"]))
    saved = load_file(first_stage / WEIGHTS)
    assert torch.equal(second.model.head.weight, saved["model.head.weight"])
    assert torch.equal(second.model.norm.weight, before)
    assert not torch.equal(second.model.encoder.weight, saved["model.encoder.weight"])


@pytest.mark.parametrize(
    ("choice", "error", "message"),
    [
        ({}, CheckpointError, r"Trained here, not in the file: model.norm.bias; .* In the file, not trained here: model.encoder.bias; "),
        (
            {"new": ["model.norm"]},
            CheckpointError,
            r"not in the file: none .* not trained here: model.encoder.bias; .*task.model.pretrained",
        ),
        ({"new": ["model.nrom"]}, ConfigError, r"load_from.new names 'model.nrom', which is no parameter that is missing in the file"),
        ({"new": ["model.head"]}, ConfigError, r"load_from.new names 'model.head'"),
        ({"new": ["model.norm"], "unused": ["model.tail"]}, ConfigError, r"load_from.unused names 'model.tail', which is no left-over"),
    ],
)
def test_every_difference_is_named_and_nothing_is_loaded(
    first_stage: Path, second: Task, choice: dict[str, list[str]], error: type[Exception], message: str
) -> None:
    before = {name: value.clone() for name, value in second.state_dict().items()}
    with pytest.raises(error, match=message):
        load_from(second, LoadFrom(path=str(first_stage), **choice))
    assert all(torch.equal(value, before[name]) for name, value in second.state_dict().items())


def test_a_shape_that_differs_is_named(second: Task, tmp_path: Path) -> None:
    weights = {name: value.detach().clone() for name, value in second.named_parameters() if value.requires_grad}
    save_file(weights | {"model.head.bias": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"model.head.bias: \(3,\) in the file, \(1,\) in the model"):
        load_from(second, LoadFrom(path=str(tmp_path / "other.safetensors")))


def test_a_training_begins_there_and_resumes_from_its_own(first_stage: Path, tiny: ModuleType, tmp_path: Path) -> None:
    start = {"path": str(first_stage), "new": ["model.norm"], "unused": ["model.encoder"]}
    settings = {"trainable": ["head", "norm"]}
    config = tiny.tiny_config(settings, max_iters=1, load_from=start)
    config.optimizer.lr = 1e-9
    train(config, tmp_path)
    begun = load_file(tmp_path / "iter_000001" / WEIGHTS)
    torch.testing.assert_close(begun["model.head.weight"], load_file(first_stage / WEIGHTS)["model.head.weight"])
    config.training.max_iters = 2
    config.training.load_from = {"path": "gone"}
    train(config, tmp_path, resume="auto", allow=["schedule"])
    assert (tmp_path / "iter_000002").is_dir()


def test_a_misspelt_option_is_named(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'training.load_from' has no option 'mising'"):
        train(tiny.tiny_config(load_from={"path": "x", "mising": []}), tmp_path)


class TestIdentity:
    def test_it_is_written_and_compared(self, tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tiny.TinyTask, "identity", lambda self: {"vocabulary": "3:abc"})
        config = tiny.tiny_config(max_iters=1)
        train(config, tmp_path)
        same = tiny.TinyTask(trainable=config.task.trainable)
        load_trainable(same, tmp_path / "iter_000001")
        monkeypatch.setattr(tiny.TinyTask, "identity", lambda self: {"vocabulary": "3:xyz"})
        message = r"trained with another vocabulary \(vocabulary was 3:abc, is 3:xyz\): its weights would mean something else"
        with pytest.raises(CheckpointError, match=message):
            load_trainable(same, tmp_path / "iter_000001")
        with pytest.raises(CheckpointError, match=message):
            load_from(same, LoadFrom(path=str(tmp_path / "iter_000001" / WEIGHTS)))
        config.training.max_iters = 2
        with pytest.raises(CheckpointError, match=message):
            train(config, tmp_path, resume="auto", allow=["schedule"])
