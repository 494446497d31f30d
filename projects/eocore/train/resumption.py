"""Whether a run may go on from a checkpoint: what must be the same, and what a user may allow to differ."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from eocore.errors import CheckpointError
from eocore.train.loop import StepLoop

ALLOWABLE = {
    "schedule": "other max_iters, optimizer or schedule; the new schedule is brought to the step reached",
    "data": "another number of samples per update, or other samples in it, from here on",
    "frozen": "other frozen weights than those the trained ones were fitted to",
}
"""What `--resume` accepts to differ when it is named, and what follows."""
FROZEN = "frozen weights (sha256)"


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
        "by_length": getattr(sampler, "lengths", None) is not None if hasattr(sampler, "lengths") else None,
        "plan": getattr(sampler, "plan", None),
    }


def check_fits(then: Mapping[str, Any], now: Mapping[str, Any], folder: Path, *, allow: Collection[str]) -> None:
    """Nothing, if a run may go on from a checkpoint.

    Args:
        then: trainer.json of the checkpoint.
        now: what it would say of this run.
        folder: of the checkpoint, for messages.
        allow: keys of ALLOWABLE.

    Raises:
        CheckpointError: with a list of all that differs and is not allowed.
    """
    if "settings" not in then:
        raise CheckpointError(f"{folder} was written by a version whose optimiser state is not read any more. Start anew from its weights.")
    found = {
        "schedule": _differences(then["settings"], now["settings"]),
        "data": _data_differences(then["data"], now["data"]),
        "frozen": _differences({FROZEN: then["frozen_hash"]}, {FROZEN: now["frozen_hash"]}),
    }
    refused = {kind: lines for kind, lines in found.items() if lines and kind not in allow}
    if refused:
        listed = "; ".join(line for lines in refused.values() for line in lines)
        flags = ", ".join(f"--allow {kind} ({ALLOWABLE[kind]})" for kind in refused)
        raise CheckpointError(
            f"{folder} does not fit this run: {listed}. Going on would not give what the run would have given without the stop. Use the "
            f"config it was trained with, or accept it by: {flags}."
        )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key in dict.fromkeys([*then, *now]):
        old, new = _plain(then.get(key)), _plain(now.get(key))
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key}: {old} then, {new} now")
    return lines


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value  # JSON knows no tuples


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
