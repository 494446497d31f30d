"""Throws made-up and damaged input at everything that reads untrusted files; only our own errors may come back.

Each reader runs in a process of its own with a memory limit, so that a crash is told from an error. The same seed gives the same inputs.
Needs the extra dev (hypothesis).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from eocore.errors import EOError
from eocore.progress import Progress

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fuzz_inputs import Reader, readers  # type: ignore[import-not-found]  # lies beside this file

BATCH = 500
"""Inputs of one hypothesis run; what it remembers of earlier inputs makes longer runs slower."""
MEMORY_GIB = 6
"""Address space of a process: well above what the largest allowed image takes, far below what a crafted header can ask for."""
FRACTIONS = {"images": 0.2, "products": 0.1, "masks": 0.2, "pickles": 0.1, "configs": 0.1, "text": 0.1, "datasets": 0.2}
"""How the inputs are shared among the readers."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, metavar="N", help="inputs in all")
    parser.add_argument("--seed", type=int, default=0, help="of all inputs")
    parser.add_argument("--reader", choices=sorted(FRACTIONS), help="only this one, in this process")
    return parser.parse_args()


def fuzz(reader: Reader, inputs: int, *, start: int) -> dict[str, Any]:
    """Counts of accepted and refused inputs by one reader; any error that is none of ours is raised with its smallest input."""
    counts: Counter[str] = Counter()
    batches = -(-inputs // BATCH)
    for batch in range(batches):
        _run_batch(reader.inputs, reader.read, counts=counts, size=min(BATCH, inputs - batch * BATCH), number=start * batches + batch)
    return dict(counts)


def _run_batch(inputs: SearchStrategy[Any], read: Callable[[Any], None], *, counts: Counter[str], size: int, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
    )
    @given(inputs)
    def one(value: Any) -> None:
        try:
            read(value)
            counts["accepted"] += 1
        except EOError as error:
            counts[f"refused: {type(error).__name__}"] += 1

    one()


def run_here(name: str, inputs: int, *, start: int) -> None:
    """Fuzzes one reader in this process, and prints the counts as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GIB << 30, MEMORY_GIB << 30))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(fuzz(readers(Path(folder))[name], inputs, start=start)))


def run_all(inputs: int, start: int) -> int:
    """Fuzzes all readers, one process after the other; returns the number that failed."""
    failed, total = 0, 0
    with Progress("fuzzing", len(FRACTIONS), unit="readers") as progress:
        for name, fraction in FRACTIONS.items():
            begun = time.monotonic()
            command = [sys.executable, __file__, "--reader", name, "--inputs", str(round(inputs * fraction)), "--seed", str(start)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            progress.advance()
            if done.returncode:
                failed += 1
                print(f"{name}: FAILED with status {done.returncode}\n{done.stderr[-4000:]}")
                continue
            counts = json.loads(done.stdout.splitlines()[-1])
            total += sum(counts.values())
            print(f"{name}: {sum(counts.values())} inputs in {time.monotonic() - begun:.0f} s; {counts}", flush=True)
    print(f"{total} inputs in all, {failed} readers failed")
    return failed


def main() -> int:
    """Runs the command; returns the exit status."""
    arguments = parse_arguments()
    if arguments.reader:
        run_here(arguments.reader, arguments.inputs, start=arguments.seed)
        return 0
    return 1 if run_all(arguments.inputs, arguments.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
