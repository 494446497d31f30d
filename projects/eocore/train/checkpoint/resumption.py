"""Whether a run may resume from a checkpoint: what must be the same, and what a user may allow to differ."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from eocore.errors import CheckpointError, ConfigError
from eocore.log import get_logger
from eocore.train.checkpoint.allowable import ALLOWABLE
from eocore.train.checkpoint.differences import compare, content_differences
from eocore.train.checkpoint.run_record import RunRecord
from eocore.train.loop import StepLoop

FROZEN = "frozen weights (sha256)"
NOTHING_FROZEN = hashlib.sha256().hexdigest()
"""`frozen_hash` of a model all of whose weights train."""
OPTIONS, CONTENT, SEED, ALLOWED = "options", "content", "seed", "allowed"
"""Entries of trainer.json: `RunRecord.options`, `RunRecord.content`, the seed, and the list of what was allowed to differ so far."""
MAX_LISTED = 16


def data_position(loader: DataLoader, loop: StepLoop) -> dict[str, Any]:
    """How far the data is used up and what decides its order.

    Returns:
        `batches` used up on every rank; `accumulation`; `global_batch`: samples of one batch over all ranks; `by_length`: samples are
        moved to batches of like length; `plan`: a digest of what decides which samples share a pack (then `global_batch` counts packs).
        The last three are None where the loader does not tell.
    """
    sampler = loader.batch_sampler
    return {
        "batches": loop.iter * loop.accumulation,
        "accumulation": loop.accumulation,
        "global_batch": getattr(sampler, "global_batch_size", None),
        "by_length": getattr(sampler, "like_lengths", None) is not None if hasattr(sampler, "like_lengths") else None,
        "plan": getattr(sampler, "plan", None),
    }


def check_allowable(allow: Collection[str]) -> None:
    """Nothing, if all of `allow` are keys of ALLOWABLE. Raises ConfigError for another."""
    unknown = [kind for kind in allow if kind not in ALLOWABLE]
    if unknown:
        raise ConfigError(f"--allow {unknown[0]} names no kind of difference. Choices: {', '.join(ALLOWABLE)}.")


def check_fits(
    then: Mapping[str, Any], now: Mapping[str, Any], *, folder: Path, allow: Collection[str], record: RunRecord | None = None
) -> dict[str, list[str]]:
    """What differs between a checkpoint and a run that may resume from it: allowed kind -> a line for each difference.

    Args:
        then: trainer.json of the checkpoint.
        now: what it would say of this run.
        folder: of the checkpoint, for messages.
        allow: keys of ALLOWABLE.
        record: of this run, for its defaults and kinds.

    Raises:
        CheckpointError: with a list of all that differs and is not allowed.
        ConfigError: `allow` names something else.
    """
    check_allowable(allow)
    if "settings" not in then:
        raise CheckpointError(f"{folder} was written by a version whose optimiser state is not read any more. Start anew from its weights.")
    found = find_differences(then, now, record=record)
    refused = {kind: lines for kind, lines in found.items() if kind not in allow}
    if refused:
        listed = "; ".join(line for lines in refused.values() for line in _limited(lines))
        flags = " ".join(f"--allow {kind}" for kind in refused)
        meant = "; ".join(f"{kind}: {ALLOWABLE[kind]}" for kind in refused)
        raise CheckpointError(
            f"{folder} does not fit this run: {listed}. Resuming would not produce what the run would have without the stop. Use the "
            f"config and the data it was trained with, or accept it by: {flags} ({meant})."
        )
    return found


def find_differences(then: Mapping[str, Any], now: Mapping[str, Any], *, record: RunRecord | None = None) -> dict[str, list[str]]:
    """Key of ALLOWABLE -> a line for each difference, without keys that have none. What `then` does not record is left out.

    Args:
        then: trainer.json of a checkpoint.
        now: that of another, or what it would say of a run.
        record: of the run, for its defaults and kinds.
    """
    record = record or RunRecord()
    found: dict[str, list[str]] = {kind: [] for kind in ALLOWABLE}
    source = OPTIONS if OPTIONS in then and OPTIONS in now else "settings"
    seeds = ({SEED: part[SEED]} for part in (then, now)) if SEED in then and SEED in now else ({}, {})
    for old, new in ((then[source], now[source]), seeds):
        for path, line in compare(old, new, defaults=record.defaults):
            found[_kind_of(path, record.kinds)].append(line)
    found["data"] += _data_differences(then["data"], now["data"])
    if then.get(CONTENT) and now.get(CONTENT):
        found["data"] += content_differences(then[CONTENT], now[CONTENT])
    if then["frozen_hash"] != now["frozen_hash"]:
        found["frozen"].append(f"{FROZEN}: {_frozen(then)} then, {_frozen(now)} now")
    return {kind: lines for kind, lines in found.items() if lines}


def tell_differences(then: Mapping[str, Any], found: Mapping[str, list[str]], *, folder: Path) -> None:
    """Warns once of what was allowed to differ, and once of what cannot be compared."""
    if found:
        flags = " ".join(f"--allow {kind}" for kind in found)
        listed = "; ".join(line for lines in found.values() for line in lines)
        get_logger().warning("resuming from %s although it differs, as %s allows: %s", folder.name, flags, listed)
    missing = not_recorded(then)
    if missing:
        get_logger().warning("%s was written by an older version, which did not record: %s. These are not compared.", folder.name, missing)


def history(then: Mapping[str, Any], found: Mapping[str, list[str]], *, folder: Path) -> list[dict[str, Any]]:
    """What was allowed to differ up to the checkpoint, and from it: `step`, `checkpoint`, and `differences` by kind."""
    before = list(then.get(ALLOWED, ()))
    new = {"step": then["step"], "checkpoint": folder.name, "differences": {kind: list(lines) for kind, lines in found.items()}}
    missing = not_recorded(then)
    if missing:
        new["not_compared"] = missing
    return [*before, new] if found or missing else before


def not_recorded(then: Mapping[str, Any]) -> str:
    """What of a run a checkpoint of an older version does not tell, in words; empty where it tells all."""
    missing = [] if OPTIONS in then else ["options of task, model, losses, processor and training", "precision"]
    return ", ".join(missing + ([] if CONTENT in then else ["annotation files"]))


def _frozen(part: Mapping[str, Any]) -> str:
    digest: str = part["frozen_hash"]
    return "none are frozen" if digest == NOTHING_FROZEN else digest[:12]


def _kind_of(path: str, kinds: Mapping[str, str]) -> str:
    fitting = [start for start in kinds if path == start or path.startswith(f"{start}.")]
    return kinds[max(fitting, key=len)] if fitting else "task"


def _limited(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MAX_LISTED else [*lines[:MAX_LISTED], f"and {len(lines) - MAX_LISTED} more of this kind"]


def _data_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    if then["global_batch"] is None or now["global_batch"] is None:
        return (
            [] if then["accumulation"] == now["accumulation"] else [f"accumulation: {then['accumulation']} then, {now['accumulation']} now"]
        )
    if then.get("plan") != now.get("plan"):
        return ["samples are packed otherwise (budgets, packs dealt together, seed, or the samples themselves)"]
    old, new = (part["global_batch"] * part["accumulation"] for part in (then, now))
    if now.get("plan") is not None:
        return [] if old == new else [f"packs per update: {old} then, {new} now (ranks x accumulation)"]
    if old != new:
        return [f"samples per update: {old} then, {new} now (batch_size x ranks x accumulation)"]
    if (then["by_length"] or now["by_length"]) and then["global_batch"] != now["global_batch"]:
        return [f"samples are grouped by length, in batches of {then['global_batch']} then, {now['global_batch']} now (batch_size x ranks)"]
    return []
