"""A tiny task on a real sampler, dataset and loader, in which faults can be made to happen; and ranks of it as quick processes.

A fault is a dict: `kind`, the `step` and `rank` or the dataset `index` it strikes at, and `marker`, a file that says it has struck already.
"""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from torch import nn
from torch.utils.data import DataLoader

from eocore.data.dataset import PreparedDataset, SampleKey, SampleSource
from eocore.data.loading.held_out import HeldOut, HeldOutBatches, cut_batches
from eocore.data.loading.sampler import GlobalBatchSampler
from eocore.data.loading.shard import Shard
from eocore.errors import DataError, EOError
from eocore.models.freeze import apply_trainable
from eocore.registry import TASKS
from eocore.train.launch import train
from eocore.train.options import DataOptions, TrainabilityOptions
from eocore.train.resilience.failure import show_failure
from eocore.train.resilience.heartbeat import HEARTBEAT
from eocore.train.task import Task

WIDTH = 6
NUM_SAMPLES = 40
IDS = "ids_{}.jsonl"


class Numbers(SampleSource):
    """Random vectors, each a function of its index."""

    name = "numbers"

    def __init__(self, faults: Sequence[Mapping[str, Any]]) -> None:
        self.faults = faults

    def __len__(self) -> int:
        return NUM_SAMPLES

    def describe(self, key: SampleKey) -> str:
        return f"dataset 'numbers', index {key.index}, sample 'n{key.index}' (numbers.json#{key.index})"

    def lengths(self, epoch: int = 0) -> np.ndarray:
        return np.ones(NUM_SAMPLES, dtype=np.int64)

    def read(self, key: SampleKey, rng: np.random.Generator) -> Any:
        for fault in self.faults:
            if fault.get("index") == key.index and first_time(fault):
                strike(fault["kind"])
        return key, {}


class NumberBatch(NamedTuple):
    inputs: torch.Tensor
    target: torch.Tensor
    sample_ids: list[str]


def prepare(key: Any, scenes: Any, rng: np.random.Generator) -> dict[str, Any]:
    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(key.index))
    return {"id": f"n{key.index}", "inputs": vector + 0.01 * float(rng.normal())}


def collate(samples: list[dict[str, Any]]) -> NumberBatch:
    inputs = torch.stack([sample["inputs"] for sample in samples])
    return NumberBatch(inputs, inputs.sin().sum(1), [sample["id"] for sample in samples])


def first_time(fault: Mapping[str, Any]) -> bool:
    """False where the fault has struck before."""
    marker = fault.get("marker")
    if marker and Path(marker).exists():
        return False
    if marker:
        Path(marker).touch()
    return True


def strike(kind: str) -> None:
    """A fault that ends or stops this process."""
    if kind == "hang":
        time.sleep(3600)
    elif kind == "segfault":
        ctypes.string_at(0)
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "exit":
        os._exit(3)
    elif kind == "data_error":
        raise DataError("numbers.bin: holds letters; expected numbers. Fetch it again.")
    elif kind == "raise":
        raise ValueError("raised on purpose")
    elif kind == "out_of_memory":
        raise torch.OutOfMemoryError("simulated")
    elif kind in ("SIGTERM", "SIGUSR1"):
        os.kill(os.getpid(), getattr(signal, kind))


@TASKS.register_module(force=True)
class FaultyTask(Task):
    uncompared: ClassVar[Mapping[str, str]] = {
        **DataOptions.uncompared,
        **TrainabilityOptions.uncompared,
        **dict.fromkeys(("faults", "id_folder", "sleep"), "of the tests"),
    }

    def __init__(
        self,
        *,
        faults: Sequence[Mapping[str, Any]] = (),
        batch_size: int = 2,
        num_workers: int = 0,
        dropout: float = 0.3,
        trainable: Sequence[str] = ("hidden", "head"),
        id_folder: str | None = None,
        width: int = 8,
        sleep: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = nn.ModuleDict(
            {"stem": nn.Linear(WIDTH, width), "hidden": nn.Linear(width, width), "norm": nn.LayerNorm(width), "head": nn.Linear(width, 1)}
        )
        self.dropout, self.sleep = nn.Dropout(dropout), sleep
        self.faults, self.batch_size, self.num_workers, self.id_folder = faults, batch_size, num_workers, id_folder
        apply_trainable(self.model, trainable)

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        shard = Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step)
        sampler = GlobalBatchSampler(num_samples=NUM_SAMPLES, batch_size=self.batch_size, shard=shard)
        data = PreparedDataset(Numbers(self.faults), prepare, seed=seed)
        return DataLoader(data, batch_sampler=sampler, collate_fn=collate, num_workers=self.num_workers)

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Of numbers in which the faults of `wanted.data` strike."""
        shard = wanted.shard
        batches = cut_batches(NUM_SAMPLES, self.batch_size, seed=shard.seed, limit=wanted.limit)
        data = PreparedDataset(Numbers(wanted.data.get("faults", ())), prepare, seed=shard.seed)
        mine = batches[shard.rank :: shard.world_size]
        loader = DataLoader(data, batch_sampler=mine, collate_fn=collate, num_workers=self.num_workers)
        return HeldOutBatches(loader=loader, num_batches=len(batches), num_samples=sum(map(len, batches)))

    def forward(self, batch: NumberBatch, mode: str = "loss", **_: Any) -> dict[str, Any]:
        rank = int(os.environ["RANK"])
        if self.id_folder:
            with (Path(self.id_folder) / IDS.format(rank)).open("a") as file:
                file.write(json.dumps({"step": HEARTBEAT.step, "ids": batch.sample_ids}) + "\n")
        time.sleep(self.sleep)
        kinds = [fault["kind"] for fault in self.faults if self._strikes(fault, rank)]
        for kind in kinds:
            strike(kind)
        hidden = torch.tanh(self.model["stem"](batch.inputs.to(self.model["stem"].weight.dtype)))
        hidden = self.dropout(self.model["norm"](self.model["hidden"](hidden)))
        error = self.model["head"](hidden).squeeze(-1).float() - batch.target
        loss = error.square().mean()
        if "nan_gradient" in kinds:
            loss.register_hook(lambda gradient: gradient * float("nan"))
        factors = {"nan_loss": float("nan"), "inf_loss": float("inf"), "spike": 1e4}
        for kind in kinds:
            loss = loss * factors.get(kind, 1.0)
        return {"loss_square": loss, "num_samples": len(error)}

    def _strikes(self, fault: Mapping[str, Any], rank: int) -> bool:
        steps = fault.get("step", ())
        steps = (steps,) if isinstance(steps, int) else steps
        return HEARTBEAT.step in steps and fault.get("rank", rank) == rank and first_time(fault)


def make_config(task: Mapping[str, Any] | None = None, hooks: Mapping[str, Any] | None = None, **training: Any) -> dict[str, Any]:
    """Trains FaultyTask for ten updates and saves every three."""
    return {
        "seed": 3,
        "task": {"type": "FaultyTask"} | dict(task or {}),
        "training": {"max_iters": 10, "deepspeed": "deepspeed_zero2", "timeout_s": 30} | training,
        "guard": {},
        "optimizer": {"lr": 0.01},
        "schedule": {"warmup_ratio": 0.34},
        "hooks": {
            "metrics": {"type": "MetricsHook", "interval": 1},
            "checkpoint": {"type": "CheckpointHook", "interval": 3, "keep": 2} | dict(hooks or {}),
        },
        "tracking": [],
    }


@dataclass(frozen=True)
class Rank:
    """How a rank ended: exit code (negative: by that signal) and what it wrote."""

    code: int | None
    text: str


def run_ranks(
    config: Mapping[str, Any], work_dir: Path, *, ranks: int = 2, resume: str | None = None, timeout_s: float = 240, **options: Any
) -> list[Rank]:
    """Trains on `ranks` processes without torchrun; None as exit code of one that had to be killed after `timeout_s`."""
    from forked import context  # not where this file runs as a script, without pytest's path
    from ports import free_port

    port = free_port()
    logs = [work_dir.parent / f"{work_dir.name}-rank{rank}.log" for rank in range(ranks)]
    arguments = [(dict(config), str(work_dir), rank, ranks, port, str(logs[rank]), resume, options) for rank in range(ranks)]
    processes = [context().Process(target=_rank_main, args=entry) for entry in arguments]
    for process in processes:
        process.start()
    deadline = time.monotonic() + timeout_s
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0.1))
    codes = [process.exitcode for process in processes]
    for process in processes:
        if process.is_alive():
            process.kill()
            process.join()
    return [Rank(code, log.read_text()) for code, log in zip(codes, logs, strict=True)]


def _rank_main(
    config: dict[str, Any], work_dir: str, rank: int, ranks: int, port: int, log: str, resume: str | None, options: dict[str, Any]
) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    _write_to(log)
    sys.exit(main(config, Path(work_dir), partial(train, resume=resume, **options)))


def start_alone(config: Mapping[str, Any], work_dir: Path, log: Path) -> Any:
    """A training in one process, which with those of its loader is a session of its own, as a terminal makes it."""
    from forked import context

    process = context().Process(target=_alone_main, args=(dict(config), str(work_dir), str(log)))
    process.start()
    return process


def _alone_main(config: dict[str, Any], work_dir: str, log: str) -> None:
    os.setsid()
    _write_to(log)
    sys.exit(main(config, Path(work_dir), train))


def _write_to(log: str) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    torch.set_num_threads(1)


def main(config: Mapping[str, Any], work_dir: Path, run: Any) -> int:
    try:
        finished = run(Config(dict(config), format_python_code=False), work_dir)
    except EOError as error:
        show_failure(error)
        return 1
    return 0 if finished else 75


if __name__ == "__main__":
    path, folder, *rest = sys.argv[1:]
    sys.exit(main(json.loads(Path(path).read_text()), Path(folder), partial(train, resume=rest[0] if rest else None)))
