"""Bytes of all tensors that live beside a DeepSpeed engine after a step: the program that test_zero_memory.py starts on two ranks."""

import gc
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper
from torch import nn
from torch.utils.data import DataLoader

from eocore.train.strategy import ZeroStrategy, start_process_group, stop_process_group
from eocore.train.task import Task
from eocore.train.zero.settings import load_zero_config

WIDTH = 256
FROZEN, TRAINED = 2, 4


class Layers(Task):
    """Linear layers, the first ones frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(*[nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(FROZEN + TRAINED)])
        for layer in self.model[:FROZEN]:
            layer.requires_grad_(False)

    def forward(self, batch: Mapping[str, Any], mode: str = "loss") -> dict[str, Any]:
        return {"loss_square": self.model(batch["inputs"].to(self.model[0].weight.dtype)).float().square().mean()}

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        raise NotImplementedError


def live_storages() -> dict[int, torch.UntypedStorage]:
    """Of all tensors there are, by place in memory."""
    gc.collect()
    tensors = [item for item in gc.get_objects() if issubclass(type(item), torch.Tensor)]
    tensors += [tensor.grad for tensor in tensors if tensor.is_leaf and tensor.grad is not None]
    return {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}


def measure(stage: int, precision: Any, folder: Path) -> int:
    """Bytes on this rank after the first half of an accumulation, when gradients are there too; all but what was there before.

    What was there before is held until the end: an engine measured earlier may let go of its tensors only now, and new ones would take
    their places in memory.
    """
    before = live_storages()
    task = Layers()
    strategy = ZeroStrategy(
        config=load_zero_config(f"deepspeed_zero{stage}"), precision=precision, accumulation=2, clip_norm=1.0, work_dir=folder, seed=0
    )
    trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
    strategy.prepare(task, optim_wrapper=DeepSpeedOptimWrapper(torch.optim.AdamW(trained)), dispatch_kwargs={})
    for _ in range(3):
        strategy.model.train_step({"inputs": torch.ones(1, WIDTH)}, optim_wrapper=strategy.optim_wrapper)
    return sum(storage.nbytes() for place, storage in live_storages().items() if place not in before)


if __name__ == "__main__":
    rank, _ = start_process_group()
    found = {}
    for case in sys.argv[2:]:
        stage, precision = case.split("-")
        found[case] = measure(int(stage), precision, Path(sys.argv[1]))
    if rank == 0:
        print(json.dumps(found))
    stop_process_group()
