"""Checkpoint folders on disk (R3, R4, R5, R16): killed while written, damaged, disk full, written in the background."""

import json
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from eocore.errors import CheckpointError
from eocore.train.checkpoint import files as checkpoint_files
from eocore.train.checkpoint import writer as checkpoint_writer
from eocore.train.checkpoint.files import (
    find_checkpoint,
    list_checkpoints,
    prune,
    publish,
    remove_unfinished,
    resolve_checkpoint,
    verify,
)
from eocore.train.checkpoint.snapshot import Snapshot, write
from eocore.train.checkpoint.writer import CheckpointWriter

KILLS = 20


def snapshot(step: int, size: int = 1000) -> Snapshot:
    values = {"weight": torch.full((size,), float(step))}
    moments = {f"{kind}/weight": torch.full((size,), step + 0.5) for kind in ("exp_avg", "exp_avg_sq")}
    return Snapshot(step=step, weights=values, moments=moments, state={"step": step}, random=[{"python": step}])


def save(work_dir: Path, step: int, *, keep: int = 2, size: int = 1000) -> None:
    write(snapshot(step, size), work_dir)
    prune(work_dir, keep)


def in_child(work: Callable[[], None]) -> int:
    """Runs `work` in a forked process; its id."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # those of OpenMP are not there after a fork, and would be waited for
        try:
            work()
        finally:
            os._exit(0)
    return child


def check_survivors(work_dir: Path, *, newest: int) -> None:
    """What a restart finds: an undamaged checkpoint, never older than the one before the last that was finished."""
    found = find_checkpoint(work_dir, "auto", strict=True)
    assert found is not None and int(found.name.removeprefix("iter_")) >= newest
    for folder in list_checkpoints(work_dir):
        verify(folder)
    pointer = (work_dir / "latest").read_text().strip()
    assert (work_dir / pointer).is_dir() or pointer < found.name
    remove_unfinished(work_dir)
    assert not list(work_dir.glob(".tmp-*"))


def count_calls(work_dir: Path) -> int:
    calls = [0]
    with Watched(lambda: calls.__setitem__(0, calls[0] + 1)):
        save(work_dir, 3)
    return calls[0]


class Watched:
    """Calls `before` ahead of everything that changes or flushes files while a checkpoint is saved and pruned."""

    PLACES = ((os, "fsync"), (os, "rename"), (os, "replace"), (os, "unlink"), (os, "rmdir"), (checkpoint_files, "write_json"))

    def __init__(self, before: Callable[[], None]) -> None:
        self.before = before
        self.kept = [getattr(owner, name) for owner, name in self.PLACES]

    def __enter__(self) -> None:
        for (owner, name), function in zip(self.PLACES, self.kept, strict=True):
            setattr(owner, name, self._wrap(function))

    def _wrap(self, function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.before()
            return function(*arguments, **named)

        return call

    def __exit__(self, *_: object) -> None:
        for (owner, name), function in zip(self.PLACES, self.kept, strict=True):
            setattr(owner, name, function)


def test_killed_before_any_operation_of_a_save(tmp_path: Path) -> None:
    """Every place between data, manifest, renaming, pointer and pruning, one after the other."""
    save(tmp_path / "count", 1)
    save(tmp_path / "count", 2)
    number = count_calls(tmp_path / "count")
    assert number > 15
    for place in range(number):
        work_dir = tmp_path / f"at{place}"
        save(work_dir, 1)
        save(work_dir, 2)

        def die_at(place: int = place, work_dir: Path = work_dir) -> None:
            left = [place]

            def before() -> None:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

            with Watched(before):
                save(work_dir, 3)

        _, status = os.waitpid(in_child(die_at), 0)
        assert os.WIFSIGNALED(status), f"operation {place} was not reached"
        check_survivors(work_dir, newest=2)


@pytest.mark.fault
def test_killed_at_random_moments(tmp_path: Path) -> None:
    def save_for_ever() -> None:
        last = list_checkpoints(tmp_path)[-1]
        step = int(last.name.removeprefix("iter_"))
        while True:
            step += 1
            save(tmp_path, step, size=300_000)

    save(tmp_path, 1, size=300_000)
    draws = random.Random(0)
    newest = 1
    for kill in range(10 * KILLS):
        if kill >= KILLS and newest > 1:
            break
        child = in_child(save_for_ever)
        time.sleep(draws.uniform(0.02, 0.3) * (1 + kill // KILLS))  # longer where a busy machine finished no save so far
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check_survivors(tmp_path, newest=newest)
        newest = int(list_checkpoints(tmp_path)[-1].name.removeprefix("iter_"))
    assert newest > 1


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    save(tmp_path, 1)
    save(tmp_path, 2)
    return tmp_path


def flip_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated weights": (
        lambda folder: os.truncate(folder / "trainable.safetensors", 100),
        r"trainable\.safetensors has 100 bytes, \d+ were",
    ),
    "one byte of the weights": (
        lambda folder: flip_byte(folder / "trainable.safetensors"),
        r"trainable\.safetensors is not what was written",
    ),
    "one byte of the moments": (
        lambda folder: flip_byte(folder / "optimizer.safetensors"),
        r"optimizer\.safetensors is not what was written",
    ),
    "moments deleted": (lambda folder: (folder / "optimizer.safetensors").unlink(), r"optimizer\.safetensors is missing"),
    "random states deleted": (lambda folder: (folder / "rng_00000.json").unlink(), r"rng_00000\.json is missing"),
    "empty manifest": (lambda folder: os.truncate(folder / "manifest.json", 0), r"manifest\.json: not JSON"),
    "manifest deleted": (lambda folder: (folder / "manifest.json").unlink(), r"iter_000002 has no manifest\.json"),
    "manifest of something else": (lambda folder: (folder / "manifest.json").write_text("[]"), r"manifest\.json: expected an object"),
    "binary manifest": (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), r"manifest\.json: not JSON"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(damage: str, pair: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoil, message = DAMAGES[damage]
    spoil(pair / "iter_000002")
    with pytest.raises(CheckpointError, match=message):
        verify(pair / "iter_000002")
    with pytest.raises(CheckpointError, match=message):
        find_checkpoint(pair, "auto", strict=True)
    with pytest.raises(CheckpointError, match=message):
        find_checkpoint(pair, str(pair / "iter_000002"))
    assert find_checkpoint(pair, "auto") == pair / "iter_000001"


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_anew(pair: Path) -> None:
    for folder in list_checkpoints(pair):
        flip_byte(folder / "trainable.safetensors")
    with pytest.raises(CheckpointError, match=r"all 2 checkpoints in .* are damaged"):
        find_checkpoint(pair, "auto")


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files may not grow beyond 5 kB: writing more fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_checkpoints_that_stand(pair: Path, small_disk: None) -> None:
    with pytest.raises(CheckpointError, match=r"after step 3 could not be written .*Older checkpoints stand\. Free space"):
        save(pair, 3, size=100_000)
    assert sorted(path.name for path in pair.iterdir()) == ["iter_000001", "iter_000002", "latest"]
    assert find_checkpoint(pair, "auto", strict=True) == pair / "iter_000002"


def test_old_checkpoints_go_only_after_the_new_one_is_verified(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not keep what it was given."""

    lost = []

    def lose(path: Path) -> None:
        if path.name == "trainable.safetensors" and not lost:
            flip_byte(path)
            lost.append(path)

    describe = checkpoint_files._describe
    monkeypatch.setattr(checkpoint_files, "_describe", lambda path: (describe(path), lose(path))[0])
    writer = CheckpointWriter(pair, keep=1, background=False)
    with pytest.raises(CheckpointError, match=r"iter_000003/trainable\.safetensors is not what was written"):
        writer.save(snapshot(3))
    monkeypatch.undo()
    assert find_checkpoint(pair, "auto") == pair / "iter_000002"


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write_json = checkpoint_files.write_json
    monkeypatch.setattr(checkpoint_files, "write_json", lambda path, content: (order.append(path.name), write_json(path, content)))
    publish(tmp_path, 1, fill=lambda folder: (folder / "trainer.json").write_text("{}") and order.append("trainer.json"))
    assert order == ["trainer.json", "manifest.json"]


def test_a_second_save_waits_for_the_first_and_so_does_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, going, order = threading.Event(), threading.Event(), []

    def slow(snapshot: Snapshot, work_dir: Path) -> Path:
        order.append(f"begin {snapshot.step}")
        begun.set()
        going.wait(600)
        order.append(f"end {snapshot.step}")
        return write(snapshot, work_dir)

    monkeypatch.setattr(checkpoint_writer, "write", slow)
    writer = CheckpointWriter(tmp_path, keep=5, background=True)
    writer.save(snapshot(1))
    assert begun.wait(600) and not list_checkpoints(tmp_path), "the training continues meanwhile"
    second = threading.Thread(target=writer.save, args=(snapshot(2),))
    second.start()
    time.sleep(0.1)
    assert order == ["begin 1"]
    going.set()
    second.join()
    writer.wait()
    assert order == ["begin 1", "end 1", "begin 2", "end 2"]
    assert [path.name for path in list_checkpoints(tmp_path)] == ["iter_000001", "iter_000002"]


def test_a_failure_in_the_background_is_told_at_the_next_save(tmp_path: Path, small_disk: None) -> None:
    writer = CheckpointWriter(tmp_path, keep=5, background=True)
    writer.save(snapshot(1, size=100_000))
    with pytest.raises(CheckpointError, match="after step 1 could not be written"):
        writer.save(snapshot(2))


def test_saving_a_step_again_replaces_it(pair: Path) -> None:
    write(snapshot(2, size=500), pair)
    verify(pair / "iter_000002")
    assert json.loads((pair / "iter_000002" / "manifest.json").read_text())["step"] == 2 and not list(pair.glob(".tmp-*"))


def test_what_a_killed_run_left_is_removed(pair: Path) -> None:
    shutil.copytree(pair / "iter_000002", pair / ".tmp-iter_000003-0a1b2c3d")
    (pair / ".tmp-latest").write_text("iter_")
    assert remove_unfinished(pair) == [".tmp-iter_000003-0a1b2c3d", ".tmp-latest"]
    assert sorted(path.name for path in pair.iterdir()) == ["iter_000001", "iter_000002", "latest"]


def test_checkpoint_may_be_given_in_every_form(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for step in (500, 1000):
        save(run, step)
    assert resolve_checkpoint(run) == run / "iter_001000"
    assert resolve_checkpoint(run / "latest") == run / "iter_001000"
    assert resolve_checkpoint(run / "iter_000500") == run / "iter_000500"
    assert resolve_checkpoint(tmp_path / "old.pth") == tmp_path / "old.pth"


def test_pointer_to_nothing_is_told(tmp_path: Path) -> None:
    run = tmp_path / "run"
    save(run, 500)
    for content in ("iter_000900", "../run/iter_000500", "", "/etc"):
        (run / "latest").write_text(content)
        with pytest.raises(CheckpointError, match=r"latest names '.*', which is no folder beside it. Name an iter_\* folder"):
            resolve_checkpoint(run / "latest")


def test_files_of_a_checkpoint_follow_the_umask(tmp_path: Path, default_mode: int) -> None:
    save(tmp_path, 1)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [*(tmp_path / "iter_000001").iterdir(), tmp_path / "latest"]}
    assert {"trainable.safetensors", "optimizer.safetensors", "manifest.json"} < set(modes) and set(modes.values()) == {default_mode}
