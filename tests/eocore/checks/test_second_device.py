"""The second device: devices that mix raise, all else computes; each in a process of its own, since devices stay registered."""

from pathlib import Path

import forked
import torch

BEGIN = """
import torch
from torch import nn
from eocore.checks.second_device import MixedDevices, second_device
"""


def run(code: str) -> str:
    """What the code prints; fails with its trace."""
    done = forked.run(["-c", BEGIN + code], cwd=Path.cwd())
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_a_step_computes_what_the_cpu_computes() -> None:
    code = """
def step(device):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)).to(device)
    states = torch.randn(2, 5, 4).to(device)
    heads = layers(states)[:, None]
    loss = nn.functional.scaled_dot_product_attention(heads, heads, heads, is_causal=True).square().mean()
    loss.backward()
    optimizer = torch.optim.AdamW(layers.parameters())
    optimizer.step()
    assert all(p.device.type == torch.device(device).type and p.grad.device == p.device for p in layers.parameters())
    return [loss.item(), *(p.grad.sum().item() for p in layers.parameters()), *(p.sum().item() for p in layers.parameters())]
with second_device() as (device, _):
    known, found = step("cpu"), step(device)
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-6)
    print("same")
"""
    assert run(code) == "same"


def test_activation_checkpointing_runs_again_in_backward() -> None:
    code = """
from torch.utils.checkpoint import checkpoint
with second_device() as (device, _):
    layer, calls = nn.Linear(4, 4).to(device), []
    layer.register_forward_pre_hook(lambda *_: calls.append(1))
    checkpoint(layer, torch.ones(2, 4, device=device), use_reentrant=False).sum().backward()
    print(len(calls), layer.weight.grad.tolist()[0])
"""
    assert run(code) == "2 [2.0, 2.0, 2.0, 2.0]"


MIXES = [
    "there + torch.ones(3)",
    "torch.ones(3) * there",
    "torch.cat([there, torch.ones(3)])",
    "there[None].index_copy(0, torch.tensor([0]), there[None])",
    "there.index_add(0, torch.tensor([0]), there[:1])",
    "nn.functional.linear(there, torch.ones(2, 3))",
    "torch.ones(3)[torch.zeros(1, dtype=torch.long, device=device)]",
    "nn.functional.embedding(torch.tensor([0]), there[None])",
    "there.masked_fill(torch.tensor([True, False, True]), 0.0)",
    "torch.where(there > 0, torch.ones(3), there)",
]


def test_mixes_raise() -> None:
    code = f"""
with second_device() as (device, _):
    there = torch.ones(3, device=device)
    for mix in {MIXES!r}:
        try:
            eval(mix)
        except MixedDevices as error:
            print(error)
        else:
            print("passed:", mix)
"""
    lines = run(code).splitlines()
    assert len(lines) == len(MIXES)
    for line in lines:
        assert "expected all tensors on the same device" in line, line


def test_what_a_gpu_allows_passes() -> None:
    code = """
with second_device() as (device, _):
    there = torch.arange(3.0, device=device)
    assert (there + torch.tensor(1.0)).tolist() == [1, 2, 3]
    assert there[torch.tensor([2])].tolist() == [2]
    assert torch.ones(3).to(device).device == device and there.cpu().device.type == "cpu"
    there.copy_(torch.ones(3))
    assert there.tolist() == [1, 1, 1]
    view = there[1:]
    view.mul_(5)
    assert there.tolist() == [1, 5, 5] and torch.tensor([4], device=device).item() == 4
    try:
        there.numpy()
    except TypeError as error:
        print(error)
"""
    assert run(code) == "can't convert other:0 device type tensor to numpy. Use Tensor.cpu() first."


def test_waits_of_the_host_are_noted_by_place() -> None:
    code = """
from eocore.portable.packed_attention import boundary_arguments, find_boundaries
with second_device() as (device, waits):
    boundary_arguments([0, 4, 6], device)
    assert not waits.locations, waits.locations
    assert find_boundaries(torch.tensor([[0, 1, 0, 1]], device=device)) == [0, 2, 4]
    print([place.rpartition(" ")[2] for place in waits.locations])
"""
    assert run(code) == "['find_boundaries']"


def test_unknown_devices_are_refused() -> None:
    code = """
from eocore.errors import ConfigError
for name in ("tpu", "cuda"):
    try:
        with second_device(name):
            print("there is")
    except ConfigError as error:
        print(error)
"""
    first, second = run(code).splitlines()
    assert first == "no second device 'tpu'. Choices: other, cuda."
    assert "is not linked with CUDA" in second if torch.version.cuda is None else second == "there is"
