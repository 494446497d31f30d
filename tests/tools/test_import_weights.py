"""The commands that take weights in and give them out: what they print, and how they end."""

import runpy
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import zeros

SOURCE = "reference_model"


def run(tool: Path, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> object:
    """Exit status of a command, run in this process."""
    monkeypatch.setattr(sys, "argv", [str(tool), *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tool), run_name="__main__")
    return ended.value.code


def test_a_dry_run_prints_the_table_and_writes_nothing(
    shared_dir: Path, repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = repo_root / "tools" / "import_weights.py"
    assert run(tool, shared_dir / SOURCE, "--dry-run", "--out", tmp_path / "model", monkeypatch=monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "mapped    vision_tower" in printed
    assert "not used  SAM 2 video: memory attention" in printed
    assert "Model: 892,585 parameters. Not used: 193,393." in printed
    assert "No tokenizer lies beside the weights" in printed
    assert list(tmp_path.iterdir()) == []


def test_in_and_out(
    shared_dir: Path, repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = repo_root / "tools"
    assert run(tools / "import_weights.py", shared_dir / SOURCE, "--out", tmp_path / "ours", monkeypatch=monkeypatch) == 0
    options = ("--layout", "earthmind-hf", "--out", tmp_path / "back")
    assert run(tools / "export_weights.py", tmp_path / "ours", *options, monkeypatch=monkeypatch) == 0
    assert "379 tensors, 1,085,946 values, 70 of them unused parts put back." in capsys.readouterr().out


def test_what_is_wrong_is_said_and_ends_with_one(
    repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({"odd": zeros(1)}, tmp_path / "model.safetensors")
    assert run(repo_root / "tools" / "import_weights.py", tmp_path, "--out", tmp_path / "out", monkeypatch=monkeypatch) == 1
    assert "CheckpointError: " in (said := capsys.readouterr().err)
    assert "is of no known layout" in said
    assert run(repo_root / "tools" / "export_weights.py", tmp_path / "nowhere", "--out", tmp_path / "out", monkeypatch=monkeypatch) == 1


def test_a_place_to_write_is_asked_for(
    repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(repo_root / "tools" / "import_weights.py", tmp_path, monkeypatch=monkeypatch) == 2
    assert "--out DIR says where to write; or --dry-run" in capsys.readouterr().err
