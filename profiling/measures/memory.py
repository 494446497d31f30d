"""Highest memory of a piece of work: resident set of this process, or what was allocated on the GPU."""

import gc
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from eocore.train.device import has_gpu, peak_memory_gib
from profiling.measures.timing import wait_for_device

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What, written to clear_refs, brings VmHWM down to the memory in use. Source: proc_pid_clear_refs(5)."""
KIB, GIB = 2**10, 2**30


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """Bytes of a piece of work.

    Attributes:
        before: in use when it began.
        peak: highest while it ran.
    """

    before: int
    peak: int

    @property
    def rise(self) -> int:
        """What the work itself took."""
        return max(self.peak - self.before, 0)


def _status_bytes(field: str) -> int | None:
    if not STATUS.exists():
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * KIB if found else None


def resident_bytes() -> int:
    """The resident set of this process now; the highest of its life where the system does not tell."""
    found = _status_bytes("VmRSS")
    return int(peak_memory_gib()["host"] * GIB) if found is None else found


def measure_peak(work: Callable[[], object]) -> PeakMemory:
    """Peak of one call: GPU memory where a GPU is in use, else the resident set.

    The resident set is that of the whole process: work that is compared should run in a process of its own (`eocore.benchmark.side`).
    Where the kernel cannot reset its peak, the highest of the process's life stands in for it.
    """
    gc.collect()
    wait_for_device()
    if has_gpu() and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        wait_for_device()
        return PeakMemory(before=before, peak=torch.cuda.max_memory_allocated())
    if CLEAR.exists():
        CLEAR.write_text(RESET_PEAK)
    start = _status_bytes("VmRSS")
    work()
    peak = _status_bytes("VmHWM")
    highest = int(peak_memory_gib()["host"] * GIB)
    return PeakMemory(before=highest if start is None else start, peak=highest if peak is None else peak)
