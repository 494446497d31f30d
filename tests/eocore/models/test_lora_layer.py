"""The layer that LoRA is trained with: dropout in what it draws and in its gradients, and everything else as peft computes it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from eocore.models.lora import ADAPTER, add_lora, merge_lora
from eocore.models.lora_layer import LoraLinear, PeftLinear, draw_kept

DROPPED, RANK, SCALE = 0.3, 4, 2.0
CPU = torch.device("cpu")


@pytest.fixture
def model() -> nn.Sequential:
    """One adapted layer in training, its update not nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 10)).train()
    add_lora(model, rank=RANK, alpha=RANK * SCALE, dropout=DROPPED, target_modules=["0"])
    nn.init.normal_(layer_of(model).lora_B[ADAPTER].weight)
    return model


def layer_of(model: nn.Sequential) -> LoraLinear:
    layer = model[0]
    assert isinstance(layer, LoraLinear)
    return layer


@pytest.mark.parametrize("shape", [(3, 5, 24), (7, 24)])
def test_results_and_gradients_are_those_of_the_formula(model: nn.Sequential, shape: tuple[int, ...]) -> None:
    layer, states = layer_of(model.double()), torch.randn(shape, dtype=torch.float64)
    first, second = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    found: list[list[torch.Tensor]] = []
    for formula in (False, True):
        torch.manual_seed(1)
        given = states.clone().requires_grad_()
        if formula:
            kept, fraction = draw_kept(states.shape, DROPPED, device=CPU)
            result = layer.base_layer(given) + SCALE * functional.linear(functional.linear(given * kept / fraction, first), second)
        else:
            result = model(given)
        gradients = torch.autograd.grad(result.square().sum(), [given, first, second])
        found.append([result, *gradients])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("dropped", [0.05, 0.5, 1e-6])
def test_as_many_are_dropped_as_was_asked(dropped: float) -> None:
    torch.manual_seed(0)
    kept, fraction = draw_kept(torch.Size([1001, 999]), dropped, device=CPU)
    assert kept.dtype == torch.bool and kept.shape == (1001, 999)
    assert fraction == pytest.approx(1 - dropped, abs=1e-5)
    deviation = (dropped * (1 - dropped) / kept.numel()) ** 0.5
    assert kept.float().mean().item() == pytest.approx(fraction, abs=5 * deviation + 1e-9)
    # neighbours fraction a random number and must not fraction a fate
    pairs = (~kept[:, :-1] & ~kept[:, 1:]).float().mean().item()
    assert pairs == pytest.approx(dropped**2, abs=5 * dropped / kept.numel() ** 0.5 + 1e-9)


def test_the_update_is_the_same_in_expectation(model: nn.Sequential) -> None:
    states = torch.randn(24)
    with torch.no_grad():
        found = model(states.expand(40_000, -1)).mean(0)
        expected = model.eval()(states)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)


def test_nothing_is_dropped_in_use(model: nn.Sequential) -> None:
    layer, states = layer_of(model.eval()), torch.randn(5, 24)
    update = functional.linear(functional.linear(states, layer.lora_A[ADAPTER].weight), layer.lora_B[ADAPTER].weight)
    torch.testing.assert_close(model(states), layer.base_layer(states) + SCALE * update)


def test_a_layer_that_is_switched_off_or_merged_is_peft_s(model: nn.Sequential) -> None:
    layer, states = layer_of(model.eval()), torch.randn(5, 24)
    adapted = model(states)
    layer.enable_adapters(False)
    torch.testing.assert_close(model(states), layer.base_layer(states))
    layer.enable_adapters(True)
    assert merge_lora(model) == 1
    torch.testing.assert_close(model(states), adapted)


def test_autocast_chooses_the_precision(model: nn.Sequential) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = model(torch.randn(5, 24, requires_grad=True))
    result.float().sum().backward()
    assert result.dtype == torch.bfloat16
    gradient = layer_of(model).lora_A[ADAPTER].weight.grad
    assert gradient is not None and gradient.dtype == torch.float32 and gradient.abs().sum() > 0


def test_weights_of_another_precision_than_the_states(model: nn.Sequential) -> None:
    """A base layer in bfloat16 beside float32 LoRA: the result has the precision of the base layer."""
    layer_of(model).base_layer.to(torch.bfloat16)
    result = model(torch.randn(5, 24, dtype=torch.bfloat16))
    result.sum().backward()
    assert result.dtype == torch.bfloat16 and layer_of(model).lora_A[ADAPTER].weight.grad is not None


def test_peft_s_own_forward_continues_to_work(model: nn.Sequential) -> None:
    """The benchmark measures it, and peft takes it for several adapters; in use both give the same."""
    layer, states = layer_of(model), torch.randn(5, 24)
    torch.manual_seed(1)
    dropped = functional.dropout(states, DROPPED)
    update = functional.linear(functional.linear(dropped, layer.lora_A[ADAPTER].weight), layer.lora_B[ADAPTER].weight)
    torch.manual_seed(1)
    torch.testing.assert_close(PeftLinear.forward(layer, states), layer.base_layer(states) + SCALE * update)
    model.eval()
    torch.testing.assert_close(PeftLinear.forward(layer, states), model(states))


def test_other_devices_draw_by_themselves(model: nn.Sequential) -> None:
    """The operators of a GPU, on tensors without numbers."""
    kept, fraction = draw_kept(torch.Size([3, 5]), DROPPED, device=torch.device("meta"))
    assert (kept.shape, kept.dtype, kept.device.type, fraction) == ((3, 5), torch.bool, "meta", 1 - DROPPED)
    result = model.to("meta")(torch.empty(2, 5, 24, device="meta", requires_grad=True))
    result.sum().backward()
    gradient = layer_of(model).lora_A[ADAPTER].weight.grad
    assert result.shape == (2, 5, 10) and gradient is not None and gradient.shape == (RANK, 24)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none")
def test_a_gpu_drops_as_many_as_was_asked() -> None:
    kept, fraction = draw_kept(torch.Size([1000, 1000]), 0.05, device=torch.device("cuda"))
    assert kept.float().mean().item() == pytest.approx(fraction, abs=2e-3)
