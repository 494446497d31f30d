"""A written checkpoint against the model it was made from: reloaded in a fresh process, outside the repository, offline."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from eocore.errors import CheckpointError, OutputError
from eocore.export import reload
from eocore.export.hf import Shipment
from eocore.files import output_errno
from eocore.text import some_of

TOLERANCE = 1e-4
"""Largest difference of any number of the parity check, both models computing in float32: rounding of sums in another order."""

ERROR_LINES = 12


@dataclass(frozen=True)
class Findings:
    """What a model is compared by: the parity check's tensors and the digest of every weight."""

    outputs: Mapping[str, Tensor]
    digests: Mapping[str, str]


def examine(shipment: Shipment) -> Findings:
    """The findings of the model in memory, which should compute in float32."""
    outputs = reload.run_parity_check(shipment.model, shipment.processor, parity_check=shipment.parity_check)
    return Findings(outputs, reload.digest_weights(shipment.model))


def verify_checkpoint(folder: Path, expected: Findings, *, parity_check: Path, auto_class: str) -> dict[str, float]:
    """Largest difference of each of the parity check's tensors between the model in memory and the one a user would load.

    Args:
        folder: the checkpoint.
        expected: from `examine`.
        parity_check: see `Shipment`.
        auto_class: class of transformers that loads the model.

    Raises:
        CheckpointError: it does not load, a weight is missing, left over or different, or a difference exceeds `TOLERANCE`.
    """
    return compare(examine_reloaded(folder, parity_check=parity_check, auto_class=auto_class), expected, folder=folder)


def examine_reloaded(folder: Path, *, parity_check: Path, auto_class: str) -> Findings:
    """The findings of the checkpoint, loaded in a fresh process, offline, with nothing of this repository on its path.

    Raises:
        CheckpointError: it does not load, or the parity check fails on it.
        OutputError: the disk of temporary files is full.
    """
    with tempfile.TemporaryDirectory() as name:
        _reload(folder, Path(name), arguments=[auto_class, str(parity_check.resolve()), name])
        return Findings(load_file(Path(name) / reload.OUTPUTS), json.loads((Path(name) / reload.DIGESTS).read_text()))


def examine_adapter(folder: Path, base: Path, *, parity_check: Path, auto_class: str) -> tuple[Findings, Findings]:
    """The findings of a base with an adapter of peft, as it is put on and once it is merged; as `examine_reloaded`.

    Both have the digests of the merged weights: before, a weight is in two parts.
    """
    with tempfile.TemporaryDirectory() as name:
        _reload(folder, Path(name), arguments=[auto_class, str(parity_check.resolve()), name, str(base.resolve())])
        digests = json.loads((Path(name) / reload.DIGESTS).read_text())
        return Findings(load_file(Path(name) / reload.OUTPUTS), digests), Findings(load_file(Path(name) / reload.MERGED), digests)


def _reload(folder: Path, scratch: Path, *, arguments: Sequence[str]) -> None:
    """Runs reload.py on a folder; what it found is in `scratch`."""
    # -I keeps PYTHONPATH, the working directory and the user's packages out of the import path
    command = [sys.executable, "-I", reload.__file__, str(folder.resolve()), *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(scratch / "modules"), "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        reason = "\n".join(done.stderr.strip().splitlines()[-ERROR_LINES:])
        if output_errno(RuntimeError(reason)) is not None:
            raise OutputError(
                f"{scratch}: the model cannot be loaded and compared there, since the disk is full. Nothing half-written is left. Free "
                "space, name another folder for temporary files with TMPDIR, or leave the comparison out with --no-verify."
            )
        raise CheckpointError(
            f"{folder} does not load in a process of its own (exit status {done.returncode}); nobody could use it:\n{reason}"
        )


def compare(found: Findings, expected: Findings, *, folder: Path) -> dict[str, float]:
    """Largest difference of each of the parity check's tensors.

    Args:
        found: of the reloaded model.
        expected: of the model it was made from.
        folder: of the checkpoint, for messages.

    Raises:
        CheckpointError: a weight is missing, left over or different, or a difference exceeds `TOLERANCE`.
    """
    _compare_weights(found.digests, expected.digests, folder=folder)
    return _compare_outputs(found.outputs, expected.outputs, folder=folder)


def _compare_weights(found: Mapping[str, str], expected: Mapping[str, str], *, folder: Path) -> None:
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    changed = sorted(name for name in set(found) & set(expected) if found[name] != expected[name])
    if missing or extra or changed:
        raise CheckpointError(
            f"{folder} does not hold the model's weights. Missing: {some_of(missing)}. Left over: {some_of(extra)}. "
            f"Different: {some_of(changed)}. Do not use it; convert again."
        )


def _compare_outputs(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, folder: Path) -> dict[str, float]:
    if set(found) != set(expected):
        raise CheckpointError(
            f"the parity check returned {sorted(found)} after reloading {folder}, {sorted(expected)} before; they must be the same."
        )
    differences = {}
    for name, value in expected.items():
        if found[name].shape != value.shape:
            raise CheckpointError(f"{folder}: {name} is {tuple(found[name].shape)} after reloading, {tuple(value.shape)} before.")
        differences[name] = float((found[name] - value).abs().max()) if value.numel() else 0.0
    # written so that NaN is a failure
    wrong = {name: value for name, value in differences.items() if not value <= TOLERANCE}
    if wrong:
        shown = ", ".join(f"{name} by {value:.2g}" for name, value in wrong.items())
        raise CheckpointError(
            f"{folder} computes something else than the model it was made from: {shown} (allowed: {TOLERANCE:g}). Do not use it."
        )
    return differences
