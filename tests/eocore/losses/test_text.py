"""Cross-entropy at scored tokens alone."""

import math

import pytest
import torch
from torch.nn import functional

from eocore.losses import text
from eocore.losses.text import token_cross_entropy


def test_weights_of_a_mean_give_the_mean() -> None:
    logits, targets = torch.randn(5, 7), torch.randint(0, 7, (5,))
    loss = token_cross_entropy(logits, targets, weights=torch.full((5,), 0.2))
    torch.testing.assert_close(loss, functional.cross_entropy(logits, targets))


def test_each_token_counts_by_its_weight() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    loss = token_cross_entropy(logits, torch.tensor([0, 1]), weights=torch.tensor([2.0, 0.5]))
    assert loss.item() == pytest.approx(2 * math.log(2) + 0.5 * math.log(4 / 3))


def test_without_any_label_it_is_zero_and_keeps_its_graph() -> None:
    head = torch.nn.Linear(3, 7)
    loss = token_cross_entropy(head(torch.randn(0, 3)), torch.zeros(0, dtype=torch.long), weights=torch.zeros(0))
    assert loss.item() == 0.0
    loss.backward()
    assert head.weight.grad is not None and not head.weight.grad.any()


def test_it_is_taken_in_float32_whatever_the_logits_are() -> None:
    logits, targets, weights = 8 * torch.randn(40, 50), torch.randint(0, 50, (40,)), torch.full((40,), 1 / 40)
    loss = token_cross_entropy(logits.bfloat16(), targets, weights=weights)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, functional.cross_entropy(logits.bfloat16().float(), targets))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("at_once", [1, 3 * 50, 2**24])
def test_loss_and_gradient_are_torch_s_whatever_is_held_at_once(dtype: torch.dtype, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LOGITS_AT_ONCE", at_once)
    first, second = (8 * torch.randn(40, 50, generator=torch.manual_seed(0)).to(dtype).detach() for _ in range(2))
    targets, weights = torch.randint(0, 50, (40,)), torch.rand(40)
    ours = token_cross_entropy(first.requires_grad_(), targets, weights=weights)
    theirs = (functional.cross_entropy(second.requires_grad_().float(), targets, reduction="none") * weights).sum()
    torch.testing.assert_close(ours, theirs)
    ours.backward(), theirs.backward()
    assert first.grad is not None and first.grad.dtype == dtype
    torch.testing.assert_close(first.grad, second.grad)


def test_beside_logits_in_half_precision_backward_holds_their_gradient_alone() -> None:
    logits, targets = torch.randn(64, 4096, dtype=torch.bfloat16, requires_grad=True), torch.randint(0, 4096, (64,))
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        token_cross_entropy(logits, targets, weights=torch.rand(64))
    assert [tensor.data_ptr() for tensor in kept if tensor.numel() == logits.numel()] == [logits.data_ptr()]
