"""The loop: batches per update, what hooks see, loaders that end."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from eocore.errors import DataError
from eocore.train.loop import StepLoop
from eocore.train.preemption import Orders


class Model:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def train(self) -> None:
        pass

    def train_step(self, batch: torch.Tensor, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        self.seen.append(int(batch))
        return {"loss": batch.float()}


def make_loop(numbers: int, *, max_iters: int, accumulation: int = 1) -> tuple[StepLoop, Model, list[tuple[str, dict[str, Any]]]]:
    model, calls = Model(), []
    orders = Orders()
    runner = SimpleNamespace(
        rank=0, model=model, optim_wrapper=None, orders=orders, call_hook=lambda name, **values: calls.append((name, values))
    )
    loader = DataLoader(torch.arange(numbers), batch_size=None)
    return StepLoop(runner, loader, max_iters=max_iters, accumulation=accumulation), model, calls


def test_an_update_takes_as_many_batches_as_asked() -> None:
    loop, model, calls = make_loop(9, max_iters=3, accumulation=2)
    loop.run()
    assert model.seen == [0, 1, 2, 3, 4, 5]
    after = [values for name, values in calls if name == "after_train_iter"]
    assert [values["batch_idx"] for values in after] == [0, 1, 2]
    assert [output["loss"].item() for output in after[1]["outputs"]] == [2.0, 3.0]


def test_a_resumed_loop_makes_the_steps_that_are_left() -> None:
    loop, model, _ = make_loop(9, max_iters=5)
    loop.start_at(3)
    loop.run()
    assert model.seen == [0, 1] and loop.iter == 5


def test_a_batch_put_back_comes_again() -> None:
    loop, _, _ = make_loop(9, max_iters=5)
    first = loop.next_batch()
    loop.put_back(first)
    assert [int(loop.next_batch()) for _ in range(3)] == [0, 1, 2]


def test_starting_the_loader_leaves_the_random_state() -> None:
    loop, _, _ = make_loop(9, max_iters=5)
    before = torch.get_rng_state()
    loop.next_batch()
    assert torch.equal(torch.get_rng_state(), before), "else a resumed run would draw other numbers"


def test_a_loader_that_ends_is_an_error() -> None:
    loop, _, _ = make_loop(3, max_iters=5)
    with pytest.raises(DataError, match="training data ended at step 3 of 5; a task's loader must go on without end"):
        loop.run()
