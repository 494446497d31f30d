"""Training checkpoints: lists and verifies those of a run, shows what one holds, compares two, takes the weights out."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eocore.command import Command, say
from eocore.errors import CheckpointError

SHOWN = ("step", "world_size", "zero_stage", "accumulation", "seed", "optimizer_steps", "lr", "settings", "data", "frozen_hash", "versions")
LONGEST_VALUE = 400
ONE_OF = "iter_* folder, a run's folder or its `latest` file for the newest, or its `best` file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="the checkpoints of a run, and how the run ended")
    listing.add_argument("run", type=Path, help="work directory")
    verifying = commands.add_parser("verify", help="read every file and compare it with the manifest")
    verifying.add_argument("path", type=Path, help="iter_* folder, or the run's folder for all of them")
    showing = commands.add_parser("show", help="step, schedule, data position, versions; --config: the config text")
    showing.add_argument("checkpoint", type=Path, help=ONE_OF)
    showing.add_argument("--config", action="store_true", help="print the config text and nothing else")
    showing.add_argument("--options", action="store_true", help="print every option and annotation file that --resume compares")
    comparing = commands.add_parser("compare", help="what --resume of one with the options and data of the other would refuse")
    comparing.add_argument("checkpoint", type=Path, help=ONE_OF)
    comparing.add_argument("other", type=Path, help=ONE_OF)
    converting = commands.add_parser("convert", help="write the trained weights alone, as .safetensors or .pth")
    converting.add_argument("checkpoint", type=Path, help=f"{ONE_OF}, .safetensors or .pth file")
    converting.add_argument("out", type=Path, help="file to write; its ending decides")


def list_run(run: Path) -> int:
    """Prints a line for each checkpoint; returns the exit status, 1 where there is none. Raise CheckpointError if `run` is no folder."""
    from eocore.train.checkpoint.files import best_name, list_checkpoints, read_state
    from eocore.train.work_dir import STATUS, read_status

    if not run.is_dir():
        raise CheckpointError(f"{run} is no folder, so it holds no checkpoints. Name the work directory of a training.")
    found, best = list_checkpoints(run), best_name(run)
    if (run / STATUS).is_file():
        status = read_status(run)
        say(f"{run}: {status['state']} at step {status['step']} of {status['max_iters']}  {status['reason']}")
    for folder in found:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        written = read_state(folder)
        mark = "  (best)" if folder.name == best else ""
        say(f"{folder.name}  {size / 1e6:10.2f} MB  {written['world_size']} rank(s), ZeRO {written['zero_stage']}{mark}")
    say(f"{len(found)} checkpoint(s)")
    return 0 if found else 1


def verify_all(path: Path) -> int:
    """Prints for each checkpoint whether it is whole; returns the exit status."""
    from eocore.train.checkpoint.files import MANIFEST, STATE, list_checkpoints, verify

    folders = [path] if (path / STATE).is_file() or (path / MANIFEST).is_file() else list_checkpoints(path)
    if not folders:
        raise CheckpointError(f"{path} holds no checkpoint, so there is nothing to verify. Name an iter_* folder or a run's folder.")
    damaged = 0
    for folder in folders:
        try:
            verify(folder)
            say(f"{folder.name}  whole")
        except CheckpointError as error:
            damaged += 1
            say(f"{folder.name}  DAMAGED: {error}")
    return 1 if damaged else 0


def show(folder: Path, *, config: bool = False, options: bool = False) -> int:
    """Prints what trainer.json says; returns the exit status."""
    from eocore.train.checkpoint.files import read_state

    state = read_state(folder)
    if config:
        say(state["config"])
        return 0
    if options:
        for name, value in _flat({"seed": state.get("seed"), **(state.get("options") or {}), "content": state.get("content")}):
            say(f"{name}: {_short(value)}")
        return 0
    for name in SHOWN:
        say(f"{name:16} {_short(state.get(name, 'not told'))}")
    guard = state.get("guard", {})
    say(f"{'skipped updates':16} {guard.get('skipped') or 'none'}")
    for entry in state.get("allowed", []):
        for kind, lines in entry["differences"].items():
            say(f"{'allowed':16} resumed from {entry['checkpoint']}, {kind}: {_short('; '.join(lines))}")
        if "not_compared" in entry:
            say(f"{'not compared':16} resumed from {entry['checkpoint']}: {entry['not_compared']}")
    return 0


def compare(first: Path, second: Path) -> int:
    """Prints what differs between the options and data of two checkpoints; returns the exit status, 1 where something does."""
    from eocore.train.checkpoint.files import read_state
    from eocore.train.checkpoint.resumption import find_differences, not_recorded

    then, now = read_state(first), read_state(second)
    found = find_differences(then, now)
    for kind, lines in found.items():
        say(*(f"--allow {kind}  {line}" for line in lines))
    for folder, state in ((first, then), (second, now)):
        if not_recorded(state):
            say(f"not compared, since {folder} does not record it: {not_recorded(state)}")
    if not found:
        say("no difference")
    return 1 if found else 0


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if any(isinstance(part, dict | list) for _, part in entries) or (isinstance(value, dict) and value):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(part, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + " ..."


def convert(source: Path, out: Path) -> int:
    """Writes the weights of `source` to `out`; returns the exit status."""
    import torch
    from safetensors.torch import save_file

    from eocore.files import TEMPORARY, grant_default_mode, writing
    from eocore.train.checkpoint.weights import read_weights

    if out.exists():
        raise CheckpointError(f"{out} exists and is left alone. Name another file.")
    if out.suffix not in (".safetensors", ".pth"):
        raise CheckpointError(f"{out} ends in {out.suffix!r}; expected .safetensors or .pth, which decides what is written.")
    weights = {name: value.contiguous() for name, value in read_weights(source).items()}
    aside = out.with_name(out.name + TEMPORARY)
    with writing(out, "the weights", follows="Nothing half-written is left."):
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if out.suffix == ".pth":
                with aside.open("wb") as stream:  # of what Python writes the system's own error is known
                    torch.save({"state_dict": weights}, stream)
            else:
                save_file(weights, aside)
                grant_default_mode(aside)
            aside.rename(out)
        finally:
            aside.unlink(missing_ok=True)
    say(f"{out}: {len(weights)} weights, {out.stat().st_size / 1e6:.2f} MB")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit status."""
    from eocore.train.checkpoint.files import resolve_checkpoint

    if arguments.command == "list":
        return list_run(arguments.run)
    if arguments.command == "verify":
        return verify_all(arguments.path)
    if arguments.command == "show":
        return show(resolve_checkpoint(arguments.checkpoint), config=arguments.config, options=arguments.options)
    if arguments.command == "compare":
        return compare(resolve_checkpoint(arguments.checkpoint), resolve_checkpoint(arguments.other))
    return convert(resolve_checkpoint(arguments.checkpoint), arguments.out)


COMMAND = Command(name="checkpoint", description=__doc__, add_arguments=add_arguments, run=run)
