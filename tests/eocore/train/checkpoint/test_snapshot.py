"""Checkpoints: whole or absent, loaded only where they fit, exact to resume from."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tolerances import ACROSS_ZERO_STAGES, IN_BF16

from eocore.errors import CheckpointError, EOError
from eocore.models.freeze import trainable_names
from eocore.train.checkpoint import files as checkpoint_files
from eocore.train.checkpoint import snapshot as checkpoint
from eocore.train.device import computes_fp16
from eocore.train.launch import train
from eocore.train.resilience.guard import OVERFLOW
from eocore.train.task import Task
from eocore.train.zero.settings import load_zero_config


@pytest.fixture(scope="module")
def run(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with dropout: checkpoints after 3 and 6 updates."""
    work_dir = tmp_path_factory.mktemp("run")
    train(tiny.tiny_config({"dropout": 0.3}), work_dir)
    return work_dir


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def task(tiny: ModuleType) -> Task:
    torch.manual_seed(99)
    return tiny.TinyTask(trainable=["encoder", "norm", "head", "extra"])


def lines(work_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (work_dir / "scalars.jsonl").read_text().splitlines()]


def test_a_checkpoint_holds_what_is_trained(run: Path, task: Task) -> None:
    weights = load_file(run / "iter_000006" / "trainable.safetensors")
    assert sorted(weights) == sorted(trainable_names(task))
    assert {name: value.shape for name, value in weights.items()} == {name: value.shape for name, value in task.named_parameters()}
    state = checkpoint_files.read_state(run / "iter_000006")
    assert (state["step"], state["world_size"], state["zero_stage"], state["seed"]) == (6, 1, 2, 1)
    assert "TinyTask" in state["config"]
    assert (run / "latest").read_text() == "iter_000006\n"


def test_frozen_weights_are_not_saved(tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny.tiny_config({"trainable": ["head"]}, max_iters=1), tmp_path)
    assert sorted(load_file(tmp_path / "iter_000001" / "trainable.safetensors")) == ["model.head.bias", "model.head.weight"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.usefixtures("one_thread")  # then every sum is the same, term by term, and bits can be compared
@pytest.mark.parametrize("stage", ["0", "1", "2", "3", "1_offload", "2_offload", "3_offload"])
def test_resuming_equals_never_having_stopped(stage: str, precision: str, tiny: ModuleType, tmp_path: Path) -> None:
    config = tiny.tiny_config({"dropout": 0.3}, deepspeed=f"deepspeed_zero{stage}", precision=precision)
    train(config, tmp_path)
    straight, weights = lines(tmp_path), load_file(tmp_path / "iter_000006" / "trainable.safetensors")
    shutil.rmtree(tmp_path / "iter_000006")
    train(config, tmp_path, resume="auto")
    resumed = lines(tmp_path)
    assert [(line["step"], line["loss"], line["lr"]) for line in resumed] == [(line["step"], line["loss"], line["lr"]) for line in straight]
    for name, value in load_file(tmp_path / "iter_000006" / "trainable.safetensors").items():
        assert torch.equal(value, weights[name]), name
        # a bfloat16 number has its last 16 bits at zero: what is saved are the float32 weights, not their rounded copies
        assert value.view(torch.int32).bitwise_and(0xFFFF).any() or not value.any(), name


def test_the_newest_complete_checkpoint_is_found(copy: Path) -> None:
    shutil.copytree(copy / "iter_000006", copy / f"{checkpoint_files.TEMPORARY}iter_000012")
    assert checkpoint_files.find_checkpoint(copy, "auto") == copy / "iter_000006"
    assert checkpoint_files.find_checkpoint(copy / "empty", "auto") is None


def test_a_folder_that_is_no_checkpoint_is_refused(copy: Path) -> None:
    with pytest.raises(CheckpointError, match=r"it has no trainer.json. Checkpoints inside it: iter_000003, iter_000006"):
        checkpoint_files.find_checkpoint(copy, str(copy))


def test_a_broken_state_file_is_named(copy: Path) -> None:
    (copy / "iter_000006" / "trainer.json").write_text('{"step": 6,\n')
    with pytest.raises(CheckpointError, match=r"trainer\.json: not JSON .* The checkpoint is damaged\. Use another one"):
        checkpoint_files.read_state(copy / "iter_000006")
    (copy / "iter_000006" / "trainer.json").write_text('{"step": "6", "world_size": 1, "zero_stage": 2, "config": ""}')
    with pytest.raises(CheckpointError, match=r"trainer\.json: field step: expected a valid integer, found '6'\. The checkpoint is"):
        checkpoint_files.read_state(copy / "iter_000006")


def test_pruning_keeps_the_newest(copy: Path) -> None:
    checkpoint_files.prune(copy, 1)
    assert [path.name for path in copy.glob("*iter_*")] == ["iter_000006"]


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_another_zero_stage_resumes_alike(stage: int, run: Path, tiny: ModuleType, tmp_path: Path) -> None:
    config = tiny.tiny_config({"dropout": 0.3}, deepspeed=f"deepspeed_zero{stage}")
    train(config, tmp_path, resume=str(run / "iter_000003"))
    found, expected = lines(tmp_path), lines(run)[3:]
    assert [(line["step"], line["lr"]) for line in found] == [(line["step"], line["lr"]) for line in expected]
    for name in ("loss", "grad_norm") if stage else ("loss",):  # stage 0 tells no norm of float32 gradients
        assert [line[name] for line in found] == pytest.approx([line[name] for line in expected], **ACROSS_ZERO_STAGES.approx), name


def test_another_zero_stage_resumes_alike_in_bf16(tiny: ModuleType, tmp_path: Path) -> None:
    """ZeRO-2 keeps pieces of flat float32 weights, ZeRO 0 whole ones, ZeRO-3 pieces of each: all are read from whole ones by name."""
    for stage in (2, 0, 3):
        config = tiny.tiny_config(deepspeed=f"deepspeed_zero{stage}", precision="bf16")
        train(config, tmp_path / str(stage), resume=None if stage == 2 else str(tmp_path / "2" / "iter_000003"))
    expected = [line["loss"] for line in lines(tmp_path / "2")[3:]]
    for stage in (0, 3):
        assert [line["loss"] for line in lines(tmp_path / str(stage))] == pytest.approx(expected, **IN_BF16.approx)


def test_another_accumulation_cannot_resume(run: Path, tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"accumulation: 1 then, 2 now.*accept it by: --allow data"):
        train(tiny.tiny_config(accumulation=2), tmp_path, resume=str(run / "iter_000003"))


def test_another_choice_of_what_is_trained_cannot_resume(run: Path, tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Missing: none\. Unexpected: model\.encoder\.bias; model\.encoder\.weight"):
        config = tiny.tiny_config({"dropout": 0.3, "trainable": ["head", "norm", "extra"]})
        train(config, tmp_path, resume=str(run / "iter_000003"), allow=["frozen"])


def test_damaged_weights_stop_a_resumption(copy: Path, tiny: ModuleType) -> None:
    file = copy / "iter_000006" / "trainable.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(CheckpointError, match=r"trainable.safetensors has 50 bytes, \d+ were written; it is damaged"):
        train(tiny.tiny_config({"dropout": 0.3}), copy, resume="auto", strict=True)


def test_a_crash_while_writing_leaves_the_older_checkpoint(copy: Path, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(CheckpointError, match=r"after step 7 could not be written \(disk full\). Older checkpoints stand"):
        train(tiny.tiny_config({"dropout": 0.3}, max_iters=7), copy, resume="auto", allow=["schedule"])
    assert [path.name for path in checkpoint_files.list_checkpoints(copy)] == ["iter_000003", "iter_000006"]
    assert (copy / "latest").read_text() == "iter_000006\n"


@pytest.mark.parametrize(
    ("optimizer", "schedule", "stage", "precision"),
    [
        ({"type": "SGD"}, {"type": "linear"}, 0, "fp32"),
        ({"type": "SGD", "momentum": 0.5}, {"type": "wsd", "decay_ratio": 0.5}, 2, "bf16"),
        ({"type": "SGD", "momentum": 0.0}, {"type": "constant"}, 3, "fp32"),
        ({"type": "Adafactor"}, {"type": "constant"}, 0, "fp32"),
        ({"type": "Adafactor"}, {"type": "wsd", "decay_ratio": 0.5}, 0, "bf16"),
        ({"type": "AdamW8bit"}, {"type": "linear"}, 0, "fp32"),
        ({"type": "AdamW8bit"}, {"type": "cosine"}, 0, "bf16"),
    ],
    ids=lambda value: str(value.get("type")) if isinstance(value, dict) else str(value),
)
@pytest.mark.usefixtures("one_thread")
def test_other_optimisers_and_schedules_go_on_alike(
    optimizer: dict[str, Any], schedule: dict[str, Any], stage: int, precision: str, tiny: ModuleType, tmp_path: Path
) -> None:
    if optimizer["type"] == "AdamW8bit":
        pytest.importorskip("bitsandbytes")
    config = tiny.tiny_config(deepspeed=f"deepspeed_zero{stage}", precision=precision)
    config.optimizer.update(optimizer)
    config.schedule.update(schedule)
    train(config, tmp_path)
    straight, weights = lines(tmp_path), load_file(tmp_path / "iter_000006" / "trainable.safetensors")
    state = load_file(tmp_path / "iter_000006" / "optimizer.safetensors")
    assert len({line["loss"] for line in straight}) == 6, "every update changed the weights"
    shutil.rmtree(tmp_path / "iter_000006")
    train(config, tmp_path, resume="auto")
    assert [(line["loss"], line["lr"]) for line in lines(tmp_path)] == [(line["loss"], line["lr"]) for line in straight]
    assert all(torch.equal(value, weights[name]) for name, value in load_file(tmp_path / "iter_000006" / "trainable.safetensors").items())
    again = load_file(tmp_path / "iter_000006" / "optimizer.safetensors")
    assert list(again) == list(state) and all(torch.equal(value, state[name]) for name, value in again.items())


def test_state_of_another_optimiser_cannot_go_on(run: Path, tiny: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    config = tiny.tiny_config(deepspeed="deepspeed_zero0", max_iters=7)
    config.optimizer.update(type="SGD")
    with pytest.raises(CheckpointError, match=r"optimizer\.type: AdamW then, SGD now"):
        train(config, tmp_path / "run", resume="auto")


@pytest.mark.skipif(not computes_fp16(), reason="this CPU does not compute in float16")
@pytest.mark.parametrize("stage", [0, 2, 3])
@pytest.mark.usefixtures("one_thread")
def test_float16_goes_on_with_its_loss_scale(stage: int, tiny: ModuleType, tmp_path: Path) -> None:
    """A scale that overflows twice and then doubles every other update: the checkpoint is taken in the middle of that."""
    settings = load_zero_config(f"deepspeed_zero{stage}") | {
        "fp16": {"initial_scale_power": 24, "loss_scale_window": 2, "hysteresis": 1, "min_loss_scale": 1}
    }
    (tmp_path / "zero.json").write_text(json.dumps(settings))
    config = tiny.tiny_config({"dropout": 0.3}, deepspeed=str(tmp_path / "zero.json"), precision="fp16", max_iters=24)
    config.hooks.checkpoint.update(interval=12)
    train(config, tmp_path)
    straight, weights = lines(tmp_path), load_file(tmp_path / "iter_000024" / "trainable.safetensors")
    scales = [line["fp16_scale"] for line in straight]
    state = checkpoint_files.read_state(tmp_path / "iter_000012")
    overflows = sum(state["guard"]["skipped"].values())
    assert scales[0] == 2**24 and 2 <= overflows < 12 and list(state["guard"]["skipped"]) == [OVERFLOW] and state["guard"]["in_a_row"] == 0
    assert any(after > before for before, after in pairwise(scales)) and state["loss_scale"]["cur_scale"] == scales[12]
    assert all(1e-3 < line["grad_norm"] < 100 for line in straight if "grad_norm" in line), "without the scale"
    shutil.rmtree(tmp_path / "iter_000024")
    train(config, tmp_path, resume="auto")
    assert [(line["loss"], line["fp16_scale"]) for line in lines(tmp_path)] == [(line["loss"], line["fp16_scale"]) for line in straight]
    assert all(torch.equal(value, weights[name]) for name, value in load_file(tmp_path / "iter_000024" / "trainable.safetensors").items())


@pytest.mark.skipif(not computes_fp16(), reason="this CPU does not compute in float16")
@pytest.mark.parametrize("stage", [0, 2])
def test_gradients_that_overflow_at_the_lowest_scale_end_the_run(stage: int, tiny: ModuleType, tmp_path: Path) -> None:
    settings = load_zero_config(f"deepspeed_zero{stage}") | {"fp16": {"initial_scale_power": 24, "hysteresis": 1, "min_loss_scale": 2**24}}
    (tmp_path / "zero.json").write_text(json.dumps(settings))
    config = tiny.tiny_config(deepspeed=str(tmp_path / "zero.json"), precision="fp16", max_iters=24)
    with pytest.raises(EOError, match=r"5 updates in a row were skipped.*gradient not finite"):
        train(config, tmp_path)
