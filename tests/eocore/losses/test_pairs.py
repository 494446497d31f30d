"""Losses of pairs: by hand, over ranks, with equal texts, and that gradients of two ranks are those of one."""

import os
from pathlib import Path

import pytest
import torch
from forked import context
from ports import free_port
from torch import Tensor, nn
from torch.nn import functional

from eocore.losses.pairs import gather_rows, pair_accuracy, pairs_of, patch_pairs, sigmoid_loss, softmax_loss, supposed_ranks
from eocore.train.planning.memory import LiveMemory

COUNT, WIDTH = 8, 6
KINDS = ("softmax", "sigmoid", "patches", "same")


def unit(*shape: int, seed: int) -> Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_infonce_is_the_mean_of_both_directions() -> None:
    images, texts = unit(COUNT, WIDTH, seed=0), unit(COUNT, WIDTH, seed=1)
    logits = 7 * images @ texts.T
    by_hand = 0.0
    for matrix in (logits, logits.T):
        by_hand += sum(-torch.log(row.exp()[number] / row.exp().sum()) for number, row in enumerate(matrix)) / COUNT / 2
    assert softmax_loss(pairs_of(images, texts, scale=torch.tensor([7.0]))).item() == pytest.approx(float(by_hand), rel=1e-5)


def test_the_sigmoid_loss_judges_each_pair() -> None:
    images, texts = unit(3, WIDTH, seed=0), unit(3, WIDTH, seed=1)
    pairs = pairs_of(images, texts, scale=torch.tensor([10.0]), bias=torch.tensor([-10.0]))
    by_hand = sum(-torch.log(torch.sigmoid((1 if i == j else -1) * (10 * images[i] @ texts[j] - 10))) for i in range(3) for j in range(3))
    assert sigmoid_loss(pairs).item() == pytest.approx(float(by_hand) / 3, rel=1e-5)


def test_pairs_of_equal_texts_are_no_negatives() -> None:
    images, texts = unit(3, WIDTH, seed=0), unit(2, WIDTH, seed=1)[[0, 0, 1]]
    pairs = pairs_of(images, texts, scale=torch.tensor([5.0]), keys=torch.tensor([4, 4, 9]))
    logits = 5 * images @ texts.T
    first = -torch.log(logits[0].exp()[0] / logits[0].exp()[[0, 2]].sum())
    assert functional.cross_entropy(pairs.per_image.masked_fill(pairs.same, -torch.inf)[:1], torch.tensor([0])) == pytest.approx(
        float(first)
    )
    assert torch.isfinite(softmax_loss(pairs)) and pair_accuracy(torch.eye(3), pairs) == 1


def test_patches_count_by_their_likeness_to_the_text() -> None:
    text = torch.tensor([[1.0, 0.0]])
    patches = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    scale = torch.tensor([2.0])
    pairs = patch_pairs(patches, text, scale=scale, pairs=pairs_of(text, text, scale=scale))
    weight = torch.tensor([2.0, 0.0]).softmax(0)[0]
    assert pairs.per_image.item() == pytest.approx(2 * float(weight))


def test_alone_rows_stay_as_they_are() -> None:
    rows = torch.randn(3, 2)
    assert gather_rows(rows) is rows


def losses(kind: str, images: Tensor, texts: Tensor) -> Tensor:
    scale = torch.tensor([6.0])
    keys = torch.tensor([int(row[0] > 0.2) for row in texts]) if kind == "same" else None
    pairs = pairs_of(images, texts, scale=scale, bias=torch.tensor([-3.0]) if kind == "sigmoid" else None, keys=keys)
    if kind == "patches":
        patches = torch.stack([images, functional.normalize(images.roll(1, 1), dim=-1)], 1)
        return softmax_loss(patch_pairs(patches, texts, scale=scale, pairs=pairs))
    return sigmoid_loss(pairs) if kind == "sigmoid" else softmax_loss(pairs)


def gradients(images: Tensor, texts: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Loss and gradient of a linear layer that both sides go through, for each kind."""
    found = {}
    for kind in KINDS:
        layer = nn.Linear(WIDTH, WIDTH, bias=False)
        with torch.no_grad():
            layer.weight.copy_(unit(WIDTH, WIDTH, seed=3))
        loss = losses(kind, functional.normalize(layer(images), dim=-1), functional.normalize(layer(texts), dim=-1))
        loss.backward()
        assert layer.weight.grad is not None
        found[kind] = (loss.detach(), layer.weight.grad)
    return found


def least_peak_of(vectors: Tensor) -> dict[str, int]:
    """The least of ten peaks: a collective's own thread lets go of a tensor now and then only after the next one is made."""
    peaks = [peak_of(vectors) for _ in range(10)]
    return {kind: min(peak[kind] for peak in peaks) for kind in KINDS}


def peak_of(vectors: Tensor) -> dict[str, int]:
    """Most bytes that a loss and its gradient take, for each kind."""
    found = {}
    for kind in KINDS:
        images, texts = vectors.clone().requires_grad_(), vectors.flip(0).requires_grad_()
        with LiveMemory([images, texts]) as memory:
            losses(kind, images, texts).backward()
        found[kind] = memory.peak
    return found


def one_rank(rank: int, port: int, out: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo")
    mine = slice(rank * COUNT // 2, (rank + 1) * COUNT // 2)
    found = gradients(unit(COUNT, WIDTH, seed=0)[mine], unit(COUNT, WIDTH, seed=1)[mine])
    for loss, gradient in found.values():
        for value in (loss, gradient):
            torch.distributed.all_reduce(value)
            value /= 2
    peak = least_peak_of(unit(COUNT // 2, WIDTH, seed=0))
    if rank == 0:
        torch.save({"found": found, "peak": peak}, out)
    torch.distributed.destroy_process_group()


def test_two_ranks_have_the_loss_and_gradient_of_one(tmp_path: Path) -> None:
    port, out = free_port(), str(tmp_path / "found.pt")
    processes = [context().Process(target=one_rank, args=(rank, port, out)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    answer = torch.load(out)
    together = answer["found"]
    for kind, (loss, gradient) in gradients(unit(COUNT, WIDTH, seed=0), unit(COUNT, WIDTH, seed=1)).items():
        torch.testing.assert_close(together[kind][0], loss, rtol=0, atol=1e-5, msg=kind)
        torch.testing.assert_close(together[kind][1], gradient, rtol=0, atol=1e-5, msg=kind)
    vectors = unit(COUNT // 2, WIDTH, seed=0)
    with supposed_ranks(2):
        supposed = peak_of(vectors)
    assert supposed == answer["peak"], "two ranks that are supposed take the memory of two that are there"
    assert all(supposed[kind] > alone for kind, alone in peak_of(vectors).items())


def test_supposed_ranks_end_with_their_context() -> None:
    rows = torch.randn(3, 2)
    with supposed_ranks(4):
        assert gather_rows(rows).shape == (12, 2)
    assert gather_rows(rows) is rows
