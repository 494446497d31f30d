"""Runs what a run does on a second device that has no kernels of its own, so that tensors of devices that mix raise, without a GPU.

python -m profiling.fake_cuda                     device "other": forward, backward, update; any torch, as the project installs it
python -m profiling.fake_cuda --device cuda       device "cuda": forward, the branches that ask for CUDA; a torch linked with CUDA

A torch linked with CUDA belongs into a throwaway environment (about 5 GB; no GPU, no driver is needed), which takes all other packages from
the project's own:

    python3 -m venv /tmp/cudaenv                                  (the Python version of the project's environment)
    PIP_CONFIG_FILE=/dev/null /tmp/cudaenv/bin/pip install torch==2.12.1
    echo "$PWD/.venv/lib/python3.11/site-packages" > /tmp/cudaenv/lib/python3.11/site-packages/zz_shared.pth
    PYTHONPATH=projects /tmp/cudaenv/bin/python -m profiling.fake_cuda --device cuda

The file's name comes late in the alphabet, so that its own torch is found first. What neither device shows: kernels of a GPU (the packed
kernel gives zeros), DeepSpeed's engine and NCCL, compiled layers and CUDA graphs, pinned memory, speed. `bash tools/gpu_check.sh` on a GPU
does. Exit status 1 where a path failed. `--waits` also lists where the host would wait for the device.
"""

import argparse
import math
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from eocore.checks.second_device import NAMES, second_device
from eocore.progress import Progress
from profiling.device_paths import TrainingPath, answering_paths, train, training_paths

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2}
"""Relative, against the same step on the CPU, whose attention is another kernel; bfloat16 has 8 bits of precision (2^-8 = 4e-3)."""
WIDTH = 150
MOST_SHOWN = 240
"""Characters of an error's message."""


@dataclass(frozen=True)
class Result:
    """One line of the table; `waits` counts how often the host would have waited for the device."""

    path: str
    precision: str
    reason: str
    waits: int


def main() -> int:
    """Runs the paths; 0 where all passed."""
    arguments = parse_arguments()
    warnings.filterwarnings("ignore")
    results: list[Result] = []
    locations: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, second_device(arguments.device) as (device, waits):
        wanted = list(works(arguments, Path(folder), device=device))
        with Progress("paths", total=len(wanted), unit="paths") as progress:
            for name, precision, work in wanted:
                waits.locations.clear()
                results.append(Result(name, precision, attempt(work), waits.locations.total()))
                locations.update(waits.locations)
                progress.advance()
    show(results, locations if arguments.waits else Counter(), device=arguments.device)
    return int(any(result.reason for result in results))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=NAMES, default=NAMES[0], help="name of the second device (default: %(default)s)")
    parser.add_argument("--precision", choices=("both", *DTYPES), default="both", help="of the weights (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="paths whose name contains this")
    parser.add_argument("--waits", action="store_true", help="list where the host would wait for the device")
    return parser.parse_args()


def precisions(arguments: argparse.Namespace) -> list[str]:
    """Those that are asked for."""
    return list(DTYPES) if arguments.precision == "both" else [arguments.precision]


def works(arguments: argparse.Namespace, folder: Path, *, device: torch.device) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """(path, precision, what it does) of all that is asked for."""
    for precision in precisions(arguments):
        dtype = DTYPES[precision]
        known, paths = (training_paths(folder / f"{precision}_{where}") for where in ("cpu", device.type))
        for reference, path in zip(known, paths, strict=True):
            if arguments.only in path.name:
                yield path.name, precision, partial(compare, reference, path, device=device, precision=precision)
        for name, work in answering_paths().items():
            if arguments.only in name:
                yield name, precision, partial(work, device, dtype)


def compare(reference: TrainingPath, path: TrainingPath, *, device: torch.device, precision: str) -> None:
    """Trains on the CPU and on the device; raises AssertionError where losses or norms of gradients differ that should not."""
    found = []
    for one, location in ((reference, torch.device("cpu")), (path, device)):
        torch.manual_seed(0)
        found.append(train(one, location, dtype=DTYPES[precision], backward=device.type == "other"))
    for known, value in zip(*found, strict=True):
        assert path.random or math.isclose(value, known, rel_tol=TOLERANCE[precision]), (
            f"loss or gradient norm {value:.6g}, on the CPU {known:.6g}"
        )


def attempt(work: Callable[[], object]) -> str:
    """Why it failed, with the project's innermost line; empty where it passed."""
    try:
        work()
    except Exception as error:  # every failure of a path is a line of the table
        own = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "/projects/" in frame.filename and "second_device" not in frame.filename
        ]
        location = f" ({own[-1].filename.rpartition('/projects/')[2]}:{own[-1].lineno})" if own else ""
        return f"{type(error).__name__}: {str(error).splitlines()[0][:MOST_SHOWN] if str(error) else ''}{location}"
    return ""


def show(results: list[Result], locations: Counter[str], *, device: str) -> None:
    """Prints the table and its sum."""
    console = Console(width=WIDTH)
    table = Table("path", "precision", "result", "host waits", title=f"device {device}, torch {torch.__version__}")
    for result in results:
        table.add_row(result.path, result.precision, f"FAILED {result.reason}" if result.reason else "passed", str(result.waits))
    console.print(table)
    for location, count in locations.most_common():
        console.print(f"{count:6} waits at {location}", highlight=False)
    failed = sum(bool(result.reason) for result in results)
    console.print(f"{len(results) - failed} passed, {failed} FAILED")


if __name__ == "__main__":
    sys.exit(main())
