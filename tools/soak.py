"""Trains a tiny task on several ranks, kills it again and again at random, and compares its last weights with an undisturbed run's."""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TASK = ROOT / "tests" / "eocore" / "train" / "faulty_task.py"
FAULTS = ("SIGKILL of a rank", "SIGKILL of torchrun", "SIGTERM of torchrun")
RUNS = "runs.jsonl"
POLL_S = 0.05
END_S = 60.0
"""Longest time all processes of a disturbed run may take to end [s]: torchrun gives its ranks 30 s."""
MOST_GROWTH = 1.05
"""Resident memory of a process in the last quarter of its updates over that in the second. A leak of one batch per step would double it."""
CACHE = "torchinductor_"
"""torch's folder of compiled code, which every process of a user shares."""
ENOUGH = 100
"""Looks at a process that its growth is taken from: five seconds of updates."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="work directories and the table go here; must not exist")
    parser.add_argument("--steps", type=int, default=2000, help="updates (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=20, help="faults injected (default: %(default)s)")
    parser.add_argument("--ranks", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="loader processes of a rank (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and kinds of faults")
    return parser.parse_args()


def write_config(path: Path, steps: int, *, workers: int) -> None:
    """The config of both runs: background checkpoints every few steps, dropout on."""
    interval = max(steps // 100, 2)
    config = {
        "seed": 5,
        "task": {"type": "FaultyTask", "num_workers": workers},
        "training": {"max_iters": steps, "deepspeed": "deepspeed_zero2", "timeout_s": 60},
        "guard": {},
        "optimizer": {"lr": 0.001},
        "schedule": {},
        "hooks": {
            "metrics": {"type": "MetricsHook", "interval": 1},
            "checkpoint": {"type": "CheckpointHook", "interval": interval, "keep": 2, "background": True},
        },
        "tracking": [],
    }
    path.write_text(json.dumps(config))


def start(config: Path, run: Path, *, ranks: int) -> subprocess.Popen[bytes]:
    """torchrun on the config, resuming from the newest checkpoint; temporary files go beside the run, where what is left of them shows."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(ranks),
        "--log-dir",
        os.devnull,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
    environment |= {
        "TMPDIR": str(run.with_suffix(".tmp")),
        "PYTHONPATH": f"{ROOT / 'projects'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    run.with_suffix(".tmp").mkdir(exist_ok=True)
    with run.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([*command, str(TASK), str(config), str(run), "auto"], stdout=log, stderr=subprocess.STDOUT, env=environment)


def descendants(process: int) -> list[int]:
    """All processes below one, children first."""
    try:
        children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return children + [lower for child in children for lower in descendants(child)]


def alive(process: int) -> bool:
    """False for one that has ended, also if nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def size_of(process: int) -> tuple[float, int]:
    """Resident memory [MiB] and number of open files; zeros for a process that is gone.

    Source: proc(5), second field of statm, in pages.
    """
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir(f"/proc/{process}/fd"))
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0.0, 0


def step_reached(run: Path) -> int:
    """Updates logged so far."""
    path = run / "scalars.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


class Watched:
    """One run, its starts watched.

    Attributes:
        orphans: processes still there when a start had ended.
        family: all processes of the run so far.
        growth: of every process that made updates for long: memory at the end over memory before.
        files: the same, open files.
    """

    def __init__(self, run: Path, config: Path, *, ranks: int, seed: int) -> None:
        self.run, self.config, self.ranks = run, config, ranks
        self.draws = random.Random(seed)
        self.orphans: list[int] = []
        self.family: set[int] = set()
        self.growth: list[float] = []
        self.files: list[int] = []

    def attend(self, fault: tuple[str, int] | None = None) -> int:
        """Makes one start, injects its fault at its step, waits for the end of all processes; returns torchrun's exit code."""
        begun, starts = step_reached(self.run), self._starts()
        process = start(self.config, self.run, ranks=self.ranks)
        family: set[int] = set()
        sizes: dict[int, list[tuple[float, int]]] = {}
        while process.poll() is None:
            time.sleep(POLL_S)
            ranks, step = descendants(process.pid), step_reached(self.run)
            family.update(ranks)
            for rank in ranks if step > begun else ():
                sizes.setdefault(rank, []).append(size_of(rank))
            if fault is not None and step >= fault[1] and self._starts() > starts:
                self._strike(fault[0], process)
                fault = None
        if fault is not None:
            raise SystemExit(f"a start ended before step {fault[1]}; see {self.run.with_suffix('.log')}")
        self._await_end(family)
        self._note_sizes(sizes)
        return process.returncode

    def newest(self) -> str | None:
        """Name of the last complete checkpoint; its folder gets this name when all is in it."""
        return max((path.name for path in self.run.glob("iter_*")), default=None)

    def resumed_from(self) -> str | None:
        """Name of the checkpoint that the last start resumed from."""
        return json.loads((self.run / RUNS).read_text().splitlines()[-1])["resumed_from"]

    def _starts(self) -> int:
        return len((self.run / RUNS).read_text().splitlines()) if (self.run / RUNS).exists() else 0

    def _strike(self, kind: str, process: subprocess.Popen[bytes]) -> None:
        if kind == "SIGKILL of a rank":
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(self.draws.choice(children)), signal.SIGKILL)
        else:
            process.send_signal(signal.SIGKILL if kind == "SIGKILL of torchrun" else signal.SIGTERM)

    def _await_end(self, family: set[int]) -> None:
        deadline = time.monotonic() + END_S
        while any(alive(member) for member in family) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        self.orphans += [member for member in family if alive(member)]
        self.family |= family

    def _note_sizes(self, sizes: dict[int, list[tuple[float, int]]]) -> None:
        """Growth of the processes that made updates for long enough; their last second, when they end, is left out."""
        for looks in sizes.values():
            looks = [look for look in looks if look[0] > 0][: -round(1 / POLL_S)]
            if len(looks) >= ENOUGH:
                quarter = len(looks) // 4
                early, late = looks[quarter : 2 * quarter], looks[-quarter:]
                self.growth.append(statistics.fmean(memory for memory, _ in late) / statistics.fmean(memory for memory, _ in early))
                self.files.append(max(files for _, files in late) - max(files for _, files in early))

    def left_behind(self) -> list[str]:
        """Temporary folders and files that nothing will use again: of checkpoints, of the processes, in shared memory."""
        names = [
            path.name for path in [*self.run.glob(".tmp-*"), *self.run.with_suffix(".tmp").iterdir()] if not path.name.startswith(CACHE)
        ]
        shared = [path.name for path in Path("/dev/shm").glob("torch_*") if path.name.split("_")[1] in map(str, self.family)]
        return sorted(names + shared)


class Faults:
    """The faults of the disturbed run.

    Attributes:
        injected, survived: kind of fault -> number of times; survived is one after which a start resumed from the newest checkpoint.
        repeated: updates lost by each fault.
    """

    def __init__(self, run: Watched, steps: int, *, kills: int, seed: int) -> None:
        self.run, self.injected, self.survived = run, Counter[str](), Counter[str]()
        self.repeated: list[int] = []
        draws = random.Random(seed)
        kinds = [FAULTS[number % len(FAULTS)] for number in range(kills)]
        draws.shuffle(kinds)
        self.plan = list(zip(kinds, sorted(draws.sample(range(2, steps - steps // 10), kills)), strict=True))

    def inject(self) -> None:
        """Starts, disturbs and starts again until the last step."""
        before: tuple[str, str | None] | None = None
        for fault in [*self.plan, None]:
            code = self.run.attend(fault)
            if before is not None:
                self.survived[before[0]] += int(self.run.resumed_from() == before[1])
            if fault is None:
                break
            before = fault[0], self.run.newest()
            self.injected[fault[0]] += 1
            self.repeated.append(step_reached(self.run.run) - int((before[1] or "iter_0").removeprefix("iter_")))
            print(f"step {fault[1]}: {fault[0]}; next from {before[1]}", flush=True)
        if code != 0:
            raise SystemExit(f"the last start failed with exit code {code}; see {self.run.run.with_suffix('.log')}")


def equal_weights(first: Path, second: Path) -> bool:
    """True where two checkpoints' trained weights have the same names and bits."""
    import torch
    from safetensors.torch import load_file

    one, other = (load_file(folder / "trainable.safetensors") for folder in (first, second))
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def report(faults: Faults, runs: Sequence[Watched], **more: Any) -> dict[str, Any]:
    """Prints the table; returns its numbers."""
    print(f"\n{'fault':24} {'injected':>8} {'survived':>8}")
    for kind in FAULTS:
        print(f"{kind:24} {faults.injected[kind]:8} {faults.survived[kind]:8}")
    print(f"{'all':24} {faults.injected.total():8} {faults.survived.total():8}")
    growth = [value for run in runs for value in run.growth]
    result = more | {
        "processes_measured": len(growth),
        "largest_memory_growth": round(max(growth, default=1.0), 4),
        "most_files_more": max((value for run in runs for value in run.files), default=0),
        "orphans": sum(len(run.orphans) for run in runs),
        "left_behind": [name for run in runs for name in run.left_behind()],
        "most_updates_repeated": max(faults.repeated, default=0),
    }
    for name, value in result.items():
        print(f"{name:24} {value}")
    return result | {"injected": dict(faults.injected), "survived": dict(faults.survived)}


def main() -> int:
    """Runs both trainings; 0 where the disturbed one ended like the other and left nothing behind."""
    arguments = parse_arguments()
    out = arguments.out.resolve()
    out.mkdir(parents=True)
    begun = time.monotonic()
    config = out / "config.json"
    write_config(config, arguments.steps, workers=arguments.workers)
    straight, disturbed = (Watched(out / name, config, ranks=arguments.ranks, seed=arguments.seed) for name in ("straight", "disturbed"))
    if straight.attend() != 0:
        print(f"the undisturbed run failed; see {out / 'straight.log'}", file=sys.stderr)
        return 1
    print(f"{arguments.steps} undisturbed updates: {time.monotonic() - begun:.0f} s", flush=True)
    faults = Faults(disturbed, arguments.steps, kills=arguments.kills, seed=arguments.seed)
    faults.inject()
    last = f"iter_{arguments.steps:06d}"
    equal = equal_weights(straight.run / last, disturbed.run / last)
    result = report(faults, (straight, disturbed), steps=arguments.steps, weights_equal=equal, seconds=round(time.monotonic() - begun))
    (out / "soak.json").write_text(json.dumps(result, indent=1) + "\n")
    clean = not result["orphans"] and not result["left_behind"] and result["most_files_more"] <= 0
    return 0 if equal and clean and result["largest_memory_growth"] < MOST_GROWTH and faults.survived == faults.injected else 1


if __name__ == "__main__":
    sys.exit(main())
