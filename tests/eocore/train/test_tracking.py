"""W&B gets the training's steps, also those of a resumed run: by a stand-in at its boundary, and by the package itself, offline."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config

from eocore.errors import ConfigError
from eocore.train.launch import train
from eocore.train.tracking import SteppedWandb


class Recording(ModuleType):
    """The calls of `wandb` that the back end makes."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.calls: list[tuple[str, Any, Any]] = []
        self.config = SimpleNamespace(update=lambda values, allow_val_change: self.calls.append(("config", values, allow_val_change)))
        self.run = SimpleNamespace(log_code=lambda name: self.calls.append(("log_code", name, None)))

    def init(self, **options: Any) -> None:
        self.calls.append(("init", options, None))

    def log(self, values: dict[str, Any], *, step: int, commit: bool) -> None:
        self.calls.append(("log", values, step))

    def finish(self) -> None:
        self.calls.append(("finish", None, None))


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Recording:
    module = Recording()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    return module


def test_steps_are_those_of_the_training_and_continue_after_a_resume(tiny: ModuleType, tmp_path: Path, wandb: Recording) -> None:
    config = tiny.tiny_config(max_iters=6)
    config.tracking = [{"type": "WandbVisBackend", "init_kwargs": {"project": "eo"}}]
    config.hooks.metrics.interval = 2
    train(config, tmp_path / "run")
    logged = [(step, sorted(values)) for name, values, step in wandb.calls if name == "log"]
    assert [step for step, _ in logged] == [2, 4, 6]
    assert "loss" in logged[0][1] and "lr" in logged[0][1] and "step" not in logged[0][1]
    assert wandb.calls[0][0] == "init" and wandb.calls[-1][0] == "finish"
    (tmp_path / "run" / "iter_000006").rename(tmp_path / "last")
    wandb.calls.clear()
    train(config, tmp_path / "run", resume="auto")
    again = [(step, sorted(values)) for name, values, step in wandb.calls if name == "log"]
    assert [step for step, _ in again] == [4, 6], "from the checkpoint after update 3 on"
    assert again[0][1] == logged[0][1], "the same names"


@pytest.mark.parametrize("name", [None, "mine"])
def test_source_files_are_uploaded_only_when_asked_for(tmp_path: Path, wandb: Recording, name: str | None) -> None:
    back_end = SteppedWandb(str(tmp_path), init_kwargs={"project": "eo"}, log_code_name=name)
    back_end.add_config(Config({"seed": 1}))
    assert [call for call in wandb.calls if call[0] == "config"] == [("config", {"seed": 1}, name is None)]
    assert [call[1] for call in wandb.calls if call[0] == "log_code"] == ([name] if name else [])


def test_a_missing_package_is_told_before_anything_is_built(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = tiny.tiny_config()
    config.tracking = [{"type": "WandbVisBackend"}]
    with pytest.raises(ConfigError, match=r"wandb is not installed, so nothing could be logged there\. Install it"):
        train(config, tmp_path / "run")


@pytest.mark.slow
def test_the_package_itself_takes_scalars_and_pictures_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    back_end = SteppedWandb(str(tmp_path), init_kwargs={"project": "eo", "mode": "offline"})
    back_end.add_config(Config({"seed": 1}))
    picture = np.zeros((8, 6, 3), np.uint8)
    for step in (2, 4):
        back_end.add_scalars({"loss": 1.0 / step, "val/loss": 2.0 / step}, step=step)
        back_end.add_image("val/samples", picture, step=step)
    back_end.close()
    (run,) = tmp_path.glob("wandb/offline-run-*")
    (kept,) = run.glob("run-*.wandb")
    content = kept.read_bytes()
    assert b"val/loss" in content and b"val/samples" in content
    assert len(list(run.glob("files/media/images/**/*.png"))) == 2
