"""Bytes that autograd keeps in a forward pass under ZeRO-3, by linear layer: the program that test_zero_linear.py starts.

Arguments: a folder for logs, then one of "plain" (no engine), "lean" (as training does it), "deepspeed" (DeepSpeed's own layer) and
"switched_off" (torch's layer, memory_efficient_linear: false).
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper
from torch import Tensor, nn
from torch.utils.data import DataLoader

from eocore.models.lora import add_lora
from eocore.train import strategy as strategies
from eocore.train.strategy import ZeroStrategy, stop_process_group
from eocore.train.task import Task
from eocore.train.zero.settings import load_zero_config

WIDTH, TOKENS, LAYERS = 64, 32, 4


class Adapted(Task):
    """Two linear layers with LoRA, one frozen, the last one trained whole."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(*[nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)])
        self.model.requires_grad_(False)
        self.model[-1].requires_grad_(True)
        # one frozen layer has no LoRA beside it: nothing needs its input
        add_lora(self.model, rank=4, alpha=8, dropout=0.1, target_modules=[str(number) for number in range(LAYERS - 2)])

    def forward(self, batch: Mapping[str, Any], mode: str = "loss") -> dict[str, Any]:
        return {"loss_square": self.model(batch["inputs"]).square().mean()}

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        raise NotImplementedError


def kept(task: Task, forward: Any) -> tuple[int, int, float]:
    """(bytes of activations, bytes of weights, loss): storages kept for backward; those of partitioned parameters are not kept."""
    shapes = {tuple(getattr(parameter, "ds_shape", parameter.shape)) for parameter in task.parameters()}
    own = {parameter.untyped_storage().data_ptr() for parameter in task.parameters() if not hasattr(parameter, "ds_id")}
    held: dict[int, tuple[int, bool]] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if not hasattr(tensor, "ds_id") and place not in own:
            is_weight = tuple(tensor.shape) in shapes or tuple(tensor.t().shape if tensor.dim() == 2 else ()) in shapes
            held[place] = (tensor.untyped_storage().nbytes(), is_weight and tensor.shape[0] != TOKENS)
        return tensor

    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = forward()
    return sum(size for size, is_weight in held.values() if not is_weight), sum(size for size, weight in held.values() if weight), loss


def measure(case: str, folder: Path) -> dict[str, Any]:
    task, batch = Adapted(), {"inputs": torch.linspace(-1, 1, TOKENS * WIDTH).view(TOKENS, WIDTH)}
    if case == "plain":
        activations, weights, loss = kept(task, lambda: task(batch)["loss_square"])
    else:
        config = load_zero_config("deepspeed_zero3")
        config["zero_optimization"] |= {"stage3_param_persistence_threshold": 0, "memory_efficient_linear": case != "switched_off"}
        if case != "lean":
            strategies.use_lean_linear = lambda: None
        strategy = ZeroStrategy(config=config, precision="fp32", accumulation=1, clip_norm=1.0, work_dir=folder, seed=0)
        trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
        strategy.prepare(task, optim_wrapper=DeepSpeedOptimWrapper(torch.optim.AdamW(trained)), dispatch_kwargs={})
        engine = strategy.model.model
        activations, weights, loss = kept(task, lambda: engine(batch, mode="loss")["loss_square"])
        engine.backward(loss)
        return {"activations": activations, "weights": weights, "loss": loss.item(), "gradients": gradients(task)}
    loss.backward()
    return {"activations": activations, "weights": weights, "loss": loss.item(), "gradients": gradients(task)}


def gradients(task: Task) -> dict[str, list[float]]:
    """Of what trains, whole."""
    from deepspeed.utils import safe_get_full_grad

    found = {}
    for name, parameter in task.named_parameters():
        if parameter.requires_grad:
            value = safe_get_full_grad(parameter) if hasattr(parameter, "ds_id") else parameter.grad
            found[name] = value.flatten()[:8].tolist()
    return found


if __name__ == "__main__":
    result = measure(sys.argv[2], Path(sys.argv[1]))
    stop_process_group()
    print(json.dumps(result))
