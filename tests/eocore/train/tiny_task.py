"""A task of a few hundred parameters on made-up data, for the tests of the training machinery. Run as a script it trains."""

import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from eocore.models.freeze import apply_trainable
from eocore.registry import TASKS
from eocore.train.launch import train
from eocore.train.options import TrainabilityOptions
from eocore.train.task import Task

GLOBAL_BATCH = 4
WIDTH = 6


class GlobalBatches(IterableDataset):
    """This rank's share of every global batch, in `split` parts; each batch is a function of (seed, number) alone."""

    def __init__(self, *, rank: int, world_size: int, seed: int, start_step: int, split: int) -> None:
        self.rank, self.world_size, self.seed, self.start_step, self.split = rank, world_size, seed, start_step, split

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        share = GLOBAL_BATCH // (self.world_size * self.split)
        for number in itertools.count(self.start_step):
            generator = torch.Generator().manual_seed(self.seed * 100_003 + number // self.split)
            inputs = torch.randn(GLOBAL_BATCH, WIDTH, generator=generator)
            start = (self.rank * self.split + number % self.split) * share
            mine = slice(start, start + share)
            yield {"inputs": inputs[mine], "target": inputs.sin().sum(1)[mine]}


class TinyModel(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.encoder = nn.Linear(WIDTH, 8)
        self.norm = nn.LayerNorm(8)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, 1)
        self.extra = nn.Parameter(torch.zeros(3))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.dropout(self.norm(torch.tanh(self.encoder(inputs.to(self.encoder.weight.dtype)))))
        return self.head(hidden).squeeze(-1).float()


@TASKS.register_module(force=True)
class TinyTask(Task):
    uncompared: ClassVar[Mapping[str, str]] = {**TrainabilityOptions.uncompared, "poison_step": "of the tests"}

    def __init__(self, *, trainable: list[str], dropout: float = 0.0, poison_step: int = -1, split: int = 1) -> None:
        super().__init__()
        self.model = TinyModel(dropout)
        self.poison_step = poison_step
        self.split = split
        self.calls = 0
        apply_trainable(self.model, trainable)

    def forward(self, batch: Mapping[str, Any], mode: str = "loss") -> dict[str, Any]:
        error = self.model(batch["inputs"]) - batch["target"]
        self.calls += 1
        unused = 0.0 * self.model.extra.sum()
        poison = float("nan") if self.calls == self.poison_step else 1.0
        return {
            "loss_square": error.square().mean() * poison,
            "loss_small": 0.1 * error.abs().mean() + unused,
            "bias": error.mean(),
            "num_samples": len(error),
        }

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        batches = GlobalBatches(rank=rank, world_size=world_size, seed=seed, start_step=start_step, split=self.split)
        return DataLoader(batches, batch_size=None)


def tiny_config(task: Mapping[str, Any] | None = None, **training: Any) -> Config:
    """A config that trains TinyTask for six updates and saves after three; `task` and `training` change its sections."""
    return Config(
        {
            "seed": 1,
            "task": {"type": "TinyTask", "trainable": ["encoder", "norm", "head", "extra"]} | dict(task or {}),
            "training": {"max_iters": 6, "deepspeed": "deepspeed_zero2"} | training,
            "optimizer": {"lr": 0.05},
            "schedule": {"warmup_ratio": 0.34},
            "hooks": {
                "metrics": {"type": "MetricsHook", "interval": 1},
                "checkpoint": {"type": "CheckpointHook", "interval": 3, "keep": 2},
            },
            "tracking": [],
        },
        format_python_code=False,
    )


if __name__ == "__main__":
    work_dir, zero, max_iters, *resume = sys.argv[1:]
    config = tiny_config({"dropout": 0.3 if "dropout" in work_dir else 0.0}, deepspeed=zero, max_iters=int(max_iters))
    train(config, Path(work_dir), resume=resume[0] if resume else None)
