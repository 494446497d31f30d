"""One judgement per update, the same on all ranks (R10, R11, R17): real training on two gloo ranks with faults on one of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from eocore.errors import ConfigError, EOError
from eocore.train.resilience.guard import GuardOptions, StepGuard
from eocore.train.resilience.preemption import Orders
from eocore.train.work_dir import read_status

EVERY = {"interval": 1, "keep": 20}


def weights(work_dir: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(work_dir / f"iter_{step:06d}" / "trainable.safetensors")


def changed(work_dir: Path, step: int) -> bool:
    """True where every weight changed in an update, False where none did."""
    before, after = weights(work_dir, step - 1), weights(work_dir, step)
    (answer,) = {not torch.equal(before[name], after[name]) for name in before}
    return answer


def skips(work_dir: Path) -> list[dict[str, Any]]:
    path = work_dir / "skipped.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.fault
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("zero", "accumulation"), [(0, 1), (1, 1), (2, 1), (3, 1), (2, 2)])
def test_a_bad_loss_or_gradient_on_one_rank_is_skipped_by_all(
    faulty: ModuleType, tmp_path: Path, zero: int, accumulation: int, precision: str
) -> None:
    kinds = {3: "nan_loss", 5: "inf_loss", 7: "nan_gradient"}
    faults = [{"kind": kind, "rank": 1, "step": step} for step, kind in kinds.items()]
    training = {"deepspeed": f"deepspeed_zero{zero}", "accumulation": accumulation, "precision": precision}
    config = faulty.make_config({"faults": faults}, EVERY, max_iters=8, **training)
    ranks = faulty.run_ranks(config, tmp_path / "run", timeout_s=300)
    assert [rank.code for rank in ranks] == [0, 0], ranks[1].text[-3000:]
    assert [step for step in range(2, 9) if not changed(tmp_path / "run", step)] == [3, 5, 7], "a skipped update changes no bit"
    records = skips(tmp_path / "run")
    assert [(record["step"], record["reason"]) for record in records] == [
        (3, "loss not finite on rank 1"),
        (5, "loss not finite on rank 1"),
        (7, "gradient not finite on rank 1"),
    ]
    assert [len(names) for names in records[0]["sample_ids"]] == [2 * accumulation] * 2
    state = json.loads((tmp_path / "run" / "iter_000008" / "trainer.json").read_text())
    assert state["guard"]["skipped"] == {"loss not finite": 2, "gradient not finite": 1} and state["optimizer_steps"] == 5


@pytest.mark.fault
def test_too_many_in_a_row_stop_the_run_on_all_ranks(faulty: ModuleType, tmp_path: Path) -> None:
    config = faulty.make_config({"faults": [{"kind": "nan_loss", "rank": 1, "step": [5, 6, 7]}]}, EVERY)
    config["guard"] = {"max_in_a_row": 3}
    ranks = faulty.run_ranks(config, tmp_path / "run")
    assert [rank.code for rank in ranks] == [1, 1]
    told = "3 updates in a row were skipped, the last (step 7) for: loss not finite on rank 1"
    assert sum(told in rank.text for rank in ranks) == 1, "once, by the rank that was first"
    assert [record["step"] for record in skips(tmp_path / "run")] == [5, 6, 7]
    status = read_status(tmp_path / "run")
    assert (status["state"], status["checkpoint"]) == ("failed", "iter_000006") and "3 updates in a row" in status["reason"]


@pytest.mark.fault
@pytest.mark.parametrize(("accumulation", "precision", "zero"), [(1, "fp32", 2), (2, "fp32", 2), (2, "bf16", 2), (2, "bf16", 0)])
def test_out_of_memory_on_one_rank_is_skipped_by_all(
    faulty: ModuleType, tmp_path: Path, accumulation: int, precision: str, zero: int
) -> None:
    training = {"deepspeed": f"deepspeed_zero{zero}", "accumulation": accumulation, "precision": precision}
    config = faulty.make_config({"faults": [{"kind": "out_of_memory", "rank": 1, "step": 4}]}, EVERY, max_iters=6, **training)
    if accumulation == 2:  # once: in the last batch of the update, or it would be in both
        config["task"]["faults"][0]["marker"] = str(tmp_path / "struck")
    ranks = faulty.run_ranks(config, tmp_path / "run")
    assert [rank.code for rank in ranks] == [0, 0], ranks[1].text[-3000:]
    assert [step for step in range(2, 7) if not changed(tmp_path / "run", step)] == [4]
    (record,) = skips(tmp_path / "run")
    assert record["reason"] == "out of memory on rank 1" and "rank 1 is out of memory for samples n" in ranks[1].text


@pytest.mark.fault
def test_out_of_memory_where_ranks_already_wait_ends_all(faulty: ModuleType, tmp_path: Path) -> None:
    fault = {"kind": "out_of_memory", "rank": 1, "step": 4}
    ranks = faulty.run_ranks(faulty.make_config({"faults": [fault]}, EVERY, deepspeed="deepspeed_zero3"), tmp_path / "run")
    assert all(rank.code for rank in ranks), [rank.code for rank in ranks]
    assert "rank 1 ran out of memory in step 4 for samples n" in read_status(tmp_path / "run")["reason"]


@pytest.mark.fault
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_spike_is_skipped_and_the_statistics_outlive_a_restart(faulty: ModuleType, tmp_path: Path, precision: str) -> None:
    training = {"max_iters": 72, "precision": precision}
    config = faulty.make_config({"faults": [{"kind": "spike", "rank": 0, "step": 71}]}, {"interval": 68, "keep": 9}, **training)
    ranks = faulty.run_ranks(config, tmp_path / "run", timeout_s=300)
    assert [rank.code for rank in ranks] == [0, 0], ranks[0].text[-3000:]
    assert [(record["step"], record["reason"]) for record in skips(tmp_path / "run")] == [(71, "loss spike")]
    # Gone on from step 68: three more losses alone would not be enough history.
    (tmp_path / "run" / "skipped.jsonl").unlink()
    again = faulty.run_ranks(config, tmp_path / "run", resume=str(tmp_path / "run" / "iter_000068"), timeout_s=300)
    assert [rank.code for rank in again] == [0, 0], again[0].text[-3000:]
    assert [(record["step"], record["reason"]) for record in skips(tmp_path / "run")] == [(71, "loss spike")]


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[StepGuard]:
    options = GuardOptions(spike_history=10, spike_window=20, max_in_a_row=3)
    yield StepGuard(options, Orders(), work_dir=tmp_path)


def judge(guard: StepGuard, loss: float) -> bool:
    guard.see_loss(torch.tensor(loss))
    return guard.judge()


def test_a_spike_is_more_than_six_deviations_above_the_accepted_losses(guard: StepGuard) -> None:
    for number in range(20):
        assert judge(guard, 1.0 + 0.1 * (number % 2))  # deviation 0.0513, mean 1.05
    assert judge(guard, 1.05 + 5.9 * 0.0513)
    guard.restore(20, {"losses": [1.0 + 0.1 * (number % 2) for number in range(20)], "skipped": {}, "in_a_row": 0})
    assert not judge(guard, 1.05 + 6.1 * 0.0513)
    assert judge(guard, 0.1), "a low loss is no spike"


def test_no_loss_is_a_spike_before_there_is_a_history(guard: StepGuard) -> None:
    assert all(judge(guard, loss) for loss in [1.0, 1.1] * 4 + [1e6])


def test_a_skipped_loss_does_not_widen_the_bounds(guard: StepGuard) -> None:
    for number in range(12):
        judge(guard, 1.0 + 0.1 * (number % 2))
    assert not judge(guard, 1e4) and not judge(guard, 1e4)
    assert judge(guard, 1.0) and guard.in_a_row == 0 and guard.skipped == {"loss spike": 2}


def test_the_limit_counts_updates_in_a_row(guard: StepGuard) -> None:
    for loss in (float("nan"), float("nan"), 1.0, float("nan"), float("inf")):
        judge(guard, loss)
    with pytest.raises(EOError, match=r"3 updates in a row were skipped, the last \(step 6\) for: loss not finite on rank 0"):
        judge(guard, float("nan"))


def test_the_samples_of_a_skipped_update_are_listed(guard: StepGuard, tmp_path: Path) -> None:
    guard.see_batch(SimpleNamespace(sample_ids=["a", "b"]))
    guard.see_batch(SimpleNamespace(sample_ids=["c"]))
    assert not judge(guard, float("nan"))
    guard.see_batch(SimpleNamespace(sample_ids=["d"]))
    assert not judge(guard, float("nan"))
    assert [record["sample_ids"] for record in skips(tmp_path)] == [[["a", "b", "c"]], [["d"]]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_in_a_row": 0}, "guard.max_in_a_row is 0; expected at least 1"),
        ({"spike_sigmas": -1.0}, "guard.spike_sigmas is -1.0"),
        ({"spike_history": 200}, "guard.spike_history is 200, guard.spike_window 128"),
        ({"out_of_memory": "retry"}, "guard.out_of_memory is 'retry'; expected one of skip, stop"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GuardOptions(**options)
