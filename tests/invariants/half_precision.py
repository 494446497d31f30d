"""Trainings in bfloat16 of every kind of sample, on the ranks of this group: the program that test_half_precision.py starts."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mixed_samples as mixed
import numpy as np
import torch
from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper
from torch import Tensor

from earthmind.task import EarthMindTask
from eocore.train.checkpoint.snapshot import restore, take_snapshot, write
from eocore.train.checkpoint.weights import load_trainable
from eocore.train.schedule import OptimizerOptions, ScheduleOptions, build_optimizer, build_schedule
from eocore.train.strategy import ZeroStrategy, start_process_group, stop_process_group
from eocore.train.zero.settings import load_zero_config

STEPS, SAVED = 10, 5
PLAIN_LINEAR = torch.nn.functional.linear
FREEDOM = "published"
SEVERAL = "several questions"
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "vqa": (("question", "question"), ("sar question",)),
    "seg": (("masks",), ("two sensors' masks",)),
    "pair": (("pair",), ("pair with masks",)),
    "region": (("region",), ("region with mask",)),
    SEVERAL: ((SEVERAL,), (SEVERAL,)),
    "text": (("text", "text"), ("long text",)),
    "mixed": mixed.DEALS["no images on rank 0"],
}
"""Kind of sample -> what each rank learns from."""
ASKED = (("What is there?", "It is water."), ("Please segment it.", "[SEG] it lies north"), ("Where?", "Here [SEG] and there."))
"""Independent questions about one image, and their answers."""


def make_batch(task: EarthMindTask, kind: str, rank: int) -> dict[str, Any]:
    """This rank's samples, packed in rows."""
    names = KINDS[kind][rank]
    samples = [_several(task, rank) if name == SEVERAL else mixed.make_sample(task, name) for name in names]
    return task.collator(row_length=320)(samples)


def _several(task: EarthMindTask, rank: int) -> dict[str, Any]:
    rng = np.random.default_rng(rank)
    turns = [turn for question, answer in ASKED for turn in (("user", question), ("assistant", answer))]
    turns[0] = ("user", "<image>\n" + turns[0][1])
    scenes = {name: mixed.scene(name, rng) for name in ("multispectral", "sar")}
    masks = [mixed.square(rng) for _ in range(2)]
    return task.processor.encode(scenes, turns, masks=masks, independent=True, sample_id=SEVERAL)._replace(seed=rank)


class Training:
    """A task under an engine, from the start or from a checkpoint; every step learns from the same batch."""

    def __init__(self, folder: Path, kind: str, *, stage: str, precision: Any, resume: Path | None = None) -> None:
        # an engine of ZeRO-3 has put its own in place for the whole process, which sums in another order
        torch.nn.functional.linear = PLAIN_LINEAR
        task = mixed.build_task(folder, FREEDOM, dropout=0.1)
        self.batch = make_batch(task, kind, torch.distributed.get_rank())
        if resume is not None:
            load_trainable(task, resume)
        self.strategy = ZeroStrategy(
            config=load_zero_config(f"deepspeed_zero{stage}"), precision=precision, accumulation=1, clip_norm=1.0, work_dir=folder, seed=0
        )
        self.strategy.prepare(
            task,
            optim_wrapper=DeepSpeedOptimWrapper(build_optimizer(task, OptimizerOptions(lr=2e-3))),
            param_scheduler=build_schedule(ScheduleOptions(), STEPS),
            dispatch_kwargs={"max_iters": STEPS, "max_epochs": 1},
        )
        torch.manual_seed(100 + torch.distributed.get_rank())
        self.step = 0 if resume is None else restore(self.strategy, resume)

    def run(self, steps: int) -> list[float]:
        """The loss of this rank at each of so many steps."""
        losses = []
        for _ in range(steps):
            log = self.strategy.model.train_step(self.batch, optim_wrapper=self.strategy.optim_wrapper)
            losses.append(log["loss"].item())
            for scheduler in self.strategy.param_schedulers:
                scheduler.step()
        self.step += steps
        return losses

    def save(self, folder: Path) -> Path:
        """Its checkpoint."""
        snapshot = take_snapshot(self.strategy, step=self.step, config_text="", extra={})
        shutil.rmtree(folder, ignore_errors=True)
        torch.distributed.barrier()
        if torch.distributed.get_rank() == 0:
            folder.mkdir()
            write(snapshot, folder)
        torch.distributed.barrier()
        return folder / f"iter_{self.step:06d}"

    def state(self) -> dict[str, Tensor]:
        """Master weights and moments; empty on every rank but the first."""
        return self.strategy.gather_trainable() | self.strategy.gather_moments()[0]


def trial(folder: Path, kind: str, stage: str, reference: list[float]) -> dict[str, Any]:
    """What ten steps in bfloat16 gave beside `reference`, and whether five of them, saved and resumed from, gave the same."""
    straight = Training(folder, kind, stage=stage, precision="bf16")
    losses = straight.run(SAVED)
    saved = straight.save(folder / "saved")
    losses += straight.run(STEPS - SAVED)
    resumed = Training(folder, kind, stage=stage, precision="bf16", resume=saved)
    again = resumed.run(STEPS - SAVED)
    states = straight.state(), resumed.state()
    same = again == losses[SAVED:] and all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, (losses, reference, same))
    pairs = [(own, other) for found, expected, _ in everyone for own, other in zip(found, expected, strict=True)]
    return {
        "kind": kind,
        "stage": stage,
        "first": everyone[0][0][0],
        "last": everyone[0][0][-1],
        "deviation": max(abs(own - other) / abs(other) for own, other in pairs),
        "same": all(equal for _, _, equal in everyone),
    }


def trials(folder: Path, cases: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    """A trial of each kind under each of its stages, beside float32 under ZeRO-2."""
    for kind, stages in cases.items():
        reference = Training(folder, kind, stage="2", precision="fp32").run(STEPS)
        for stage in stages:
            yield trial(folder, kind, stage, reference)


CASES = {
    "quick": {"mixed": ["0", "2"]},
    "all": {kind: ["0", "1", "2", "3", "2_offload", "3_offload"] if kind == "mixed" else ["0", "1", "2", "3"] for kind in KINDS},
}

if __name__ == "__main__":
    target = Path(sys.argv[1])
    own_rank, _ = start_process_group(mixed.TIMEOUT_S * 5)
    found = []
    for result in trials(target, CASES[sys.argv[2]]):
        found.append(result)
        if own_rank == 0:
            print(result, flush=True)
            (target / f"{sys.argv[2]}.json").write_text(json.dumps(found))
    stop_process_group()
