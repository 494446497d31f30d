"""Live bytes: made, shared, freed; and the same whether a tensor has memory or not."""

import gc
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from eocore.train.planning.memory import LiveMemory, measure_step
from eocore.train.task import Task


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


class Squares(Task):
    """Of what a layer makes of the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(6, 8)

    def forward(self, batch: Any, mode: str = "loss", *, num_items_in_batch: Any = None) -> dict[str, Any]:
        return {"loss_square": self.model(batch["inputs"]).square().mean()}

    def build_loader(self, **_: Any) -> Any:
        raise NotImplementedError


def test_the_batch_counts_once_with_its_views() -> None:
    task, batch = Squares(), {"inputs": torch.zeros(4, 6)}
    unread = torch.zeros(1000)
    plain, more = measure_step(task, batch), measure_step(task, {**batch, "unread": unread, "view": unread.view(10, 100)})
    assert (more.kept - plain.kept, more.peak - plain.peak) == (4000, 4000)
