"""Checkpoint folders on disk: written aside, made durable, renamed; checked against their manifest; found again; removed when old.

work_dir/latest                                name of the newest checkpoint
work_dir/best                                  name of the best one, where validation keeps it
work_dir/iter_000100/trainable.safetensors     trained weights, whole, float32
work_dir/iter_000100/optimizer.safetensors     both moments of AdamW of every trained weight, whole, float32
work_dir/iter_000100/trainer.json              step, schedule, data position, guard, versions, config text
work_dir/iter_000100/rng_00000.json            random states of each rank
work_dir/iter_000100/manifest.json             size and sha256 of each of these files
work_dir/.tmp-iter_000200-1a2b3c4d/            a checkpoint being written, or left by a run that was killed
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Required

from typing_extensions import TypedDict

from eocore.errors import CheckpointError
from eocore.files import grant_default_mode
from eocore.json_fields import CLOSED, OPEN, parse_fields
from eocore.log import get_logger

WEIGHTS = "trainable.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "trainer.json"
MANIFEST = "manifest.json"
LATEST = "latest"
BEST = "best"
AUTO = "auto"
PATTERN = re.compile(r"iter_(\d{6,})")
TEMPORARY = ".tmp-"
DAMAGED = "The checkpoint is damaged. Use another one."


def checkpoint_name(step: int) -> str:
    """Folder name of the checkpoint after `step` updates."""
    return f"iter_{step:06d}"


def rng_name(rank: int) -> str:
    """File name of a rank's random states."""
    return f"rng_{rank:05d}.json"


def list_checkpoints(work_dir: Path) -> list[Path]:
    """The checkpoints of a run, oldest first. A folder gets such a name only when it is whole; `verify` tells of later damage."""
    folders = [path for path in work_dir.glob("iter_*") if PATTERN.fullmatch(path.name) and path.is_dir()]
    return sorted(folders, key=lambda path: int(path.name.removeprefix("iter_")))


def resolve_checkpoint(path: Path) -> Path:
    """The checkpoint that `path` means: itself, the one a `latest` or `best` file names, or the newest of a run's folder.

    Raises:
        CheckpointError: the file names none, or the folder holds none.
    """
    if path.is_file() and path.name in (LATEST, BEST):
        name = path.read_text(encoding="utf-8").strip()
        if PATTERN.fullmatch(name) is None or not (path.parent / name).is_dir():
            raise CheckpointError(f"{path} names '{name}', which is no folder beside it. Name an iter_* folder.")
        return path.parent / name
    if path.name == BEST and not path.exists() and path.parent.is_dir():
        raise CheckpointError(
            f"{path} does not exist: the run keeps no best checkpoint, or has not validated yet. Set training.validation.best, or name "
            f"{LATEST} or an iter_* folder."
        )
    newest = list_checkpoints(path) if path.is_dir() else []
    return newest[-1] if newest else path


def publish(work_dir: Path, step: int, *, fill: Callable[[Path], None]) -> Path:
    """The new checkpoint folder, with what `fill` wrote into the folder it was handed; `latest` names it.

    All is written and flushed under a temporary name, its manifest last, and then renamed: a process killed at any moment leaves the
    older checkpoints and the pointer as they were.

    Raises:
        OSError: of writing (disk full, no permission). What was written aside is removed.
    """
    final = work_dir / checkpoint_name(step)
    writing = work_dir / f"{TEMPORARY}{final.name}-{secrets.token_hex(4)}"
    try:
        writing.mkdir(parents=True)
        fill(writing)
        grant_default_mode(*writing.iterdir())
        for path in sorted(writing.iterdir()):
            _flush(path)
        write_json(writing / MANIFEST, {"step": step, "files": {path.name: _describe(path) for path in sorted(writing.iterdir())}})
        _flush(writing / MANIFEST)
        _flush(writing)
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    if final.exists():
        _remove(final)
    os.rename(writing, final)
    _flush(work_dir)
    _point_at(final, LATEST)
    return final


def _point_at(final: Path, name: str) -> None:
    pointer = final.parent / f"{TEMPORARY}{name}"
    pointer.write_text(final.name + "\n")
    _flush(pointer)
    os.replace(pointer, final.parent / name)
    _flush(final.parent)


def settle_best(work_dir: Path, step: int | None) -> str:
    """Lets `best` name the checkpoint after `step` updates, or removes it where there is none.

    Args:
        work_dir: of the run.
        step: of the best result; None = there is no best result.

    Returns:
        Name of that checkpoint where it is not there, else "".
    """
    name = "" if step is None else checkpoint_name(step)
    if name and (work_dir / name).is_dir():
        if best_name(work_dir) != name:
            _point_at(work_dir / name, BEST)
        return ""
    (work_dir / BEST).unlink(missing_ok=True)
    return name


def best_name(work_dir: Path) -> str:
    """Name of the checkpoint that `best` names; "" where there is no such file."""
    path = work_dir / BEST
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if path.is_file() and hasattr(os, "posix_fadvise"):
            # Forgotten by the cache, so that a check reads what the disk holds.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def verify(folder: Path, *, only: str | None = None) -> None:
    """Nothing, if every file of the checkpoint (or the one named `only`) is what its manifest says.

    Raises:
        CheckpointError: naming the file that is missing, has another size or another hash, or the manifest that cannot be read.
    """
    expected = _read_manifest(folder)
    for name in [only] if only else sorted(expected):
        path = folder / name
        if not path.is_file() or name not in expected:
            raise CheckpointError(f"{path} is missing; the checkpoint is damaged. Use another one.")
        size = path.stat().st_size
        if size != expected[name]["bytes"]:
            raise CheckpointError(
                f"{path} has {size} bytes, {expected[name]['bytes']} were written; it is damaged. Use another checkpoint."
            )
        if _describe(path)["sha256"] != expected[name]["sha256"]:
            raise CheckpointError(
                f"{path} is not what was written (its sha256 differs from {MANIFEST}); it is damaged. Use another checkpoint."
            )


class FileFacts(TypedDict):
    """Size [bytes] and sha256 of a file."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    bytes: int
    sha256: str


class Manifest(TypedDict):
    """manifest.json: the update, and what was written by file name."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    step: int
    files: dict[str, FileFacts]


def _read_manifest(folder: Path) -> dict[str, FileFacts]:
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {MANIFEST}, so nothing tells whether it is whole. Use another checkpoint.")
    files = parse_fields(path.read_bytes(), Manifest, source=str(path), remedy=DAMAGED, error=CheckpointError)["files"]
    if STATE not in files:
        raise CheckpointError(f"{path} does not list {STATE}. {DAMAGED}")
    return files


class TrainerState(TypedDict, total=False):
    """trainer.json; checkpoints of older versions lack some of it.

    Attributes:
        format: of the checkpoint.
        step: updates made.
        world_size, zero_stage, accumulation: ranks, ZeRO stage and batches of an update.
        seed: of the run.
        optimizer_steps: updates that changed weights.
        lr: learning rate of each group of weights.
        schedule: state of each scheduler.
        versions: library -> version.
        config: text of the run's config.
        settings: schedule and optimiser of the run, as older versions compared them.
        options, content: options and data as they resolved, see `resumption`.
        data: how far the data is used up.
        frozen_hash: of the weights that are not trained.
        allowed: what was allowed to differ so far.
        guard: statistics of the guard.
        validation: the best result so far, see `eocore.train.validation.best`.
        loss_scale: state of the dynamic loss scale of fp16.
    """

    __pydantic_config__ = OPEN  # type: ignore[misc]
    format: int
    step: Required[int]
    world_size: Required[int]
    zero_stage: Required[int]
    accumulation: int
    seed: int | None
    optimizer_steps: int
    lr: list[float]
    schedule: list[dict[str, Any]]
    versions: dict[str, Any]
    config: Required[str]
    settings: dict[str, Any]
    options: dict[str, Any] | None
    content: Any
    data: dict[str, Any]
    frozen_hash: str
    allowed: list[dict[str, Any]]
    guard: dict[str, Any]
    validation: dict[str, Any] | None
    loss_scale: dict[str, Any] | None


def read_state(folder: Path) -> TrainerState:
    """What trainer.json of a checkpoint says.

    Raises:
        CheckpointError: it is missing or broken.
    """
    path = folder / STATE
    _require_state(folder)
    return parse_fields(path.read_bytes(), TrainerState, source=str(path), remedy=DAMAGED, error=CheckpointError)


def _require_state(folder: Path) -> None:
    """Raise CheckpointError if a folder is no checkpoint."""
    if not (folder / STATE).is_file():
        found = ", ".join(item.name for item in list_checkpoints(folder)) or "none"
        raise CheckpointError(
            f"{folder} is no complete checkpoint: it has no {STATE}. Checkpoints inside it: {found}. Name an iter_* folder."
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """`content` as an indented JSON file."""
    path.write_text(json.dumps(content, indent=1) + "\n")


def find_checkpoint(work_dir: Path, request: str, *, strict: bool = False) -> Path | None:
    """The checkpoint a run is asked to resume from; says which and why.

    Args:
        work_dir: of the run.
        request: a checkpoint folder, or `auto`: the newest undamaged one of `work_dir`, which may be none.
        strict: a damaged newest checkpoint is an error instead of a warning.

    Raises:
        CheckpointError: the folder asked for is damaged or no checkpoint; `strict` and the newest is damaged; all are damaged.
    """
    if request != AUTO:
        _require_state(Path(request))
        verify(Path(request))
        get_logger().info("resuming from %s, as asked", request)
        return Path(request)
    found = list_checkpoints(work_dir)
    for folder in reversed(found):
        try:
            verify(folder)
        except CheckpointError as error:
            if strict:
                raise
            get_logger().warning("DAMAGED CHECKPOINT %s is passed over: %s", folder.name, error)
            continue
        reason = "newest of" if folder == found[-1] else "newest undamaged of"
        get_logger().info("resuming from %s: %s %d in %s", folder.name, reason, len(found), work_dir)
        return folder
    if found:
        raise CheckpointError(
            f"all {len(found)} checkpoints in {work_dir} are damaged, so the training cannot resume. Start anew elsewhere."
        )
    return None


def prune(work_dir: Path, keep: int) -> None:
    """Removes all checkpoints but the newest `keep` and the best."""
    best = best_name(work_dir)
    for folder in list_checkpoints(work_dir)[:-keep]:
        if folder.name != best:
            _remove(folder)


def _remove(folder: Path) -> None:
    # Renamed first: a removal that is cut short must not leave half a checkpoint under a valid name.
    doomed = folder.with_name(f"{TEMPORARY}removed-{folder.name}-{secrets.token_hex(4)}")
    os.rename(folder, doomed)
    shutil.rmtree(doomed)


def remove_unfinished(work_dir: Path) -> list[str]:
    """Removes what a killed run left half written or half removed; returns the names. Only the run that holds the lock may call it."""
    left = sorted(work_dir.glob(f"{TEMPORARY}*"))
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [path.name for path in left]
