"""Whole weights and moments of an engine: what it was given, what it computes with, what it is set to."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper
from torch import Tensor, nn

from eocore.models.lora import add_lora
from eocore.models.quantization import QuantizationOptions, quantize
from eocore.train.device import Precision
from eocore.train.schedule import OptimizerOptions, build_optimizer
from eocore.train.strategy import ZeroStrategy
from eocore.train.task import Task
from eocore.train.zero.settings import load_zero_config
from eocore.train.zero.state import MOMENTS


def prepare(tiny: ModuleType, work_dir: Path, stage: int, precision: Precision) -> tuple[ZeroStrategy, dict[str, Tensor]]:
    """An engine on one rank, and the weights it was made of."""
    torch.manual_seed(0)
    task: Any = tiny.TinyTask(trainable=["encoder", "norm", "head"])
    made = {name: parameter.detach().clone() for name, parameter in task.named_parameters() if parameter.requires_grad}
    strategy = ZeroStrategy(
        config=load_zero_config(f"deepspeed_zero{stage}"), precision=precision, accumulation=1, clip_norm=0.0, work_dir=work_dir, seed=0
    )
    trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.5, weight_decay=0.5)
    strategy.prepare(task, optim_wrapper=DeepSpeedOptimWrapper(optimizer), dispatch_kwargs={})
    return strategy, made


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_an_engine_begins_at_its_weights_with_moments_of_zero(stage: int, precision: Precision, tiny: ModuleType, tmp_path: Path) -> None:
    """DeepSpeed makes the moments of ZeRO 0 in bfloat16 by a step, whose decay would take a quarter off every weight here."""
    strategy, made = prepare(tiny, tmp_path, stage, precision)
    moments, steps = strategy.gather_moments()
    assert steps == 0 and len(moments) == 2 * len(made) and not any(value.any() for value in moments.values())
    for name, value in strategy.gather_trainable().items():
        expected = made[name] if precision == "fp32" else made[name].bfloat16().float()
        assert value.dtype == torch.float32 and torch.equal(value, expected), name


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_what_is_set_in_bf16_is_what_is_read_and_trained_on(stage: int, tiny: ModuleType, tmp_path: Path) -> None:
    strategy, made = prepare(tiny, tmp_path, stage, "bf16")
    weights = {name: value.bfloat16().float() * (1 + 2**-12) for name, value in made.items()}
    moments = {f"{kind}/{name}": torch.full_like(value, 1 / 3) for name, value in made.items() for kind in MOMENTS}
    strategy.load_trainable_state(weights.__getitem__, moments.__getitem__, steps=7)
    assert all(torch.equal(value, weights[name]) for name, value in strategy.gather_trainable().items())
    found, steps = strategy.gather_moments()
    assert steps == 7 and all(torch.equal(value, moments[name]) for name, value in found.items())
    inputs = torch.ones(2, tiny.WIDTH)
    strategy.model.train_step({"inputs": inputs, "target": inputs.sum(1)}, optim_wrapper=strategy.optim_wrapper)
    moved = {name: value - weights[name] for name, value in strategy.gather_trainable().items()}
    assert strategy.gather_moments()[1] == 8 and all(value.abs().max() > 0 for value in moved.values())


@pytest.mark.parametrize("kind", ["AdamW8bit", "Adafactor"])
def test_state_of_other_shapes_than_the_weights_is_set_as_it_was(kind: str, tiny: ModuleType, tmp_path: Path) -> None:
    """Matrices large enough for state in 8 bits: bitsandbytes leaves smaller ones in float32."""
    if kind == "AdamW8bit":
        pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    made = [engine_of_wide_layers(tiny, tmp_path, kind) for _ in range(2)]
    inputs = torch.randn(4, tiny.WIDTH)
    batch = {"inputs": inputs, "target": inputs.sum(1)}
    for _ in range(2):
        made[0].model.train_step(batch, optim_wrapper=made[0].optim_wrapper)
    moments, steps = made[0].gather_moments()
    weights = made[0].gather_trainable()
    kinds = {value.dtype for value in moments.values()}
    assert steps == 2 and (torch.uint8 in kinds) == (kind == "AdamW8bit")
    made[1].load_trainable_state(weights.__getitem__, moments.__getitem__, steps=steps, found=list(moments))
    for strategy in made:
        strategy.model.train_step(batch, optim_wrapper=strategy.optim_wrapper)
    after = [strategy.gather_trainable() for strategy in made]
    assert all(torch.equal(value, after[1][name]) and not torch.equal(value, weights[name]) for name, value in after[0].items())


def engine_of_wide_layers(tiny: ModuleType, work_dir: Path, kind: str) -> ZeroStrategy:
    task: Any = tiny.TinyTask(trainable=["encoder", "head"])
    task.model.encoder, task.model.norm = nn.Linear(tiny.WIDTH, 1024), nn.LayerNorm(1024).requires_grad_(False)
    task.model.head = nn.Linear(1024, 1)
    strategy = ZeroStrategy(
        config=load_zero_config("deepspeed_zero0"), precision="fp32", accumulation=1, clip_norm=0.0, work_dir=work_dir, seed=0
    )
    optimizer = build_optimizer(task, OptimizerOptions(type=kind, lr=0.01))
    strategy.prepare(task, optim_wrapper=DeepSpeedOptimWrapper(optimizer), dispatch_kwargs={})
    return strategy


class QuantizedTask(Task):
    """LoRA beside layers in 4 or 8 bits."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 64)).requires_grad_(False)
        quantize(self.model, QuantizationOptions(bits=bits))
        add_lora(self.model, rank=4, alpha=8, dropout=0.0)

    def forward(self, batch: Any, mode: str = "loss", *, num_items_in_batch: Any = None) -> dict[str, Any]:
        return {"loss_square": (self.model(batch["inputs"].to(self.dtype())) - 1).float().square().mean()}

    def dtype(self) -> torch.dtype:
        return next(parameter.dtype for parameter in self.parameters() if parameter.requires_grad)

    def build_loader(self, **_: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(("stage", "precision", "bits"), [(0, "fp32", 4), (1, "bf16", 4), (2, "fp32", 8), (2, "bf16", 4), (2, "bf16", 8)])
@pytest.mark.usefixtures("one_thread")
def test_beside_quantised_layers_training_goes_on_alike(stage: int, precision: Any, bits: int, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")

    def start() -> ZeroStrategy:
        task = QuantizedTask(bits)
        strategy = ZeroStrategy(
            config=load_zero_config(f"deepspeed_zero{stage}"), precision=precision, accumulation=1, clip_norm=1.0, work_dir=tmp_path, seed=0
        )
        optimizer = build_optimizer(task, OptimizerOptions(lr=0.01))
        strategy.prepare(task, optim_wrapper=DeepSpeedOptimWrapper(optimizer), dispatch_kwargs={})
        return strategy

    def losses(strategy: ZeroStrategy, steps: int) -> list[float]:
        generator = torch.Generator().manual_seed(1)
        batch = {"inputs": torch.randn(8, 64, generator=generator)}
        return [strategy.model.train_step(batch, optim_wrapper=strategy.optim_wrapper)["loss"].item() for _ in range(steps)]

    straight = start()
    before = losses(straight, 3)
    weights, (moments, steps) = straight.gather_trainable(), straight.gather_moments()
    assert all(".lora_" in name for name in weights) and before[-1] < before[0]
    after = losses(straight, 2)
    resumed = start()
    resumed.load_trainable_state(weights.__getitem__, moments.__getitem__, steps=steps)
    module = resumed.model.model.module  # a run that resumes has put the weights there before it was wrapped
    module.load_state_dict({name: value.to(module.dtype()) for name, value in weights.items()}, strict=False)
    assert losses(resumed, 2) == after
