"""One side of a ratio in a process of its own, whose peak of memory is then its own too: python -m eocore.benchmark.isolation JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eocore.benchmark.memory import PeakMemory, measure_peak
from eocore.errors import EOError

PACKAGES = Path(__file__).resolve().parents[2]
MOST_SHOWN = 2000
"""Characters of a failed process's messages that are told."""


def measure_sides(system: str, config: Mapping[str, Any]) -> dict[str, PeakMemory]:
    """Peak memory of each side of a ratio, each in a fresh process.

    Raises:
        EOError: a process failed.
    """
    return {side: _measure_apart({"system": system, "ratio": dict(config), "side": side}) for side in ("reference", "ours")}


def _measure_apart(order: Mapping[str, Any]) -> PeakMemory:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGES), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "eocore.benchmark.isolation", json.dumps(order)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise EOError(f"side '{order['side']}' of {order['ratio']} ended with {done.returncode}: {done.stderr[-MOST_SHOWN:]}")
    return PeakMemory(**json.loads(done.stdout.splitlines()[-1]))


def _main(order: Mapping[str, Any]) -> None:
    from eocore.benchmark.ratios import Pair, build_ratio, load_ratios

    load_ratios(order["system"])
    ratio = build_ratio(order["system"], order["ratio"])
    assert isinstance(ratio, Pair)
    sys.stdout.write(json.dumps(asdict(measure_peak(ratio.prepare(order["side"])))) + "\n")


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
