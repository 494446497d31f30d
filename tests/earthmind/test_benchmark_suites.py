"""The scripts of scripts_eval/ on a saved model and made-up data: stopped and resumed, on one, two and three processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import forked
import pytest

from eocore.evaluate.__main__ import main
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.synthetic.test_sets.catalogue import write_published

ROOT = Path(__file__).resolve().parents[2]
SUITE, SCRIPT = "pixel", "pixel_task_eval.sh"
NAMES = ("refsegrs", "risbench", "rrsisd", "sar_referring")


@pytest.fixture(scope="module")
def model_dir(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    made = make_tiny()
    made.model.save_pretrained(folder)
    made.processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_published(root, num_scenes=3, size=48)
    return root


def script(name: str, *words: object, python: str = sys.executable) -> subprocess.Popen[str]:
    """A running script."""
    environment = {**os.environ, "PYTHON": python, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = ["bash", str(ROOT / "scripts_eval" / name), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment)


def python_call(folder: Path, name: str, *words: object) -> list[str]:
    """What a script calls Python with: in its place is a program in `folder` that prints its arguments."""
    python = folder / "python"
    python.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    status, output = finished(script(name, *words, python=str(python)))
    assert status == 0, output
    return output.splitlines()


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=900)
    return process.returncode, output


def predictions(out: Path) -> dict[str, str]:
    return {name: (out / name / "predictions.jsonl").read_text() for name in NAMES}


def scores(out: Path) -> dict[str, Any]:
    return {name: json.loads((out / name / "scores.json").read_text())["settings"] for name in NAMES}


@pytest.mark.slow
def test_any_number_of_processes_and_a_killed_run_give_the_same_scores(model_dir: Path, data: Path, tmp_path: Path) -> None:
    flags = ("--any-count", "--max-new-tokens", 6, "--batch-size", 4)
    for processes in (1, 2, 3):
        status, output = finished(script(SCRIPT, model_dir, data, processes, "--out", tmp_path / str(processes), *flags))
        assert status == 0, output
        assert output.rstrip().splitlines()[-1].startswith("SAR referring (EarthMind)"), output
    process = script(SCRIPT, model_dir, data, 2, "--out", tmp_path / "killed", *flags)
    _kill_when_begun(process, tmp_path / "killed")
    assert not (tmp_path / "killed" / "sar_referring" / "scores.json").exists()
    before = sum(len(path.read_text().splitlines()) for path in (tmp_path / "killed").glob("*/predictions.*.*of2.jsonl"))
    assert before > 0
    status, output = finished(script(SCRIPT, model_dir, data, 2, "--out", tmp_path / "killed", *flags))
    assert status == 0, output
    assert "samples are there already" in output
    for other in ("2", "3", "killed"):
        assert scores(tmp_path / other) == scores(tmp_path / "1")
        assert predictions(tmp_path / other) == predictions(tmp_path / "1")


def _kill_when_begun(process: subprocess.Popen[str], out: Path) -> None:
    """Kills the script and all it started, without a chance to tidy up, once some samples are written."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.stat().st_size for path in out.glob("*/predictions.*.*of2.jsonl")):
            break
        time.sleep(0.005)
    for number in [*_descendants(process.pid), process.pid]:  # torchrun's workers are no members of its process group
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.communicate()


def _descendants(number: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(number)], capture_output=True, text=True, check=False).stdout.split()
    return [descendant for child in map(int, listed) for descendant in (*_descendants(child), child)]


def test_bad_arguments_end_with_what_to_do(model_dir: Path, data: Path, tmp_path: Path) -> None:
    for words, message in (
        ((), "no MODEL given"),
        ((tmp_path / "none", data), "is no folder. Convert a checkpoint"),
        ((model_dir, tmp_path / "none"), "DATA_ROOT"),
        ((model_dir, data, "many"), "GPUS is 'many'; expected a whole number"),
    ):
        status, output = finished(script(SCRIPT, *words))
        assert status == 2
        assert message in output
        assert f"scripts_eval/{SCRIPT} --help" in output


def test_no_data_at_all_fails_and_says_what_to_fetch(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = forked.run(python_call(tmp_path, SCRIPT, model_dir, tmp_path / "empty", 1, "--out", tmp_path / "out"), cwd=ROOT)
    output = done.stdout + done.stderr
    assert done.returncode == 1
    for name in NAMES:
        assert output.count(f"{name} skipped: benchmark '{name}':") == 1, "told once"
    assert "github.com/zhu-xlab/rrsis, then tools/prepare/refsegrs.py" in output
    assert output.rstrip().endswith("No benchmark could be run.")


def test_an_unknown_benchmark_and_a_folder_that_is_no_model(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    for words, message in (
        (("--model", model_dir, "--benchmark", "aidd"), "no benchmark 'aidd'. Did you mean 'aid'?"),
        (("--model", tmp_path, "--benchmark", "aid"), "no folder of a converted model (no config.json)"),
        (("--model", model_dir, "--benchmark", "aid", "--batch-size", "0"), "--batch-size 0: expected at least 1"),
        (("--model", model_dir, "--benchmark", "aid", "--prompt", "aid"), "expected NAME=TEXT"),
        (("--benchmark", "aid"), "--model is missing"),
    ):
        assert main(["run", *map(str, words)]) == 1
        assert message in capsys.readouterr().err


def test_the_list_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{shown}" for name in load_benchmarks(["earthmind"]))
