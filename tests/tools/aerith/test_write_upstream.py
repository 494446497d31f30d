"""From a checkpoint to the promised folder, to a converted model, and back, by the commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from aerith.checkpoints.upstream_folder import read_upstream
from aerith.upstream.calls import AerithVLM
from eocore.export.convert import Choices, convert
from eocore.models.folders import load_model
from eocore.models.freeze import trainable_names
from eocore.system import find_systems

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def trained(make_fields: Callable[..., dict[str, Any]], make_task: Callable[..., Any], tmp_path: Path) -> tuple[Config, Path]:
    """Config and checkpoint of a task that trains whole but for what LoRA stands beside, which each command draws anew."""
    torch.manual_seed(0)
    task = make_task(trainable=["*"])
    with torch.no_grad():
        for name in trainable_names(task):
            task.get_parameter(name).normal_(std=0.2)
    weights = {name: task.get_parameter(name).detach().clone() for name in trainable_names(task)}
    save_file(weights, tmp_path / "trained.safetensors")
    fields = make_fields(trainable=["*"])
    config = Config({"seed": 0, "systems": ["aerith"], "task": {"type": "AerithTask", **fields}, "training": {"max_iters": 1}})
    config.dump(tmp_path / "config.json")
    return Config.fromfile(tmp_path / "config.json"), tmp_path / "trained.safetensors"


def test_from_a_checkpoint_to_every_form(command: Command, trained: tuple[Config, Path], picture: np.ndarray, tmp_path: Path) -> None:
    config, checkpoint = trained
    promised, imported, back = (tmp_path / name for name in ("aerithvlm_finetuned", "imported", "back"))
    torch.manual_seed(1)  # of the frozen weights
    status, told = command("aerith/write_upstream", config.filename, "--pth-model", checkpoint, "--save-path", promised)
    assert status == 0 and "llama_lora_adapter" in told, told
    torch.manual_seed(1)
    convert(config, checkpoint, out_dir=tmp_path / "converted", choices=Choices(verify=False))
    status, told = command("import_weights", promised, "--out", imported)
    assert status == 0 and "LoRA merged" in told, told
    status, told = command("export_weights", imported, "--out", back)
    assert status == 0 and "there is no llama_lora_adapter/" in told, told

    expected = load_model(type(read_upstream(promised)), tmp_path / "converted").state_dict()
    for found in (read_upstream(promised), load_model(type(read_upstream(promised)), imported), read_upstream(back)):
        assert all(torch.equal(value, found.state_dict()[name]) for name, value in expected.items())
    question = (picture, "[VQA] Is there water?")
    answers = [AerithVLM.from_pretrained(folder).generate(*question, max_new_tokens=8) for folder in (promised, imported, back)]
    assert answers == [AerithVLM.from_pretrained(tmp_path / "converted").generate(*question, max_new_tokens=8)] * 3


def test_what_does_not_fit_is_refused(command: Command, trained: tuple[Config, Path], tmp_path: Path) -> None:
    config, checkpoint = trained
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    status, told = command("aerith/write_upstream", config.filename, "--pth-model", checkpoint, "--save-path", tmp_path / "taken")
    assert status == 1 and "is no checkpoint" in told
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "projection_head.pth").touch()
    status, told = command("import_weights", tmp_path / "broken", "--out", tmp_path / "ours")
    assert status == 1 and "lacks vision_encoder.pth, attention_pooler.pth" in told
    status, told = command("import_weights", tmp_path / "broken", "--fusion", "mean", "--out", tmp_path / "ours")
    assert status == 1 and "is imported alone" in told
    assert "aerith" in {system.name for system in find_systems() if system.exchange is not None}
