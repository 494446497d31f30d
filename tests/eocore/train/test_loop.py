"""The loop: batches per update, what hooks see, loaders that end."""

import signal
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from eocore.errors import DataError, SampleError
from eocore.train.loop import StepLoop
from eocore.train.resilience.preemption import Orders


class Model:
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.counts: list[Mapping[str, float] | None] = []

    def train(self) -> None:
        pass

    def train_step(
        self, batch: torch.Tensor, optim_wrapper: Any, *, num_items_in_batch: Mapping[str, float] | None
    ) -> dict[str, torch.Tensor]:
        self.seen.append(int(batch))
        self.counts.append(num_items_in_batch)
        return {"loss": batch.float()}


def make_loop(
    numbers: int, *, max_iters: int, accumulation: int = 1, **choices: Any
) -> tuple[StepLoop, Model, list[tuple[str, dict[str, Any]]]]:
    model, calls = Model(), []
    orders = Orders()
    runner = SimpleNamespace(
        rank=0, model=model, optim_wrapper=None, orders=orders, call_hook=lambda name, **values: calls.append((name, values))
    )
    loader = DataLoader(torch.arange(numbers), batch_size=None)
    return StepLoop(runner, loader, max_iters=max_iters, accumulation=accumulation, **choices), model, calls


def test_an_update_takes_as_many_batches_as_asked() -> None:
    loop, model, calls = make_loop(9, max_iters=3, accumulation=2)
    loop.run()
    assert model.seen == [0, 1, 2, 3, 4, 5]
    after = [values for name, values in calls if name == "after_train_iter"]
    assert [values["batch_idx"] for values in after] == [0, 1, 2]
    assert [output["loss"].item() for output in after[1]["outputs"]] == [2.0, 3.0]


def test_batches_of_an_update_are_told_the_mean_of_their_items() -> None:
    loop, model, _ = make_loop(4, max_iters=2, accumulation=2, count_items=lambda batch: {"samples": 1 + int(batch)})
    loop.run()
    assert model.counts == [{"samples": 1.5}] * 2 + [{"samples": 3.5}] * 2


def test_where_nothing_is_counted_nothing_is_told() -> None:
    loop, model, _ = make_loop(2, max_iters=2)
    loop.run()
    assert model.counts == [None, None]


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
    with pytest.raises(DataError, match="training data ended at step 3 of 5; a task's loader must continue without end"):
        loop.run()


@pytest.mark.parametrize("signal_comes", ["before", "during", "after"])
def test_the_signal_that_ended_a_loader_process_is_told_whenever_it_comes(signal_comes: str) -> None:
    """torch's handler of SIGCHLD raises in the main thread, before, while or after the broken connection is noticed."""

    class Broken(DataLoader):
        def __iter__(self) -> Any:
            raise_it(signal_comes)
            yield

    loop, _, _ = make_loop(9, max_iters=5)
    loop.dataloader = Broken(torch.arange(9), num_workers=1)
    before = signal.signal(signal.SIGALRM, say_killed)
    try:
        with pytest.raises(DataError, match=r"killed by signal: Killed\. This is the loader of rank 0, at step 1"):
            loop.next_batch()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_error_that_nobody_foresaw_names_step_and_place() -> None:
    class Broken(DataLoader):
        def __iter__(self) -> Any:
            raise FileNotFoundError("no image")
            yield

    loop, _, _ = make_loop(9, max_iters=5)
    loop.dataloader = Broken(torch.arange(9), num_workers=1)
    told = r"the batch of step 1 on rank 0 could not be prepared: FileNotFoundError: no image \(test_loop.py:\d+, in __iter__\)"
    with pytest.raises(SampleError, match=told) as caught:
        loop.next_batch()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def say_killed(*_: Any) -> None:
    raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")


def raise_it(signal_comes: str) -> None:
    if signal_comes == "before":
        try:
            say_killed()
        except RuntimeError as death:
            raise RuntimeError("DataLoader worker (pid(s) 1) exited unexpectedly") from death
    if signal_comes == "during":
        try:
            raise ConnectionResetError
        except ConnectionResetError:
            say_killed()
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    raise EOFError
