"""The folder of a run (R15): one run at a time, nothing written over, every start recorded, the end told by status.json."""

import itertools
import json
import os
import time
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config

from eocore.errors import CheckpointError, ConfigError, EOError
from eocore.train.launch import train
from eocore.train.work_dir import WorkDir, read_status

NOBODY = 65534


def test_a_second_run_in_the_same_folder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    first, second = (WorkDir(tmp_path / "run", max_iters=1) for _ in range(2))
    first.acquire()
    with pytest.raises(ConfigError, match=rf"is in use by process {os.getpid()} on .* since .*; two runs in one folder would"):
        second.acquire(wait_s=0)
    first.release()
    second.acquire(wait_s=0)
    second.release()


def test_a_killed_run_s_lock_is_free(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        WorkDir(tmp_path, max_iters=1).acquire()
        time.sleep(60)
        os._exit(0)
    while not (tmp_path / ".lock").exists() or not (tmp_path / ".lock").read_text():
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    folder = WorkDir(tmp_path, max_iters=1)
    folder.acquire(wait_s=1)
    folder.release()


def test_another_run_s_files_are_not_written_over(tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny.tiny_config(), tmp_path)
    # the logger of this process goes on writing to the log of the first run
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in (".lock", "train.log")]
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(ConfigError, match=r"holds another run's files \(status.json, .*iter_000003, iter_000006\).*--resume, or choose"):
        train(tiny.tiny_config(), tmp_path)
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_ended_before_its_first_update_starts_again_with_resume(tiny: ModuleType, tmp_path: Path) -> None:
    """What Ctrl-C before any update tells the user to do; without --resume the folder is refused."""
    WorkDir(tmp_path, max_iters=1).write_status("interrupted", step=0, reason="ended by Ctrl-C before any update")
    with pytest.raises(ConfigError, match=r"holds another run's files \(status.json\)"):
        train(tiny.tiny_config(max_iters=1), tmp_path)
    train(tiny.tiny_config(max_iters=1), tmp_path, resume="auto")
    assert (read_status(tmp_path)["state"], read_status(tmp_path)["step"]) == ("finished", 1)


def test_a_folder_with_other_things_in_it_may_be_used(tiny: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("mine = 1\n")
    train(tiny.tiny_config(max_iters=1), tmp_path)
    assert (tmp_path / "config.py").read_text() == "mine = 1\n" and "TinyTask" in (tmp_path / "config.2.py").read_text()


def test_a_folder_that_cannot_be_made_is_named(tiny: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/run cannot be written .*Choose another --work-dir"):
        train(tiny.tiny_config(), tmp_path / "file" / "run")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """As an ordinary user: root may write anywhere."""
    tmp_path.chmod(0o555)
    child = os.fork()
    if child == 0:
        os.chdir(tmp_path)  # pytest's own folders are for their owner alone
        if os.getuid() == 0:
            os.setuid(NOBODY)
        try:
            WorkDir(Path("."), max_iters=1).acquire(wait_s=0)
        except ConfigError as error:
            os._exit(7 if "cannot be written" in str(error) else 8)
        os._exit(9)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7


def test_every_start_is_recorded_with_config_versions_and_code(tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny.tiny_config(), tmp_path)
    train(tiny.tiny_config(max_iters=7), tmp_path, resume="auto", allow=["schedule"])
    first, second = (json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines())
    assert (first["resumed_from"], second["resumed_from"]) == (None, "iter_000006")
    assert (first["config"], second["config"]) == ("config.py", "config.2.py")
    assert "max_iters=7" in (tmp_path / "config.2.py").read_text()
    assert first["versions"]["torch"] and first["world_size"] == 1
    assert not first["git"] or len(first["git"]["commit"]) == 40
    assert "PATH" not in (tmp_path / "runs.jsonl").read_text(), "the environment may hold secrets"


def test_the_status_tells_how_a_run_ended(tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny.tiny_config(), tmp_path / "good")
    status = read_status(tmp_path / "good")
    assert (status["state"], status["step"], status["max_iters"], status["checkpoint"]) == ("finished", 6, 6, "iter_000006")
    config = tiny.tiny_config({"poison_step": 5})
    config.guard = {"max_in_a_row": 1}
    with pytest.raises(Exception, match="skipped"):
        train(config, tmp_path / "bad")
    status = read_status(tmp_path / "bad")
    assert (status["state"], status["step"], status["checkpoint"]) == ("failed", 4, "iter_000003")
    assert "EOError: 1 updates in a row were skipped" in status["reason"]


def test_an_unknown_status_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"status\.json cannot be read"):
        read_status(tmp_path)
    (tmp_path / "status.json").write_text('{"state": "done", "reason": "", "step": "6", "max_iters": 6, "checkpoint": null, "process": 1}')
    with pytest.raises(CheckpointError, match=r"status\.json: lacks host, written\. The state of the run is unknown\. Is "):
        read_status(tmp_path)
    (tmp_path / "status.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"status\.json: not JSON"):
        read_status(tmp_path)


def test_a_clock_that_jumps_changes_nothing(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tiny.tiny_config(), tmp_path / "straight")
    moments = itertools.count(2**31, -86_400)
    monkeypatch.setattr(time, "time", lambda: float(abs(next(moments))))
    config: Config = tiny.tiny_config()
    config.hooks.checkpoint.minutes = 60.0
    train(config, tmp_path / "jumping")
    monkeypatch.undo()
    assert (tmp_path / "jumping" / "latest").read_text() == "iter_000006\n"
    assert [path.name for path in sorted((tmp_path / "jumping").glob("iter_*"))] == ["iter_000003", "iter_000006"]


def test_a_checkpoint_is_saved_by_time(tiny: ModuleType, tmp_path: Path) -> None:
    config: Config = tiny.tiny_config()
    config.hooks.checkpoint = {"type": "CheckpointHook", "interval": 100, "minutes": 1e-9, "keep": 10}
    train(config, tmp_path)
    assert len(list(tmp_path.glob("iter_*"))) == 6


@pytest.mark.parametrize(("policy", "ends"), [("stop", True), ("continue", False)])
def test_a_full_disk_stops_or_not_as_chosen(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, ends: bool
) -> None:
    """The disk is full at step 3 and has room again at step 6."""
    from eocore.train.checkpoint import snapshot as checkpoint

    save_file, calls = checkpoint.save_file, []

    def fail_once(*arguments: object, **named: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        save_file(*arguments, **named)

    monkeypatch.setattr(checkpoint, "save_file", fail_once)
    config: Config = tiny.tiny_config()
    config.hooks.checkpoint.on_error = policy
    if ends:
        with pytest.raises(CheckpointError, match=r"after step 3 could not be written .*No space left"):
            train(config, tmp_path)
        assert read_status(tmp_path)["state"] == "failed" and not list(tmp_path.glob("iter_*"))
    else:
        train(config, tmp_path)
        assert [path.name for path in tmp_path.glob("iter_*")] == ["iter_000006"]
    assert not list(tmp_path.glob(".tmp-*"))


def test_the_environment_is_written_nowhere(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold secrets: checkpoints, logs, records and the stacks of a failure, of a run that fails and one that continues."""
    monkeypatch.setenv("SOME_ACCESS_TOKEN", "0123-a-secret-4567")
    config = tiny.tiny_config({"poison_step": 5})
    config.guard = {"max_in_a_row": 1}
    with pytest.raises(EOError, match="skipped"):
        train(config, tmp_path / "run")
    train(tiny.tiny_config(), tmp_path / "run", resume="auto")
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {"runs.jsonl", "status.json", "trainer.json", "train.log"} <= {path.name for path in files}
    assert [path for path in files if b"a-secret" in path.read_bytes() or b"SOME_ACCESS_TOKEN" in path.read_bytes()] == []
