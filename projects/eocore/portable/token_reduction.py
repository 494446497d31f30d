"""Fewer vision tokens without training: means of neighbours, windows chosen by the question, tokens left out at random as a control."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from eocore.portable.compression_plan import Prompts
from eocore.portable.long_options import LongInput

SEED = 0
"""Of the tokens that `drop` leaves out: the same of equal prompts."""


def reduce_tokens(prompts: Prompts, *, long: LongInput, window: int) -> Prompts:
    """The prompts with one vision token left of `long.ratio`; words stay.

    Args:
        prompts: of a batch.
        long: one of `long_options.REDUCTIONS` and its ratio.
        window: vision tokens of a window.
    """
    reduce = {"pool": _pooled, "choose": _chosen, "drop": _dropped}[long.method]
    rows = []
    for row, length in enumerate(prompts.attention_mask.sum(1).tolist()):
        states, shown, ids = (part[row, part.shape[1] - length :] for part in prompts[:3])
        rows.append(_reduced_row(_Images(states, list(shown.nonzero().flatten().split(window))), ids, reduce=reduce, ratio=long.ratio))
    width = max(len(ids) for ids, _, _ in rows)
    lead = [width - len(ids) for ids, _, _ in rows]
    return Prompts(
        torch.stack([functional.pad(states, (0, 0, first, 0)) for first, (_, states, _) in zip(lead, rows, strict=True)]),
        torch.stack([functional.pad(shown, (first, 0)) for first, (_, _, shown) in zip(lead, rows, strict=True)]),
        torch.stack([functional.pad(ids, (first, 0)) for first, (ids, _, _) in zip(lead, rows, strict=True)]),
        torch.stack([functional.pad(torch.ones_like(ids), (first, 0)) for first, (ids, _, _) in zip(lead, rows, strict=True)]),
    )


class _Images(NamedTuple):
    """The images of one prompt.

    Attributes:
        states: (L, D) embeddings of the prompt.
        windows: columns of each window.
    """

    states: Tensor
    windows: list[Tensor]

    def of(self, columns: Tensor) -> Tensor:
        """Embeddings of columns."""
        return self.states[columns.to(self.states.device)]


Reduce = Callable[[_Images, int], tuple[Tensor, Tensor]]
"""(images, ratio) -> (columns that are left, their embeddings)."""


def _reduced_row(images: _Images, ids: Tensor, *, reduce: Reduce, ratio: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, embeddings and which are of images, of a prompt with fewer vision tokens."""
    if not images.windows or not len(images.windows[0]):
        return ids, images.states, torch.zeros(len(ids), dtype=torch.bool)
    is_word = torch.ones(len(ids), dtype=torch.bool)
    is_word[torch.cat(images.windows)] = False
    left, own = reduce(images, ratio)
    words = is_word.nonzero().flatten()
    columns = torch.cat([words, left])
    order = columns.argsort()
    states = torch.cat([images.of(words), own])[order.to(own.device)]
    return ids[columns[order].to(ids.device)], states, (order >= len(words))


def _pooled(images: _Images, ratio: int) -> tuple[Tensor, Tensor]:
    """Means of so many neighbours within each window; the rest at its end is a mean of fewer."""
    groups = [group for window in images.windows for group in window.split(ratio)]
    return torch.stack([group[-1] for group in groups]), torch.stack([images.of(group).mean(0) for group in groups])


def _chosen(images: _Images, ratio: int) -> tuple[Tensor, Tensor]:
    """The windows whose mean is most like the mean of the words behind the images; a fraction of all, at least one."""
    question = images.states[int(images.windows[-1][-1]) + 1 :].float().mean(0)
    means = torch.stack([images.of(window).float().mean(0) for window in images.windows])
    likeness = functional.cosine_similarity(means, question[None])
    best = likeness.topk(max(len(images.windows) // ratio, 1)).indices.sort().values.tolist()
    left = torch.cat([images.windows[number] for number in best])
    return left, images.of(left)


def _dropped(images: _Images, ratio: int) -> tuple[Tensor, Tensor]:
    """Tokens drawn at random from each window, as many as its compression tokens would be; at least one."""
    draw = torch.Generator().manual_seed(SEED)
    left = torch.cat([window[torch.randperm(len(window), generator=draw)[: max(len(window) // ratio, 1)]] for window in images.windows])
    return left, images.of(left)
