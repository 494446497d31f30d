"""A config's own training from its files: samples a second, and the share of the time in which the model computes.

One number of loader processes runs as: python -m torch.distributed.run --standalone --nproc-per-node 1 -m profiling.files.training FILE,
where FILE says what in JSON.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from eocore.errors import ConfigError
from profiling.files.page_cache import image_paths, possible_states, put
from profiling.measures.isolation import run_module
from profiling.measures.timing import wait_for_device

MS = 1000.0


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What is measured of a training.

    Attributes:
        config: file of the config.
        options: overrides, dotted key -> value.
        steps: updates of a turn that are timed.
        turns: with the files in the page cache and out of it, one after the other.
        warm_up: updates before the first turn; those whose batches were prepared before a turn began come before each.
    """

    config: str
    options: Mapping[str, Any]
    steps: int = 20
    turns: int = 2
    warm_up: int = 3


@dataclass
class Spent:
    """What updates took [s]: all in all, in forward, backward and update, and waiting for the loader; and how many samples they had."""

    wall: float = 0.0
    computing: float = 0.0
    waiting: float = 0.0
    samples: int = 0

    def row(self, what: str) -> dict[str, float | str]:
        """Figures of a table."""
        return {
            "what": what,
            "samples/s": self.samples / self.wall,
            "computes %": 100 * self.computing / self.wall,
            "waits for files %": 100 * self.waiting / self.wall,
            "computing ms a sample": MS * self.computing / self.samples,
            "samples": float(self.samples),
        }


def measure_training(plan: TrainingPlan, workers: Sequence[int]) -> list[dict[str, float | str]]:
    """A row for each number of loader processes, with the images' files in the page cache and out of it.

    Args:
        plan: what is measured.
        workers: values of `task.num_workers`.

    Raises:
        EOError: a run failed.
    """
    rows = []
    for number in workers:
        for state, spent in _run(plan, number).items():
            rows.append(spent.row(f"training, {number} loader processes, {state}"))
    return rows


def _run(plan: TrainingPlan, workers: int) -> dict[str, Spent]:
    threads = str(torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "order.json"
        file.write_text(json.dumps({"plan": asdict(plan), "workers": workers}))
        run_module(
            "profiling.files.training",
            [str(file)],
            what=f"a training with {workers} loader processes",
            launcher=["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"],
            environment={"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        )
        found = json.loads((file.parent / "spent.json").read_text())
    return {state: Spent(**values) for state, values in found.items()}


class TimedTraining:
    """A run whose updates are timed, built as a training builds it; hooks, tracking, validation and checkpoints are left out.

    Args:
        plan: what is measured.
        workers: loader processes.
        folder: for the run's log.

    Raises:
        EOError: as `eocore.train.launch.train`; or the loader has no batches of samples.
    """

    def __init__(self, plan: TrainingPlan, workers: int, *, folder: Path) -> None:
        from eocore.config import load_config
        from eocore.system import systems_of_config
        from eocore.train.launch import RunPlan, build_run
        from eocore.train.runner import FROM_START

        config = load_config(plan.config, plan.options)
        systems_of_config(config)
        config.hooks, config.tracking, config.task.num_workers = {}, [], workers
        self.plan = plan
        self.runner = build_run(config, folder / "run", plan=RunPlan(resume=FROM_START, answers=None), tried=True)
        self.loop = self.runner.prepare()
        loader = self.loop.dataloader
        if loader.batch_sampler is None:
            raise ConfigError(f"{plan.config}: the loader of this task deals no batches of samples, so they cannot be counted.")
        self._sizes: Iterator[int] = map(len, iter(loader.batch_sampler))
        self.paths = image_paths(loader.dataset.dataset)
        self.ahead = -(-workers * (loader.prefetch_factor or 0) // self.loop.accumulation)
        self._computing = 0.0

    def updates(self, number: int) -> Spent:
        """What so many updates took."""
        loop, began = self.loop, time.perf_counter()
        computed, waited, samples = self._computing, loop.data_seconds, 0
        for _ in range(number):
            loop.run_step()
            samples += sum(next(self._sizes) for _ in range(loop.accumulation))
        wait_for_device()
        wall = time.perf_counter() - began
        return Spent(wall, self._computing - computed, loop.data_seconds - waited, samples)

    def timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """`train_step` with its time counted, on the device too."""

        def step(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = work(*arguments, **named)
            wait_for_device()
            self._computing += time.perf_counter() - began
            return result

        return step

    def measure(self) -> dict[str, Spent]:
        """What the updates of all turns took, by state of the files."""
        from eocore.replaced import replaced

        states = possible_states(self.paths)
        spent = {state: Spent() for state in states}
        self.runner.model.train()
        with replaced(self.runner.model, "train_step", value=self.timed(self.runner.model.train_step)):
            self.updates(self.plan.warm_up)
            for _ in range(self.plan.turns):
                for state in states:
                    put(self.paths, state)
                    self.updates(self.ahead + 1)  # of batches that were read before, or in part
                    found = self.updates(self.plan.steps)
                    spent[state] = Spent(**{name: value + getattr(found, name) for name, value in asdict(spent[state]).items()})
        self.loop.close()
        return spent


def _main(file: Path) -> None:
    from eocore.train.device import require_deepspeed

    require_deepspeed()
    from eocore.train.strategy import stop_process_group

    order = json.loads(file.read_text())
    spent = TimedTraining(TrainingPlan(**order["plan"]), order["workers"], folder=file.parent).measure()
    (file.parent / "spent.json").write_text(json.dumps({state: asdict(values) for state, values in spent.items()}))
    stop_process_group()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
