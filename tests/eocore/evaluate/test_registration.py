"""What an installed system adds to evaluation is known to every command that reads results, not to `run` alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eocore.evaluate.__main__ import main
from eocore.evaluate.engine.shards import shard_path
from eocore.evaluate.registration import register_systems_of
from eocore.evaluate.settings import SETTINGS
from eocore.evaluate.suites import SUITES
from eocore.evaluate.tasks import TASKS

SYSTEM = """from eocore.system import System

def benchmarks():
    from eocore.evaluate.settings import SETTINGS, Setting
    from eocore.evaluate.suites import SUITES
    from eocore.evaluate.tasks import TASKS, EvaluationTask

    SETTINGS.register({setting!r}, Setting())
    TASKS.register({task!r}, EvaluationTask(scorers={{"generates": {{"type": {scorer!r}}}}}))
    SUITES.register({name!r}, "of its own")

SYSTEM = System(name={name!r}, model_types=({name!r},), task=lambda: None, benchmarks=benchmarks)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """install(name, setting=..., task=..., scorer=...): a system with these of its own, forgotten after the test."""
    for choices in (SETTINGS, TASKS, SUITES):
        monkeypatch.setattr(choices, "_entries", dict(choices))

    def put(name: str, **words: str) -> None:
        site = tmp_path / f"site_{name}"
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").touch()
        (site / name / "system.py").write_text(SYSTEM.format(name=name, **words))
        (site / f"{name}-1.0.dist-info").mkdir()
        (site / f"{name}-1.0.dist-info" / "entry_points.txt").write_text(f"[eocore.systems]\n{name} = {name}.system:SYSTEM\n")
        monkeypatch.syspath_prepend(site)

    return put


def line(number: int, *, setting: str, task: str, said: str = "a flooded field") -> str:
    """A line of a predictions file, whether its names are registered or not."""
    fields: dict[str, Any] = {"sample_id": str(number), "task": task, "image_ids": [f"{number}.png"], "sensor": setting}
    return json.dumps({**fields, "prompt": "What?", "prediction": said, "ground_truth": "a flooded field", "meta": {}}) + "\n"


def manifest(setting: str, task: str, *, system: str, benchmark: str = "floods") -> dict[str, Any]:
    stamps = {name: "0" for name in ("model_stamp", "config_sha256", "data_sha256")}
    named = {"benchmark": benchmark, "named": benchmark, "title": benchmark, "task": task, "metric": {}, "settings": [setting]}
    return {"run_id": "r0", **named, "sample_ids": ["0", "1"], "system": system, "model": "m", "data_root": "d", **stamps}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("flood_reader", {"setting": "thermal", "task": "change", "scorer": "OpenAnswer"}),
        ("night_reader", {"setting": "night", "task": "harbours", "scorer": "ShortAnswer"}),
    ],
)
def test_settings_and_tasks_of_a_system_are_merged_reported_scored_and_compared(
    name: str, words: dict[str, str], install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(name, **words)
    setting, task = words["setting"], words["task"]
    folder = tmp_path / "out" / "floods"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(manifest(setting, task, system=name)))
    shard = shard_path(folder, run_id="r0", rank=0, world_size=1)
    shard.write_text("".join(line(number, setting=setting, task=task) for number in range(2)))
    assert setting not in SETTINGS and task not in TASKS

    assert main(["merge", str(folder.parent)]) == 0
    assert setting in capsys.readouterr().out
    assert main(["report", str(folder.parent)]) == 0
    assert setting in (folder.parent / "report.md").read_text()
    predictions = str(folder / "predictions.jsonl")
    assert main(["score", "--predictions", predictions]) == 0
    assert task in capsys.readouterr().out
    assert main(["compare", predictions, predictions]) == 0
    assert setting in capsys.readouterr().out


def test_a_file_that_names_no_system_is_read_with_what_all_installed_ones_add(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("flood_reader", setting="thermal", task="change", scorer="OpenAnswer")
    copied = tmp_path / "copied.jsonl"
    copied.write_text(line(0, setting="thermal", task="change"))
    assert main(["score", "--predictions", str(copied)]) == 0
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text(json.dumps({"answer": "a flooded field", "gt": "a flooded field"}) + "\n")
    assert main(["score", "--predictions", str(foreign), "--task", "change", "--sensor", "thermal"]) == 0
    assert "thermal" in capsys.readouterr().out
    assert main(["score", "--predictions", str(foreign), "--task", "changes"]) == 1
    assert "no task 'changes'. Did you mean 'change'?" in capsys.readouterr().err
    assert main(["score", "--predictions", str(foreign), "--task", "chat"]) == 1
    assert "--task chat: answers of this task have no score" in capsys.readouterr().err


def test_only_the_system_that_is_named_registers(install: Install, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    install("flood_reader", setting="thermal", task="change", scorer="OpenAnswer")
    install("night_reader", setting="night", task="harbours", scorer="ShortAnswer")
    (tmp_path / "run.json").write_text(json.dumps({"system": "night_reader"}))
    register_systems_of(tmp_path / "predictions.jsonl")
    assert "night" in SETTINGS and "thermal" not in SETTINGS
    (tmp_path / "run.json").write_text(json.dumps({"system": "absent_reader"}))
    register_systems_of(tmp_path)
    assert "thermal" not in SETTINGS
    assert "made by system 'absent_reader', which is not installed" in capfd.readouterr().err
