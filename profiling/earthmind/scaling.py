"""Training on several processes of this machine with the real DeepSpeed engine: how much of N times one rank's speed N ranks reach.

One number of ranks runs as: python -m torch.distributed.run --standalone --nproc-per-node N -m profiling.earthmind.scaling FILE (JSON).
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from eocore.train.device import Precision, local_device, set_deepspeed_accelerator
from profiling.earthmind.samples import kinds_of, make_batch
from profiling.earthmind.setting import build_setting
from profiling.measures.isolation import run_module
from profiling.measures.timing import time_once


def measure_scaling(
    config: Mapping[str, Any], ranks: Sequence[int], *, name: str, zero: str = "deepspeed_zero2", repeats: int = 3
) -> list[dict[str, float | str]]:
    """A row for each number of ranks: samples a second, and the fraction of the first row's speed a rank that is left.

    Args:
        config: of the task.
        ranks: numbers of processes, the one that others are compared with first.
        name: sample kind; every rank trains on a batch of its own.
        zero: DeepSpeed configuration.
        repeats: timed updates, after one.

    Raises:
        EOError: a run failed.
    """
    rows: list[dict[str, float | str]] = []
    for number in ranks:
        seconds = _run({"config": dict(config), "name": name, "zero": zero, "repeats": repeats}, number)
        speed = number * len(kinds_of(name)) / seconds
        first = float(rows[0]["samples/s"]) / ranks[0] if rows else speed / number
        rows.append({"ranks": str(number), "kind": name, "s": seconds, "samples/s": speed, "efficiency %": 100 * speed / number / first})
    return rows


def _run(order: Mapping[str, Any], ranks: int) -> float:
    """Seconds of an update, by `ranks` processes that share the threads of this one."""
    threads = str(max(1, torch.get_num_threads() // ranks))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "order.json"
        file.write_text(json.dumps(dict(order)))
        run_module(
            "profiling.earthmind.scaling",
            [str(file)],
            what=f"a run on {ranks} ranks",
            launcher=["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)],
            environment={"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        )
        return float((file.parent / "seconds").read_text())


def _main(file: Path) -> None:
    set_deepspeed_accelerator()
    from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper

    from eocore.train.strategy import ZeroStrategy, start_process_group, stop_process_group
    from eocore.train.zero.settings import load_zero_config

    order = json.loads(file.read_text())
    rank, _ = start_process_group()
    device = local_device()
    precision: Precision = "bf16" if device.type == "cuda" else "fp32"
    task = build_setting(order["config"], device=device, dtype=torch.float32)
    config = load_zero_config(order["zero"])
    strategy = ZeroStrategy(config=config, precision=precision, accumulation=1, clip_norm=0.0, work_dir=file.parent / "work", seed=0)
    trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
    strategy.prepare(task, optim_wrapper=DeepSpeedOptimWrapper(torch.optim.AdamW(trained, lr=1e-5)), dispatch_kwargs={})
    batches = [make_batch(task, [kind], seed=rank).to(device) for kind in kinds_of(order["name"])]

    def update() -> None:
        for batch in batches:
            strategy.model.train_step(batch, optim_wrapper=strategy.optim_wrapper)
        torch.distributed.barrier()

    update()
    seconds = min(time_once(update) for _ in range(order["repeats"]))
    if rank == 0:
        (file.parent / "seconds").write_text(str(seconds))
    stop_process_group()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
