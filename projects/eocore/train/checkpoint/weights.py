"""Weights of a checkpoint: read from its files, checked and put into a model; needs nothing of the training engine."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from eocore.errors import CheckpointError
from eocore.models.freeze import trainable_names
from eocore.models.quantization import scales_of
from eocore.text import some_of
from eocore.train.checkpoint.files import MANIFEST, WEIGHTS, verify
from eocore.train.task import Task

IDENTITY = "identity"
TORCH_STARTS = (b"PK\x03\x04", b"\x80")
"""First bytes of what torch.save writes (torch/serialization.py): a zip archive, and before PyTorch 1.6 a pickle of protocol 2 or later."""


def frozen_hash(model: nn.Module) -> str:
    """sha256 of all parameters that are not trained: names, shapes, types and values, with the scales of quantised ones."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}\n".encode())
            for tensor in (parameter, *scales_of(parameter)):
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_trainable(model: nn.Module, path: Path) -> None:
    """Copies the trained weights of a checkpoint into `model`, whose trainable parameters they must be, one for one.

    Args:
        model: not wrapped; its `requires_grad` flags say what is trained.
        path: a checkpoint folder, a .safetensors file, or a .pth file of mmengine (`state_dict` inside; frozen weights in it are ignored).

    Raises:
        CheckpointError: the file is missing or broken; names are missing or left over; a shape differs; it was trained with another
            vocabulary or whatever else `Task.identity` tells.
    """
    expected = trainable_names(model)
    found = read_weights(path)
    if not path.is_dir():  # our own hold what is trained, nothing else
        frozen = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
        found = {name: value for name, value in found.items() if name in expected or name not in frozen}
    check_names(list(found), expected, path=path)
    check_identity(model, path)
    parameters = dict(model.named_parameters())
    shapes = [
        f"{name}: {tuple(found[name].shape)} in the file, {tuple(parameters[name].shape)} in the model"
        for name in expected
        if found[name].shape != parameters[name].shape
    ]
    if shapes:
        raise CheckpointError(f"{path} does not fit the model; nothing was loaded. {some_of(shapes)}. Use the config it was trained with.")
    with torch.no_grad():
        for name in expected:
            parameters[name].copy_(found[name])


def check_identity(model: nn.Module, path: Path) -> None:
    """Nothing, if the checkpoint's weights mean in `model` what they meant where they were trained; older files do not tell.

    Raises:
        CheckpointError: `Task.identity` is not what it was.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if not isinstance(model, Task) or file.suffix != ".safetensors":
        return
    with safetensors.safe_open(file, framework="pt") as opened:
        there = json.loads((opened.metadata() or {}).get(IDENTITY, "{}"))
    here = model.identity()
    different = [name for name, value in there.items() if here.get(name) != value]
    if different:
        shown = "; ".join(f"{name} was {there[name]}, is {here.get(name)}" for name in different)
        raise CheckpointError(
            f"{path} was trained with another {' and '.join(different)} ({shown}): its weights would mean something else. "
            "Use what it was trained with (for a vocabulary: the tokenizer folder of that run), or train anew."
        )


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Name -> tensor of a checkpoint folder, a .safetensors or a .pth file. No code in a file is run.

    Raises:
        CheckpointError: it is missing or broken, or holds no such table.
    """
    if (path / MANIFEST).is_file():
        verify(path, only=WEIGHTS)
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{file} does not exist, so no weights can be loaded. Give an iter_* folder, a .safetensors or a .pth file.")
    if file.suffix != ".safetensors":
        _check_torch_file(file)
    content = _guarded(file, lambda: load_file(file) if file.suffix == ".safetensors" else _load_pth(file))
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{file} holds no name -> tensor table (`state_dict`), so no weights can be loaded. Use another checkpoint.")
    return weights


def _check_torch_file(file: Path) -> None:
    """Raise CheckpointError where the file begins as none of torch does: what follows would be taken for instructions of a pickle."""
    with file.open("rb") as opened:
        start = opened.read(max(map(len, TORCH_STARTS)))
    if not start.startswith(TORCH_STARTS):
        found = "is empty" if not start else f"begins with {start!r}"
        raise CheckpointError(
            f"{file} {found}, which is no checkpoint of torch; nothing was loaded. Give an iter_* folder of a training, the folder of "
            "the run, or a .safetensors or .pth file of weights."
        )


def _load_pth(file: Path) -> Any:
    return torch.load(file, map_location="cpu", weights_only=True)


def _guarded(file: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # the libraries raise many kinds for a damaged file
        # torch's messages continue with advice to switch its protection off.
        reason = f"{type(error).__name__}: {str(error).split('. ')[0]}"
        raise CheckpointError(f"{file} cannot be read ({reason}); it is damaged, or of another format. Use another checkpoint.") from error


def open_tensors(file: Path) -> Any:
    """A .safetensors file, opened as a context that reads single tensors.

    Raises:
        CheckpointError: it is missing or broken.
    """
    return _guarded(file, lambda: safetensors.safe_open(file, framework="pt"))


def names_in(file: Path) -> list[str]:
    """Names of the tensors in a .safetensors file."""
    with open_tensors(file) as opened:
        return list(opened.keys())


def check_names(found: list[str], expected: list[str], *, path: Path) -> None:
    missing = sorted(set(expected) - set(found))
    unexpected = sorted(set(found) - set(expected))
    if missing or unexpected:
        raise CheckpointError(
            f"{path} holds {len(found)} weights, the model trains {len(expected)}; nothing was loaded. Missing: {some_of(missing)}. "
            f"Unexpected: {some_of(unexpected)}. Use the config it was trained with."
        )
