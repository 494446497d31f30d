"""Cross-entropy at scored tokens alone."""

import math

import pytest
import torch
from torch.nn import functional

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
