"""The check of a machine: its list, its table, its exit status."""

import json
import os
import subprocess
from pathlib import Path

import forked
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def check(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1", **environment}
    return forked.run([ROOT / "tools" / "gpu_check.py", *arguments], cwd=ROOT, environment=variables)


def test_the_list_names_every_part_of_a_run() -> None:
    names = check("--list").stdout.splitlines()
    wanted = "device|pinned|data|train bf16|resume|2 ranks|ZeRO-3|packed|flash|compiled|convert|predict|evaluate|4B"
    assert all(any(word in name for name in names) for word in wanted.split("|")), names


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is left out where there is no GPU")
def test_what_needs_a_gpu_is_skipped_and_says_so(tmp_path: Path) -> None:
    done = check("--only", "pinned", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pinned memory" in done.stdout and "no GPU" in done.stdout and done.stdout.splitlines()[-1] == "0 passed, 0 failed, 1 skipped"
    assert [row["result"] for row in json.loads((tmp_path / "out" / "checks.json").read_text())] == ["skipped"]


def test_a_failing_check_is_told_and_ends_with_status_1(tmp_path: Path) -> None:
    (tmp_path / "rasterio.py").write_text("raise ImportError('GDAL is broken')\n")
    done = check("--only", "data", "--out", tmp_path / "out", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT / 'projects'}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ImportError: GDAL is broken" in done.stdout and done.stdout.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"
    assert (tmp_path / "out" / "logs" / "01_data.log").is_file()


def test_foreign_files_and_unknown_checks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = check("--only", "device", "--out", tmp_path)
    assert done.returncode == 1 and "holds files that this check did not write, so it is left alone" in done.stderr
    done = check("--only", "warp drive")
    assert done.returncode == 1 and "no check is called 'warp drive'. Checks: device, " in done.stderr


def test_the_script_explains_itself_before_it_sets_anything_up() -> None:
    command = ["bash", str(ROOT / "tools" / "gpu_check.sh"), "--quick", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and done.stdout.startswith("Usage: bash tools/gpu_check.sh") and "--only" in done.stdout
