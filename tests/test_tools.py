"""The commands: every script parses and explains itself, and the set-up scripts refuse what they cannot do with a clear message."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCED = {"launch.sh", "stages.sh", "suite.sh"}
SCRIPTS = [*sorted((ROOT / "tools").rglob("*.sh")), *sorted((ROOT / "scripts_eval").rglob("*.sh")), ROOT / ".ci" / "run"]
COMMANDS = [path for path in SCRIPTS if path.name not in SOURCED and path.parent.name != ".ci"]
PROGRAMS = sorted(path for path in (ROOT / "tools").rglob("*.py") if "__main__" in path.read_text())
SETTINGS = {"PYTHON", "TORCH_SPEC", "TORCH_INDEX_URL", "MIN_FREE_GB", "DEEPSPEED"}
"""Variables that the scripts read; a test sets them itself."""
STUB = """#!/usr/bin/env bash
# Stands for the Python of an environment: pip writes its arguments down, libraries count as installed.
case "$*" in
    "-m pip "*)
        echo "$*" >>"$(dirname "$0")/pip_calls"
        [[ -z ${PIP_SECONDS:-} ]] || { echo "Building wheel"; /bin/sleep "$PIP_SECONDS"; }
        [[ -z ${PIP_OUTPUT:-} ]] || { echo "$PIP_OUTPUT"; exit 1; } ;;
    *check_env.py*--names-only) exec "$REAL_PYTHON" "$@" ;;
    *check_env.py* | "-c import cv2") ;;
    *"version(\\"torch\\")"*) echo torch==2.13.0+cpu ;;
    *) exec "$REAL_PYTHON" "$@" ;;
esac
"""


def bash(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A finished bash process, its output in `stdout` and `stderr`."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    variables = {**inherited, "REAL_PYTHON": sys.executable, **environment}
    return subprocess.run(["bash", *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, env=variables, timeout=3000)


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


@pytest.fixture
def stub_venv(tmp_path: Path) -> Path:
    """A folder that set-up takes for an environment it made, whose Python does not install anything."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / ".made_by_setup_env").touch()
    python = venv / "bin" / "python"
    python.write_text(STUB)
    python.chmod(0o755)
    return venv


def set_up(venv: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return bash("tools/setup_env.sh", "--venv", venv, *arguments, **environment)


@pytest.mark.parametrize("script", named(SCRIPTS))
def test_script_parses(script: Path) -> None:
    result = bash("-n", script)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("script", named(SCRIPTS))
def test_script_passes_shellcheck(script: Path) -> None:
    beside_python = Path(sys.executable).with_name("shellcheck")
    shellcheck = str(beside_python) if beside_python.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed (extra: dev)")
    result = subprocess.run([shellcheck, "-x", script], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("script", named(COMMANDS))
def test_command_explains_itself(script: Path) -> None:
    result = bash(script, "--help")
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout.lower()


@pytest.mark.parametrize("program", named(PROGRAMS))
def test_program_explains_itself(program: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
    result = forked.run([program, "--help"], cwd=ROOT, environment=environment)
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout.lower()


@pytest.mark.parametrize("script", ["setup_env.sh", "demo.sh"])
def test_unknown_option_is_named(script: str) -> None:
    result = bash(f"tools/{script}", "--colour")
    assert result.returncode == 1
    assert "unknown option '--colour'. See --help." in result.stderr


def test_option_without_value_is_named() -> None:
    assert "--venv needs a value" in bash("tools/setup_env.sh", "--venv").stderr


def test_set_up_leaves_a_foreign_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    result = set_up(tmp_path)
    assert result.returncode == 1
    assert "was not made by this script, so it is left alone" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_set_up_names_the_pythons_that_do_not_fit(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    result = set_up(tmp_path / "venv", PYTHON=str(old))
    assert result.returncode == 1
    assert f"{old}: Python 3.9, but 3.11 or 3.12 is needed" in result.stderr
    assert f"{tmp_path}/nowhere: not there" in set_up(tmp_path / "venv", PYTHON=f"{tmp_path}/nowhere").stderr


def test_set_up_names_a_missing_venv_module(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\ncase "$2" in *version*) echo 3.12 ;; *) exit 1 ;; esac\n')
    bare.chmod(0o755)
    assert "has no venv module (Debian, Ubuntu: apt-get install python3.12-venv)" in set_up(tmp_path / "venv", PYTHON=str(bare)).stderr


def test_set_up_refuses_an_unknown_extra(stub_venv: Path) -> None:
    result = set_up(stub_venv, "--extras", "train,evil")
    assert result.returncode == 1
    assert "pyproject.toml has no extra evil; there are train, tensorboard, wandb, eval" in result.stderr
    assert not (stub_venv / "bin" / "pip_calls").exists()


def test_set_up_refuses_a_full_disk(stub_venv: Path) -> None:
    result = set_up(stub_venv, MIN_FREE_GB="99999999")
    assert result.returncode == 1
    assert "99999999 GB wanted for the packages" in result.stderr
    assert not (stub_venv / "bin" / "pip_calls").exists()


def test_set_up_installs_torch_before_the_project_and_only_once(stub_venv: Path) -> None:
    first = set_up(stub_venv, "--extras", "eval", MIN_FREE_GB="0")
    assert first.returncode == 0, first.stderr
    calls = (stub_venv / "bin" / "pip_calls").read_text().splitlines()
    assert "torch==2.13.0" in calls[1]
    assert f"-e {ROOT}[eval]" in calls[2]
    assert "torch==2.13.0+cpu" in (stub_venv / "constraints.txt").read_text()

    second = set_up(stub_venv, "--extras", "eval", MIN_FREE_GB="0")
    assert "up to date, re-used" in second.stdout
    assert (stub_venv / "bin" / "pip_calls").read_text().splitlines() == calls


def test_set_up_shows_that_it_is_alive_and_each_line_of_pip_once(stub_venv: Path) -> None:
    fast = stub_venv / "fast" / "sleep"
    fast.parent.mkdir()
    fast.write_text("#!/bin/sh\nexec /bin/sleep 0.05\n")
    fast.chmod(0o755)
    shown = set_up(stub_venv, MIN_FREE_GB="0", PIP_SECONDS="0.5", PATH=f"{fast.parent}:{os.environ['PATH']}").stdout
    beats = [line for line in shown.splitlines() if line.startswith("    0:0")]
    assert len(beats) > 3 and all(re.fullmatch(r"    0:0\d(  Building wheel)?", line) for line in beats)
    assert 1 <= sum("Building wheel" in line for line in beats) <= 3  # of the three installations


def test_set_up_adds_an_extra_and_keeps_the_others(stub_venv: Path) -> None:
    set_up(stub_venv, "--extras", "eval", MIN_FREE_GB="0")
    set_up(stub_venv, "--extras", "dev", MIN_FREE_GB="0")
    assert "[dev,eval]" in (stub_venv / "bin" / "pip_calls").read_text()
    assert "up to date" in set_up(stub_venv, "--extras", "eval,dev").stdout


def test_set_up_installs_open_clip_without_its_dependencies(stub_venv: Path) -> None:
    set_up(stub_venv, "--extras", "open_clip", MIN_FREE_GB="0")
    assert "--no-deps open-clip-torch==3.3.0" in (stub_venv / "bin" / "pip_calls").read_text()


def test_set_up_installs_sam2_without_its_dependencies_and_only_on_request(stub_venv: Path) -> None:
    set_up(stub_venv, "--extras", "eval", MIN_FREE_GB="0")
    assert "--no-deps" not in (stub_venv / "bin" / "pip_calls").read_text()
    set_up(stub_venv, "--extras", "sam2", MIN_FREE_GB="0")
    last = (stub_venv / "bin" / "pip_calls").read_text().splitlines()[-1]
    assert last.endswith("--no-deps --no-build-isolation sam2==1.1.0")


def test_set_up_takes_another_torch_on_request(stub_venv: Path) -> None:
    set_up(stub_venv, MIN_FREE_GB="0", TORCH_SPEC="torch==2.12.1", TORCH_INDEX_URL="file:///wheels")
    assert "--index-url file:///wheels torch==2.12.1" in (stub_venv / "bin" / "pip_calls").read_text()


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("NewConnectionError: Temporary failure in name resolution", "The package index cannot be reached"),
        ("ERROR: Could not find a version that satisfies torch (from versions: none)", "The package index was not reached"),
        ("ERROR: Could not find a version that satisfies torch==9 (from versions: 2.13.0)", "The package index has no build"),
        ("error: something else", "See the log"),
    ],
)
def test_set_up_explains_a_failed_installation(stub_venv: Path, output: str, cause: str) -> None:
    result = set_up(stub_venv, MIN_FREE_GB="0", PIP_OUTPUT=output)
    assert result.returncode == 1
    assert output in result.stderr
    assert f"failed. {cause}" in result.stderr
    assert f"Log: {stub_venv}/setup.log" in result.stderr
    assert not (stub_venv / ".setup_stamp").exists()


def test_demo_leaves_a_foreign_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    result = bash("tools/demo.sh", "--out", tmp_path)
    assert result.returncode == 1
    assert "holds files that the demo did not write, so it is left alone" in result.stderr
    assert (tmp_path / "model").is_dir()


def test_demo_refuses_a_number_of_processes_below_one(tmp_path: Path) -> None:
    assert "--gpus takes a number from 1 on, found '0'" in bash("tools/demo.sh", "--out", tmp_path, "--gpus", "0").stderr


def test_demo_refuses_a_system_that_it_does_not_know(tmp_path: Path) -> None:
    result = bash("tools/demo.sh", "--system", "clip", "--out", tmp_path)
    assert (result.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "no demo of a system 'clip'. Give --system earthmind, ms_clip, aerith or earthfm." in result.stderr


def test_a_stage_that_fails_names_itself_and_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "train.log"
    script = f'set -euo pipefail; source tools/stages.sh; STAGE_COUNT=2; stage train {log} sh -c "echo loss nan; exit 3"; echo went on'
    result = bash("-c", script)
    assert result.returncode == 1
    assert f"stage 1 (train) stopped with exit status 3. Its output is in {log}" in result.stderr
    assert result.stdout.split() == ["[1/2]", "train", "loss", "nan"]
    assert log.read_text() == "loss nan\n"


def test_a_stage_that_ends_well_tells_the_time(tmp_path: Path) -> None:
    result = bash("-c", f"set -euo pipefail; source tools/stages.sh; STAGE_COUNT=1; stage data {tmp_path}/data.log echo made; clock 75")
    assert result.returncode == 0, result.stderr
    assert "[1/1] done in 0:0" in result.stdout
    assert result.stdout.endswith("1:15")
