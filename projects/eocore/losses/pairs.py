"""Losses of matching pairs over the global batch: every rank sees the vectors of all ranks, and gradients go back to where they came from.

Each function returns the loss of this rank's rows; its mean over the ranks, as data-parallel training takes it of gradients, is the loss of
the global batch. Ranks hold batches of one size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional

from eocore.distributed import num_ranks


class Pairs(NamedTuple):
    """This rank's N pairs among the M of the global batch.

    Attributes:
        per_image: (N, M) logits of this rank's images with all texts.
        per_text: (N, M) logits of this rank's texts with all images.
        targets: (N,) index of each pair among the M.
        same: (N, M) bool: pairs of other samples with the very same text, which are no negatives; None = there is nothing to leave out.
    """

    per_image: Tensor
    per_text: Tensor
    targets: Tensor
    same: Tensor | None = None


class _Ranks(NamedTuple):
    """The ranks whose rows are compared.

    Attributes:
        number: how many.
        own: which of them this one is.
        real: whether they are there to exchange rows with.
    """

    number: int
    own: int = 0
    real: bool = True


_supposed: ContextVar[_Ranks | None] = ContextVar("supposed_ranks", default=None)


@contextmanager
def supposed_ranks(number: int) -> Iterator[None]:
    """Within it, rows are gathered as from `number` ranks, of which this is the first; nothing is exchanged, the others' rows are not set.

    Whatever gathering allocates is allocated: estimates of memory are made so.
    """
    token = _supposed.set(_Ranks(number, real=False))
    try:
        yield
    finally:
        _supposed.reset(token)


def _ranks() -> _Ranks:
    return _supposed.get() or (_Ranks(num_ranks(), dist.get_rank()) if num_ranks() > 1 else _Ranks(1))


class _GatherRows(torch.autograd.Function):
    """All ranks' rows; backward sums, over the ranks, the gradients of this rank's rows.

    torch's own differentiable gather warns of its removal, and what it names instead is not in every release that is supported.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.length, ctx.ranks = len(rows), (ranks := _ranks())
        gathered = [torch.empty_like(rows) for _ in range(ranks.number)]
        if ranks.real:
            dist.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous()
        if ctx.ranks.real:
            dist.all_reduce(total)
        start = ctx.ranks.own * ctx.length
        return total[start : start + ctx.length]


def gather_rows(rows: Tensor) -> Tensor:
    """(ranks * N, ...) the rows (N, ...) of all ranks in the order of the ranks, differentiable; the same on every rank."""
    if _ranks().number == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


def own_pairs(images: Tensor, texts: Tensor, *, scale: Tensor, bias: Tensor | None = None, keys: Tensor | None = None) -> Pairs:
    """The logits of a batch's pairs among themselves, whatever other ranks hold; arguments as `pairs_of`."""
    logits = scale.float() * images.float() @ texts.float().T + (0.0 if bias is None else bias.float())
    targets = torch.arange(len(images), device=images.device)
    same = None if keys is None else (keys[:, None] == keys[None]).scatter(1, targets[:, None], False)
    return Pairs(logits, logits.T, targets, same)


def pairs_of(images: Tensor, texts: Tensor, *, scale: Tensor, bias: Tensor | None = None, keys: Tensor | None = None) -> Pairs:
    """The logits of this rank's pairs among all of the global batch.

    Args:
        images, texts: (N, D) vectors of length 1.
        scale: what cosines are multiplied with.
        bias: what is added then.
        keys: (N,) whole numbers, equal where texts are; pairs of equal texts are then no negatives of each other.
    """
    images, texts = images.float(), texts.float()
    shift = 0.0 if bias is None else bias.float()
    per_image = scale.float() * images @ gather_rows(texts).T + shift
    per_text = scale.float() * texts @ gather_rows(images).T + shift
    targets = _ranks().own * len(images) + torch.arange(len(images), device=images.device)
    if keys is None:
        return Pairs(per_image, per_text, targets)
    same = keys[:, None] == gather_rows(keys)[None]
    same = same.scatter(1, targets[:, None], False)
    return Pairs(per_image, per_text, targets, same)


def softmax_loss(pairs: Pairs) -> Tensor:
    """Symmetric InfoNCE: the mean of the cross-entropies of both directions.

    Source: Radford et al. 2021 (arXiv 2103.00020), figure 3.
    """
    both = (pairs.per_image, pairs.per_text)
    if pairs.same is not None:
        both = (both[0].masked_fill(pairs.same, -torch.inf), both[1].masked_fill(pairs.same, -torch.inf))
    return (functional.cross_entropy(both[0], pairs.targets) + functional.cross_entropy(both[1], pairs.targets)) / 2


def sigmoid_loss(pairs: Pairs) -> Tensor:
    """Each image and text by themselves: -log sigmoid(z * logit), z = 1 for a pair, else -1; summed over texts, mean over images.

    Source: Zhai et al. 2023 (arXiv 2303.15343), equation 1.
    """
    signs = -torch.ones_like(pairs.per_image)
    signs.scatter_(1, pairs.targets[:, None], 1.0)
    losses = -functional.logsigmoid(signs * pairs.per_image)
    if pairs.same is not None:
        losses = losses.masked_fill(pairs.same, 0.0)
    return losses.sum(1).mean()


def patch_text_logits(patches: Tensor, texts: Tensor, *, scale: Tensor) -> Tensor:
    """(N, M) compatibility of images and texts by their patches: patches count by their softmax similarity with the text.

    Args:
        patches: (N, P, D) vectors of length 1.
        texts: (M, D) vectors of length 1.
        scale: what cosines are multiplied with, for the weights and for the result.

    Source: Mukhoti et al. 2022, PACL (arXiv 2212.04994), equations 3 to 5.
    """
    cosines = patches.float() @ texts.float().T
    return scale.float() * ((scale.float() * cosines).softmax(1) * cosines).sum(1)


def patch_pairs(patches: Tensor, texts: Tensor, *, scale: Tensor, pairs: Pairs) -> Pairs:
    """`pairs` with logits by patches: rows of this rank's images, and of its texts from the rows of all ranks; of `own_pairs`, of its own.

    Args:
        patches: (N, P, D) vectors of length 1.
        texts: (N, D) vectors of length 1.
        scale: what cosines are multiplied with.
        pairs: of the same samples.
    """
    if pairs.per_image.shape[1] == len(texts):
        rows = patch_text_logits(patches, texts, scale=scale)
        return pairs._replace(per_image=rows, per_text=rows.T)
    rows = patch_text_logits(patches, gather_rows(texts.float()), scale=scale)
    columns = gather_rows(rows).T[pairs.targets]
    return pairs._replace(per_image=rows, per_text=columns)


@torch.no_grad()
def pair_accuracy(logits: Tensor, pairs: Pairs) -> Tensor:
    """Fraction of rows whose own pair is the most likely; pairs of equal texts do not compete."""
    if pairs.same is not None:
        logits = logits.masked_fill(pairs.same, -torch.inf)
    return (logits.argmax(1) == pairs.targets).float().mean()
