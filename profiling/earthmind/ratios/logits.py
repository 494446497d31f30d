"""Logits of every position against logits of the supervised ones."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from eocore.losses.text import token_cross_entropy
from eocore.registry import RATIOS
from profiling.ratios.ratio import Goal, Pair, Result, Side

IGNORE = -100


@RATIOS.register_module(name="G1")
class SupervisedLogits(Pair):
    """Cross-entropy over the whole vocabulary, forward and backward with the head's own gradient.

    The reference scores all positions in float32, moves them by one and lets the cross-entropy leave out what has no label, as
    transformers' causal language models did when the upstream code was written.

    Args:
        tokens: of the sequence.
        vocabulary: size of the head.
        width: of the states.
        rows: positions with a label.
    """

    what = "cross-entropy: all positions in float32 | supervised positions"
    goals = (Goal(quantity="time", goal=15.0, limit="S / rows = 27"), Goal(quantity="memory", goal=10.0, limit="S / rows = 27"))

    def __init__(self, *, tokens: int = 1344, vocabulary: int = 151_674, width: int = 256, rows: int = 50) -> None:
        self.tokens, self.vocabulary, self.width, self.rows = tokens, vocabulary, width, rows

    def prepare(self, side: Side) -> Callable[[], Result]:
        """See `Pair.prepare`; returns the loss and the gradient of the states."""
        torch.manual_seed(0)
        head = nn.Linear(self.width, self.vocabulary, bias=False)
        head.weight.grad = torch.zeros_like(head.weight)
        given = torch.randn(1, self.tokens, self.width)
        labels = torch.full((1, self.tokens), IGNORE)
        labels[0, -self.rows :] = torch.randint(self.vocabulary, (self.rows,))
        # what the collator hands over
        positions = (labels[0, 1:] != IGNORE).nonzero().flatten()
        targets = labels[0, 1:][positions]

        def work() -> Result:
            states = given.clone().requires_grad_()
            loss = (
                _all_positions(head, states, labels=labels)
                if side == "reference"
                else _learned(head, states, positions=positions, targets=targets)
            )
            loss.backward()
            assert states.grad is not None
            return loss.detach(), states.grad

        return work


def _all_positions(head: nn.Linear, states: Tensor, *, labels: Tensor) -> Tensor:
    logits = head(states).float()
    shifted = logits[..., :-1, :].contiguous()
    return functional.cross_entropy(shifted.view(-1, shifted.shape[-1]), labels[..., 1:].reshape(-1), ignore_index=IGNORE)


def _learned(head: nn.Linear, states: Tensor, *, positions: Tensor, targets: Tensor) -> Tensor:
    weights = torch.full(positions.shape, 1.0 / len(positions))
    return token_cross_entropy(head(states.flatten(0, 1)[positions]), targets, weights=weights)
