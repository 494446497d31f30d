"""The checkpoint tool on checkpoints written by the real writer."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from eocore.train.checkpoint.snapshot import Snapshot, write

REST = "so it holds no checkpoints. Name the work directory of a training."


@pytest.fixture(scope="module")
def tool(repo_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("checkpoint_tool", repo_root / "tools" / "checkpoint.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (1, 2):
        weights = {"head": torch.full((4,), float(step))}
        moments = {f"{kind}/head": torch.zeros(4) for kind in ("exp_avg", "exp_avg_sq")}
        state = {"step": step, "world_size": 2, "zero_stage": 2, "config": "seed = 1\n", "guard": {"skipped": {"loss spike": 3}}}
        write(Snapshot(step=step, weights=weights, moments=moments, state=state, random=[{}, {}]), tmp_path / "run")
    return tmp_path / "run"


def call(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["checkpoint.py", *map(str, arguments)])
    return int(tool.COMMAND())


def test_the_checkpoints_of_a_run_are_listed(
    tool: ModuleType, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tool, monkeypatch, "list", run) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["iter_000001", "iter_000002"] and "2 rank(s), ZeRO 2" in lines[0]
    assert call(tool, monkeypatch, "list", run.parent) == 1
    assert capsys.readouterr() == ("0 checkpoint(s)\n", "")


def test_a_folder_that_is_not_there_is_no_run_without_checkpoints(
    tool: ModuleType, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (run / "mistyped", run / "latest"):
        assert call(tool, monkeypatch, "list", path) == 1
        assert capsys.readouterr() == (
            "",
            f"CheckpointError: {path} is no folder, {REST}\n",
        )


@pytest.mark.parametrize("name", ["iter_000002", "latest", ""])
def test_the_newest_is_named_by_its_folder_the_run_or_latest(
    tool: ModuleType, run: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tool, monkeypatch, "show", run / name) == 0
    assert "step             2" in capsys.readouterr().out
    out = run.parent / "weights.safetensors"
    assert call(tool, monkeypatch, "convert", run / name, out) == 0
    assert load_file(out)["head"].tolist() == [2.0] * 4


def test_a_damaged_one_is_named_and_gives_an_exit_status(
    tool: ModuleType, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tool, monkeypatch, "verify", run) == 0
    (run / "iter_000001" / "rng_00001.json").write_text("{}")
    assert call(tool, monkeypatch, "verify", run) == 1
    assert (
        "iter_000001  DAMAGED" in (out := capsys.readouterr().out) and "rng_00001.json has 2 bytes" in out and "iter_000002  whole" in out
    )
    assert call(tool, monkeypatch, "verify", run / "iter_000002") == 0
    assert call(tool, monkeypatch, "verify", run.parent) == 1


def test_what_a_checkpoint_holds_is_shown(
    tool: ModuleType, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tool, monkeypatch, "show", run / "iter_000002") == 0
    assert "{'loss spike': 3}" in capsys.readouterr().out
    assert call(tool, monkeypatch, "show", run / "iter_000002", "--config") == 0
    assert capsys.readouterr().out == "seed = 1\n\n"


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights_are_taken_out(tool: ModuleType, run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"weights.{ending}"
    assert call(tool, monkeypatch, "convert", run / "iter_000002", out) == 0
    written = load_file(out) if ending == "safetensors" else torch.load(out, weights_only=True)["state_dict"]
    assert torch.equal(written["head"], torch.full((4,), 2.0))
    assert call(tool, monkeypatch, "convert", run / "iter_000001", out) == 1, "never written over"
    assert out.stat().st_mode == (run / "iter_000002" / "trainer.json").stat().st_mode


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights_that_cannot_be_written_are_one_error_and_leave_nothing(
    tool: ModuleType,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    limit_file_size: Callable[[int | None], None],
    ending: str,
) -> None:
    (tmp_path / "file").touch()
    assert call(tool, monkeypatch, "convert", run / "iter_000002", tmp_path / f"file/inner.{ending}") == 1
    limit_file_size(10)
    assert call(tool, monkeypatch, "convert", run / "iter_000002", tmp_path / f"new/weights.{ending}") == 1
    limit_file_size(None)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("OutputError: ") and "a file is in the place of a folder" in first
    assert "the weights cannot be written: the file would exceed the allowed size. Nothing half-written is left." in second
    assert not list((tmp_path / "new").iterdir())


def test_an_unknown_ending_is_refused(
    tool: ModuleType, run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tool, monkeypatch, "convert", run / "iter_000002", tmp_path / "weights.bin") == 1
    assert "expected .safetensors or .pth" in capsys.readouterr().err


def recorded(run: Path, step: int, **entries: object) -> Path:
    settings = {"max_iters": 3, "optimizer": {"lr": 0.1}, "schedule": {}}
    data = {"batches": step, "accumulation": 1, "global_batch": 2, "by_length": False, "plan": None}
    state = {
        "step": step,
        "world_size": 1,
        "zero_stage": 2,
        "config": "",
        "settings": settings,
        "data": data,
        "frozen_hash": "f",
        "seed": 1,
    }
    weights, moments = {"head": torch.zeros(4)}, {f"{kind}/head": torch.zeros(4) for kind in ("exp_avg", "exp_avg_sq")}
    return write(Snapshot(step=step, weights=weights, moments=moments, state=state | entries, random=[{}]), run)


def test_what_two_checkpoints_differ_in_is_told(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"precision": "fp32", "task": {"lora": {"alpha": 8}, "data": {"parts": [{"weight": 1.0}]}}}
    content = {"samples": 4, "datasets": []}
    first = recorded(tmp_path / "a", 1, options=options, content=content)
    changed = {"precision": "bf16", "task": {"lora": {"alpha": 80}, "data": {"parts": [{"weight": 2.0}]}}}
    second = recorded(tmp_path / "b", 2, options=changed, content=content | {"samples": 6}, seed=2)
    assert call(tool, monkeypatch, "compare", first, first) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert call(tool, monkeypatch, "compare", first, second) == 1
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "--allow data  samples of an epoch: 4 then, 6 now",
        "--allow data  task.data.parts.0.weight: 1.0 then, 2.0 now",
        "--allow model  task.lora.alpha: 8 then, 80 now",
        "--allow precision  precision: fp32 then, bf16 now",
        "--allow seed  seed: 1 then, 2 now",
    ]
    assert call(tool, monkeypatch, "show", second, "--options") == 0
    assert "task.data.parts.0.weight: 2.0" in capsys.readouterr().out.splitlines()


def test_a_checkpoint_that_records_less_is_compared_in_what_it_tells(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = recorded(tmp_path / "a", 1), recorded(tmp_path / "b", 2, options={"precision": "fp32"}, content=None)
    assert call(tool, monkeypatch, "compare", old, new) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"not compared, since {old} does not record it: options of task, ") and lines[1:] == ["no difference"]


def test_what_was_allowed_to_differ_is_shown(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"step": 1, "checkpoint": "iter_000001", "differences": {"seed": ["seed: 1 then, 2 now"]}, "not_compared": "annotation files"}
    assert call(tool, monkeypatch, "show", recorded(tmp_path / "a", 2, allowed=[entry])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "allowed          resumed from iter_000001, seed: seed: 1 then, 2 now" in lines
    assert "not compared     resumed from iter_000001: annotation files" in lines
