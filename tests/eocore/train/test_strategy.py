"""DeepSpeed on CPUs: the same course of training at every ZeRO stage and number of ranks, accumulation, configurations, bad losses."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import deepspeed
import forked
import pytest
import torch
from deepspeed.utils import groups
from safetensors.torch import load_file
from tolerances import ACROSS_RANKS, ACROSS_ZERO_STAGES, WEIGHTS_AFTER_UPDATES

from eocore.errors import EOError
from eocore.train import strategy
from eocore.train.launch import train
from eocore.train.zero.settings import load_zero_config

SCRIPT = Path(__file__).with_name("tiny_task.py")


def scalars(work_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (work_dir / "scalars.jsonl").read_text().splitlines()]


def losses(work_dir: Path) -> list[float]:
    return [line["loss"] for line in scalars(work_dir)]


def launch(work_dir: Path, zero: str, *more: str, ranks: int = 2) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), SCRIPT, work_dir, zero, *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # where bits are compared, sums must not be shared
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def alone(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One rank, no ZeRO: the reference."""
    work_dir = tmp_path_factory.mktemp("alone")
    train(tiny.tiny_config(deepspeed="deepspeed_zero0"), work_dir)
    return work_dir


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_stage_trains_alike_on_one_rank(stage: int, alone: Path, tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny.tiny_config(deepspeed=f"deepspeed_zero{stage}"), tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(alone), **ACROSS_ZERO_STAGES.approx)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_two_ranks_train_as_one_does_on_the_same_global_batches(stage: int, alone: Path, tmp_path: Path) -> None:
    launch(tmp_path, f"deepspeed_zero{stage}", "6")
    assert losses(tmp_path) == pytest.approx(losses(alone), **ACROSS_RANKS.approx)
    ours, reference = (load_file(folder / "iter_000006" / "trainable.safetensors") for folder in (tmp_path, alone))
    assert list(ours) == list(reference)
    for name, value in reference.items():
        torch.testing.assert_close(ours[name], value, **WEIGHTS_AFTER_UPDATES.close, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 3])
def test_two_ranks_resume_exactly_where_they_stopped(stage: int, tmp_path: Path) -> None:
    straight, parts = tmp_path / "dropout-straight", tmp_path / "dropout-parts"
    launch(straight, f"deepspeed_zero{stage}", "6")
    launch(parts, f"deepspeed_zero{stage}", "6")
    for path in sorted((parts / "iter_000006").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (parts / "iter_000006").rmdir()
    launch(parts, f"deepspeed_zero{stage}", "6", "auto")
    assert losses(parts) == losses(straight)


def test_accumulated_halves_train_as_the_whole_batch(alone: Path, tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny.tiny_config({"split": 2}, deepspeed="deepspeed_zero2", accumulation=2), tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(alone), **ACROSS_RANKS.approx)


@pytest.mark.parametrize(("fault", "seen_in"), [("a sample left out", "loss"), ("gradients twice as large", "grad_norm")])
def test_a_fault_exceeds_what_stages_and_ranks_may_differ(
    fault: str, seen_in: str, tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a hundred times: a comparison within these tolerances finds it."""
    forward = tiny.TinyTask.forward

    def faulty(self: Any, batch: dict[str, torch.Tensor], mode: str = "loss") -> dict[str, Any]:
        if fault == "a sample left out":
            return forward(self, {name: values[1:] for name, values in batch.items()}, mode)
        found = forward(self, batch, mode)
        for name in ("loss_square", "loss_small"):
            found[name].register_hook(lambda gradient: 2 * gradient)
        return found

    train(tiny.tiny_config(), tmp_path / "whole")
    monkeypatch.setattr(tiny.TinyTask, "forward", faulty)
    train(tiny.tiny_config(), tmp_path / "faulty")
    runs = [[line[seen_in] for line in scalars(tmp_path / name)] for name in ("faulty", "whole")]
    assert min(tolerance.share(*runs) for tolerance in (ACROSS_ZERO_STAGES, ACROSS_RANKS)) > 100


def test_bf16_trains_with_float32_masters(tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny.tiny_config(precision="bf16"), tmp_path)
    weights = load_file(tmp_path / "iter_000006" / "trainable.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    rounded = {name: torch.equal(value, value.bfloat16().float()) for name, value in weights.items() if "extra" not in name}
    assert not any(rounded.values()), "the checkpoint holds the masters, not their rounded copies"


def test_a_loss_that_is_not_finite_stops_before_the_update(tiny: ModuleType, tmp_path: Path) -> None:
    config = tiny.tiny_config({"poison_step": 5})
    config.guard = {"max_in_a_row": 1}
    with pytest.raises(EOError, match=r"1 updates in a row were skipped, the last \(step 5\) for: loss not finite on rank 0, losses"):
        train(config, tmp_path)
    assert len(losses(tmp_path)) == 4 and (tmp_path / "iter_000003").is_dir()


def test_buckets_are_no_larger_than_what_is_trained(tiny: ModuleType) -> None:
    task: Any = tiny.TinyTask(trainable=["head"])
    made = object.__new__(strategy.ZeroStrategy)
    made.config = load_zero_config("deepspeed_zero3")
    made._cap_buckets(task)
    assert made.config["zero_optimization"]["reduce_bucket_size"] == 1024, "nine elements, aligned"
    assert made.config["zero_optimization"]["stage"] == 3


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    program = "from eocore.train.strategy import start_process_group; start_process_group(20)"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        place = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        done = forked.run(["-c", program], cwd=Path.cwd(), environment=os.environ | place)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "ConfigError: rank 0 of 1 cannot meet the others at 127.0.0.1" in last
    assert port in last and "Another program listens at this port" in last and "choose another port" in last


def test_a_group_that_stands_finds_its_variables_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second training in one process, the environment being as it was before the first."""
    assert strategy.start_process_group() == (0, 1)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name)
    assert strategy.start_process_group() == (0, 1)
    assert (os.environ["RANK"], os.environ["WORLD_SIZE"], os.environ["LOCAL_RANK"]) == ("0", "1", "0")


def test_a_group_that_was_left_may_be_joined_anew() -> None:
    """DeepSpeed keeps groups of its own, which must go with the one they were made from."""
    own = groups._get_sequence_data_parallel_group
    for _ in range(2):
        strategy.start_process_group()
        assert deepspeed.comm.get_global_rank(own(), 0) == 0
        strategy.stop_process_group()
    assert not torch.distributed.is_initialized()
