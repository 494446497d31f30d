"""A training that stops and continues gives what one without a stop gives: with packs, every kind of LoRA, a base in few bits."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file

from eocore.config import load_config
from eocore.errors import CheckpointError
from eocore.synthetic.world import write_world
from eocore.system import systems_of_config
from eocore.train.launch import train

STEPS = 4
LAST, WEIGHTS = f"iter_{STEPS:06}", "trainable.safetensors"


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """A training started alone sets the variables of a group of one; later tests must not inherit them."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads of a CPU add up in another order each time: the norm of the gradient then differs in its last digit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 6}, size=48)
    return root


PACKS = {
    "+task.packing": {"max_tokens": 1024, "folder": None, "together": 2},
    "task.row_length": None,
    "+task.lora": {"rank": 2, "alpha": 4, "dropout": 0.5},  # draws of the training must not depend on when sizes are found
}


def make_config(world: Path, repo_root: Path, choices: Mapping[str, Any]) -> Config:
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(world)}):
        config = load_config(
            repo_root / "configs" / "earthmind" / "earthmind_tiny_synthetic.py",
            {
                "task.batch_size": 1,
                "task.num_workers": 0,
                "task.model.vision_config.num_hidden_layers": 1,
                "task.model.vision_config.hidden_size": 32,
                "task.model.vision_config.intermediate_size": 64,
                "task.model.text_config.num_hidden_layers": 1,
                "task.model.text_config.hidden_size": 64,
                "task.model.text_config.intermediate_size": 128,
                "task.losses.num_points": 64,
                "+task.trainable": ["projector", "fusion", "seg_head"],
                "training.max_iters": STEPS,
                "training.accumulation": 2,
                "training.precision": "fp32",
                **choices,
            },
        )
    config.tracking = []
    config.hooks = {"metrics": {"type": "MetricsHook", "interval": 1}, "checkpoint": {"type": "CheckpointHook", "interval": 2, "keep": 4}}
    systems_of_config(config)
    return config


def losses(work_dir: Path) -> dict[int, tuple[float, float, float | None]]:
    """Step -> loss, loss of the text, norm of the gradient, which ZeRO 0 does not tell in float32."""
    lines = [json.loads(line) for line in (work_dir / "scalars.jsonl").read_text().splitlines()]
    return {line["step"]: (line["loss"], line["loss_text"], line.get("grad_norm")) for line in lines}


def check_resumption(world: Path, repo_root: Path, out: Path, *, choices: Mapping[str, Any]) -> Path:
    """Trains without a stop, and again from the checkpoint in the middle, which is returned: losses and weights are equal bit by bit."""
    train(make_config(world, repo_root, choices), out / "whole")
    whole = losses(out / "whole")
    assert sorted(whole) == list(range(1, STEPS + 1)) and len(set(whole.values())) == STEPS
    stop = out / "whole" / f"iter_{STEPS // 2:06}"
    train(make_config(world, repo_root, choices), out / "parts", resume=str(stop))
    assert losses(out / "parts") == {step: found for step, found in whole.items() if step > STEPS // 2}
    expected, found, begun = (load_file(folder / WEIGHTS) for folder in (out / "whole" / LAST, out / "parts" / LAST, stop))
    assert list(found) == list(expected) and all(torch.equal(value, expected[name]) for name, value in found.items())
    assert any("lora" in name and not torch.equal(value, begun[name]) for name, value in found.items()), "adapters trained after the stop"
    return stop


def test_packs_go_on_as_they_would_have_come(world: Path, repo_root: Path, tmp_path: Path) -> None:
    stop = check_resumption(world, repo_root, tmp_path, choices=PACKS)
    others = PACKS | {"+task.packing": {**PACKS["+task.packing"], "max_tokens": 700}}
    with pytest.raises(CheckpointError, match=r"samples are packed otherwise .*--allow data"):
        train(make_config(world, repo_root, others), tmp_path / "other", resume=str(stop))


@pytest.mark.parametrize(
    ("variants", "bits", "optimizer", "schedule", "stage"),
    [
        (["dora"], None, "AdamW", "cosine", 2),
        (["rslora"], 4, "AdamW", "linear", 2),
        pytest.param(["dora", "rslora"], 4, "SGD", "wsd", 1, marks=pytest.mark.slow),
        pytest.param(["dora", "rslora"], None, "SGD", "wsd", 3, marks=pytest.mark.slow),
        pytest.param(["dora"], 4, "AdamW8bit", "linear", 0, marks=pytest.mark.slow),
        pytest.param(["rslora"], 8, "Adafactor", "constant", 0, marks=pytest.mark.slow),
        pytest.param([], 8, "AdamW", "wsd", 2, marks=pytest.mark.slow),
        pytest.param([], 4, "AdamW8bit", "cosine", 0, marks=pytest.mark.slow),
    ],
)
def test_kinds_of_lora_beside_kinds_of_bases_go_on(
    variants: list[str], bits: int | None, optimizer: str, schedule: str, stage: int, world: Path, repo_root: Path, tmp_path: Path
) -> None:
    if bits is not None or optimizer == "AdamW8bit":
        pytest.importorskip("bitsandbytes")
    choices = {
        "+task.lora": {"rank": 2, "alpha": 4, "dropout": 0.5, "variants": variants},
        "+optimizer.type": optimizer,
        "+schedule.type": schedule,
        "training.deepspeed": f"deepspeed_zero{stage}",
    }
    few_bits = {} if bits is None else {"+task.quantization": {"bits": bits}}
    check_resumption(world, repo_root, tmp_path, choices=choices | few_bits)
