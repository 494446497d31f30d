"""Live bytes: made, shared, freed; and the same whether a tensor has memory or not."""

import gc

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from eocore.train.planning.memory import LiveMemory


def test_a_tensor_counts_while_it_lives_and_a_view_of_it_does_not() -> None:
    with LiveMemory() as memory:
        one = torch.zeros(10, 10)
        view = one[2:].view(-1)
        assert memory.now == 400
        two = one + 1
        assert memory.now == 800
        del one, two
        gc.collect()
        assert memory.now == 400, "the view keeps its storage"
        del view
        gc.collect()
    assert (memory.now, memory.peak) == (0, 800)


def test_what_was_there_before_does_not_count() -> None:
    weight = torch.zeros(100)
    with LiveMemory([weight]) as memory:
        weight.add_(1)
        weight.view(10, 10)
    assert memory.peak == 0


def test_fake_tensors_count_alike_and_take_nothing() -> None:
    with FakeTensorMode(), LiveMemory() as memory:
        large = torch.empty(2**40)
        (large * 2).sum()
    assert memory.peak >= 2 * 4 * 2**40
