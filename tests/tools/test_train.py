"""tools/train.py and tools/print_config.py: flags, and errors that end in one line and a status."""

import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mmengine.config import Config

from eocore.train import launch
from eocore.train.checkpoint.allowable import ALLOWABLE

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", TOOLS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text("systems = []\nseed = 0\ntraining = dict(max_iters=4, deepspeed='deepspeed_zero2')\noptimizer = dict(lr=0.1)\n")
    return path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the command would start."""
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(launch, "train", lambda config, work_dir, *, resume, **_: seen.append((config, work_dir, resume)) or True)
    monkeypatch.setattr(launch, "dry_run", lambda config, *_, resume, allow, **__: seen.append((config, resume, allow)) or "told\n")
    monkeypatch.setattr("eocore.train.strategy.stop_process_group", lambda: None)
    return seen


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments), "--trust-config"])
    return load(name).COMMAND()


def test_flags_reach_the_training(monkeypatch: pytest.MonkeyPatch, config_file: Path, calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    flags = ["--work-dir", tmp_path / "out", "--zero", 3, "--seed", 7, "--cfg-options", "training.max_iters=9", "+note=x", "--resume"]
    assert run(monkeypatch, "train", config_file, *flags) == 0
    ((config, work_dir, resume),) = calls
    assert (config.training.deepspeed, config.training.max_iters, config.seed, config.note) == ("deepspeed_zero3", 9, 7, "x")
    assert (work_dir, resume) == (tmp_path / "out", "auto")


def test_the_work_dir_is_named_after_the_config(monkeypatch: pytest.MonkeyPatch, config_file: Path, calls: list[tuple[Any, ...]]) -> None:
    assert run(monkeypatch, "train", config_file, "--deepspeed", "deepspeed_zero1", "--launcher", "pytorch") == 0
    ((config, work_dir, resume),) = calls
    assert (config.training.deepspeed, work_dir, resume) == ("deepspeed_zero1", Path("work_dirs/tiny"), None)


def test_a_dry_run_tells_and_does_not_train(
    monkeypatch: pytest.MonkeyPatch, config_file: Path, calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "train", config_file, "--dry-run") == 0
    assert run(monkeypatch, "train", config_file, "--dry-run", "--resume", "--allow", "seed", "--allow", "losses") == 0
    assert len(calls) == 2 and isinstance(calls[0][0], Config)
    assert [call[1:] for call in calls] == [(None, []), ("auto", ["seed", "losses"])]
    assert capsys.readouterr().out == "told\ntold\n"


def test_an_unknown_kind_of_difference_is_answered_with_the_choices(
    monkeypatch: pytest.MonkeyPatch, config_file: Path, calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "train", config_file, "--resume", "--allow", "everything")
    told = capsys.readouterr().err
    assert "invalid choice: 'everything'" in told and all(kind in told for kind in ALLOWABLE) and not calls


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cfg-options", "training.max_iter=9"], "ConfigError: --cfg-options training.max_iter"),
        (["--zero", "1", "--deepspeed", "deepspeed_zero2"], "ConfigError: --deepspeed and --zero both name"),
        (["--cfg-options", "systems=['os']"], "ConfigError: no system 'os' is installed"),
    ],
)
def test_mistakes_end_in_one_line(
    monkeypatch: pytest.MonkeyPatch, config_file: Path, calls: list[tuple[Any, ...]], flags: list[str], message: str
) -> None:
    module = load("train")
    lines: list[str] = []
    logger = logging.getLogger("test_train")
    monkeypatch.setattr(logger, "error", lambda text, *values: lines.append(text % values))
    monkeypatch.setattr("eocore.train.resilience.failure.get_logger", lambda: logger)
    monkeypatch.setattr(sys, "argv", ["train", str(config_file), *flags, "--trust-config"])
    assert module.COMMAND() == 1
    assert len(lines) == 1 and lines[0].startswith(message) and not calls


def test_print_config_shows_what_was_merged(monkeypatch: pytest.MonkeyPatch, config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "print_config", config_file, "--cfg-options", "seed=5") == 0
    namespace: dict[str, Any] = {}
    exec(capsys.readouterr().out, namespace)
    assert namespace["seed"] == 5 and namespace["training"] == {"max_iters": 4, "deepspeed": "deepspeed_zero2"}


def test_print_config_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "print_config", tmp_path / "none.py") == 1
    assert "ConfigError: config" in capsys.readouterr().err
