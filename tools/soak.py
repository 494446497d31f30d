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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TASK = ROOT / "tests" / "eocore" / "train" / "faulty_task.py"
FAULTS = ("SIGKILL of a rank", "SIGKILL of torchrun", "SIGTERM of torchrun")
POLL_S = 0.05
END_S = 60.0
"""Longest time all processes of a disturbed run may take to end [s]: torchrun gives its ranks 30 s."""
MOST_GROWTH = 1.05
"""Resident memory of a rank at the end over that after the first quarter of a start. A leak of one batch per step would double it."""


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


def write_config(path: Path, steps: int, workers: int) -> None:
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


def start(config: Path, run: Path, ranks: int) -> subprocess.Popen[bytes]:
    """torchrun on the config, going on from the newest checkpoint."""
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
    environment["PYTHONPATH"] = f"{ROOT / 'projects'}{os.pathsep}{environment.get('PYTHONPATH', '')}"
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


def memory_mib(process: int) -> float:
    """Resident memory [MiB]; 0 for a process that is gone. Source: proc(5), second field of statm, in pages."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0.0


def step_reached(run: Path) -> int:
    """Updates logged so far."""
    path = run / "scalars.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


class Soak:
    """The disturbed run.

    Attributes:
        injected, survived: kind of fault -> number of times.
        orphans: processes still there when a start had ended.
        memory: of each rank that ran long enough: (early, late) [MiB].
    """

    def __init__(self, arguments: argparse.Namespace, config: Path) -> None:
        self.arguments, self.config, self.run = arguments, config, arguments.out / "disturbed"
        self.draws = random.Random(arguments.seed)
        self.injected: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()
        self.orphans: list[int] = []
        self.memory: list[tuple[float, float]] = []
        self.lost: list[int] = []

    def go(self) -> None:
        """Starts, disturbs and starts again until the last step."""
        kinds = [FAULTS[number % len(FAULTS)] for number in range(self.arguments.kills)]
        self.draws.shuffle(kinds)
        marks = sorted(self.draws.sample(range(2, self.arguments.steps - 1), self.arguments.kills))
        for kind, mark in zip(kinds, marks, strict=True):
            self._disturb(kind, mark)
            print(f"step {mark}: {kind}", flush=True)
        code = self._attend(start(self.config, self.run, self.arguments.ranks), None)
        if code != 0:
            raise SystemExit(f"the last start failed with exit code {code}; see {self.run.with_suffix('.log')}")

    def _disturb(self, kind: str, mark: int) -> None:
        reached = step_reached(self.run)
        process = start(self.config, self.run, self.arguments.ranks)
        self._attend(process, (kind, mark))
        self.lost.append(max(step_reached(self.run) - self._resumable(), 0))
        self.survived[kind] += int(self._resumable() > 0 or reached == 0)

    def _resumable(self) -> int:
        folders = [path.name for path in self.run.glob("iter_*")]
        return max((int(name.removeprefix("iter_")) for name in folders), default=0)

    def _attend(self, process: subprocess.Popen[bytes], fault: tuple[str, int] | None) -> int:
        """Watches one start, injects its fault, waits for the end of all its processes; gives torchrun's exit code."""
        family: set[int] = set()
        sizes: dict[int, list[float]] = {}
        while process.poll() is None:
            ranks = descendants(process.pid)
            family.update(ranks)
            for rank in ranks:
                sizes.setdefault(rank, []).append(memory_mib(rank))
            if fault is not None and step_reached(self.run) >= fault[1]:
                self._strike(fault[0], process)
                self.injected[fault[0]] += 1
                fault = None
            time.sleep(POLL_S)
        if fault is not None:
            raise SystemExit(f"a start ended before step {fault[1]}; see {self.run.with_suffix('.log')}")
        deadline = time.monotonic() + END_S
        while any(alive(member) for member in family) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        self.orphans += [member for member in family if alive(member)]
        self._note_memory(sizes)
        return process.returncode

    def _strike(self, kind: str, process: subprocess.Popen[bytes]) -> None:
        if kind == "SIGKILL of a rank":
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(self.draws.choice(children)), signal.SIGKILL)
        else:
            process.send_signal(signal.SIGKILL if kind == "SIGKILL of torchrun" else signal.SIGTERM)

    def _note_memory(self, sizes: dict[int, list[float]]) -> None:
        """Early and late memory of the processes that lived for ten seconds or more; the last second of one that ends is left out."""
        for values in sizes.values():
            grown = [value for value in values if value > 0][: -round(1 / POLL_S)]
            if len(grown) >= 10 / POLL_S:
                half = len(grown) // 2
                self.memory.append((statistics.fmean(grown[half : half + half // 4 + 1]), statistics.fmean(grown[-half // 4 - 1 :])))


def equal_weights(first: Path, second: Path) -> bool:
    """True where two checkpoints' trained weights have the same names and bits."""
    import torch
    from safetensors.torch import load_file

    one, other = (load_file(folder / "trainable.safetensors") for folder in (first, second))
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def report(soak: Soak, *, equal: bool, temporary: list[str], seconds: float) -> dict[str, Any]:
    """Prints the table; gives its numbers."""
    print(f"\n{'fault':24} {'injected':>8} {'survived':>8}")
    for kind in FAULTS:
        print(f"{kind:24} {soak.injected[kind]:8} {soak.survived[kind]:8}")
    print(f"{'all':24} {soak.injected.total():8} {soak.survived.total():8}")
    growth = max((late / early for early, late in soak.memory), default=1.0)
    result = {
        "steps": soak.arguments.steps,
        "ranks": soak.arguments.ranks,
        "injected": dict(soak.injected),
        "survived": dict(soak.survived),
        "weights_equal": equal,
        "largest_memory_growth": growth,
        "orphans": len(soak.orphans),
        "left_temporary": temporary,
        "most_steps_repeated": max(soak.lost, default=0),
        "seconds": round(seconds),
    }
    for name in ("weights_equal", "largest_memory_growth", "orphans", "left_temporary", "most_steps_repeated", "seconds"):
        print(f"{name:24} {result[name]}")
    (soak.arguments.out / "soak.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def main() -> int:
    """Runs both trainings; 0 where the disturbed one ended like the other and left nothing behind."""
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True)
    begun = time.monotonic()
    config = arguments.out / "config.json"
    write_config(config, arguments.steps, arguments.workers)
    if start(config, arguments.out / "straight", arguments.ranks).wait() != 0:
        print(f"the undisturbed run failed; see {arguments.out / 'straight.log'}", file=sys.stderr)
        return 1
    soak = Soak(arguments, config)
    soak.go()
    last = f"iter_{arguments.steps:06d}"
    equal = equal_weights(arguments.out / "straight" / last, soak.run / last)
    temporary = sorted(path.name for path in soak.run.glob(".tmp-*"))
    result = report(soak, equal=equal, temporary=temporary, seconds=time.monotonic() - begun)
    good = equal and not soak.orphans and not temporary and result["largest_memory_growth"] < MOST_GROWTH
    return 0 if good and soak.survived == soak.injected else 1


if __name__ == "__main__":
    sys.exit(main())
