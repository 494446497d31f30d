"""Writes weights tensor by tensor, so that a model of any size passes through the memory of its largest tensor.

safetensors and transformers write a file from tensors that are all in memory. The format asks for nothing of the kind: eight bytes with the
length of a JSON header, the header, then the values one after the other (README of huggingface/safetensors).
"""

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import torch

from eocore.checkpoints.weight_files import DTYPES, LazyTensor
from eocore.errors import CheckpointError
from eocore.progress import Progress

TYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
ALIGNMENT = 8
"""The header is padded so that the values start at a multiple of this [bytes]."""
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
"""As transformers counts the size of shards."""
SINGLE, SHARD, INDEX = "model.safetensors", "model-{:05d}-of-{:05d}.safetensors", "model.safetensors.index.json"

Tensors = Mapping[str, LazyTensor]


def write_weights(folder: Path, tensors: Tensors, *, max_shard_size: str = "5GB", what: str = "weights") -> None:
    """Writes the tensors as transformers names the files: one, or shards with an index.

    Args:
        folder: where to.
        tensors: in the order they are written.
        max_shard_size: largest file; a tensor larger than it has a file of its own.
        what: named in the progress line.

    Raises:
        CheckpointError: the size is none, or a tensor is not what its header says.
    """
    shards = _shards(tensors, _num_bytes(max_shard_size))
    names = [SINGLE] if len(shards) == 1 else [SHARD.format(number, len(shards)) for number in range(1, len(shards) + 1)]
    total = sum(tensor.header.nbytes for tensor in tensors.values())
    with Progress(f"write {what}", len(tensors), unit="tensors") as progress:
        for name, shard in zip(names, shards, strict=True):
            write_file(folder / name, shard, progress=progress)
    if len(shards) > 1:
        placed = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(placed.items()))}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def write_file(path: Path, tensors: Tensors, *, progress: Progress | None = None) -> None:
    """Writes one safetensors file; see `write_weights`."""
    ends = [0]
    for tensor in tensors.values():
        ends.append(ends[-1] + tensor.header.nbytes)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for (name, tensor), spans in zip(tensors.items(), pairwise(ends), strict=True):
        header[name] = {"dtype": _type_name(name, tensor), "shape": list(tensor.header.shape), "data_offsets": list(spans)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(ALIGNMENT, "little") + text)
        for name, tensor in tensors.items():
            _write_values(file, name, tensor=tensor)
            if progress is not None:
                progress.advance()


def _write_values(file: BinaryIO, name: str, *, tensor: LazyTensor) -> None:
    values = tensor.read()
    if tuple(values.shape) != tensor.header.shape or values.dtype != tensor.header.dtype:
        raise CheckpointError(
            f"{name} is {list(values.shape)} {values.dtype}, its header says {list(tensor.header.shape)} {tensor.header.dtype}: the "
            "file was changed while it was read. Start again."
        )
    file.write(values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _type_name(name: str, tensor: LazyTensor) -> str:
    if tensor.header.dtype not in TYPE_NAMES:
        raise CheckpointError(f"{name} is of type {tensor.header.dtype}; files of weights hold {', '.join(TYPE_NAMES.values())}.")
    return TYPE_NAMES[tensor.header.dtype]


def _shards(tensors: Tensors, limit: int) -> list[dict[str, LazyTensor]]:
    """The tensors in order, cut where a file would grow beyond `limit` bytes."""
    shards: list[dict[str, LazyTensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.header.nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.header.nbytes
    return shards


def _num_bytes(size: str) -> int:
    found = re.fullmatch(r"([1-9]\d*)(KB|MB|GB|TB)", size)
    if found is None:
        raise CheckpointError(f"largest weight file '{size}' is no size. Write a number and KB, MB, GB or TB, such as 5GB.")
    return int(found[1]) * UNITS[found[2]]
