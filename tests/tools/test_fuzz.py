"""tools/fuzz.py: the readers stand, and the tool tells where one does not."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
INPUTS = 20_000
"""Of the test; `python tools/fuzz.py --inputs 100000` for more."""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tools_fuzz", ROOT / "tools" / "fuzz.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(reader: str, inputs: int) -> dict[str, int]:
    command = [sys.executable, "-W", "ignore", str(ROOT / "tools" / "fuzz.py"), "--reader", reader, "--inputs", str(inputs)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("reader", "fraction"), load().FRACTIONS.items())
def test_no_reader_fails_but_by_our_errors(reader: str, fraction: float) -> None:
    counts = run(reader, round(INPUTS * fraction))
    assert sum(counts.values()) >= INPUTS * fraction
    assert counts["accepted"] > 0, "inputs that nothing accepts reach little of a reader"
    assert any(name.startswith("refused") for name in counts)


@pytest.mark.parametrize("reader", ["images", "products"])
def test_a_share_of_the_inputs_at_every_run(reader: str, tmp_path: Path) -> None:
    module = load()
    counts = module.fuzz(module.readers(tmp_path)[reader], 60, start=1)
    assert sum(counts.values()) >= 60
    assert counts["accepted"] > 0


def test_an_error_that_is_none_of_ours_is_found() -> None:
    module = load()

    def read(value: int) -> None:
        if value > 1000:
            raise IndexError(value)

    with pytest.raises(IndexError, match="1001"):
        module.fuzz(module.Reader(st.integers(), read), 2000, start=0)
