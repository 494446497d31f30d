"""Weights on disk, read one tensor at a time: safetensors and PyTorch files, single or in shards, headers without the weights."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from eocore.errors import CheckpointError
from eocore.models.folders import check_shard_names, read_json

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""Names transformers gives the list of shards; the safe form is preferred where a folder has both."""
SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
TORCH_SUFFIXES = (".bin", ".pt", ".pth")
NESTED = ("model", "state_dict", "module")
"""Keys under which a PyTorch file holds its weights: Meta's releases, mmengine and DeepSpeed, in this order."""
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Names of the safetensors format (its README) for the types a checkpoint may hold here."""
MAPPED_BYTES = 128 * 2**20
"""Files are mapped afresh after this much was read: pages of a mapped file count as memory in use while it stays mapped."""


@dataclass(frozen=True)
class Header:
    """Shape and type of a tensor, without its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def numel(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of the values [bytes]."""
        return self.numel * self.dtype.itemsize


Headers = Mapping[str, Header]


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is read when it is asked for: its header, and `read`, which gives the values."""

    header: Header
    read: Callable[[], Tensor]


class _Shard(Protocol):
    """One file: what it holds, and a mapped view of it."""

    path: Path
    headers: dict[str, Header]

    def map(self) -> Callable[[str], Tensor]: ...


class Weights:
    """Tensors of one source by name.

    Attributes:
        path: file or folder they come from.
        headers: shape and type of each.
    """

    def __init__(self, path: Path, shards: list[_Shard]) -> None:
        self.path = path
        self._owner = {name: shard for shard in shards for name in shard.headers}
        self.headers: dict[str, Header] = {name: shard.headers[name] for name, shard in self._owner.items()}
        self._mapped: dict[Path, Callable[[str], Tensor]] = {}
        self._bytes_read = 0

    def read(self, name: str) -> Tensor:
        """The tensor `name`, a view of the mapped file."""
        if self._bytes_read > MAPPED_BYTES:
            self._mapped, self._bytes_read = {}, 0
        self._bytes_read += self.headers[name].nbytes
        shard = self._owner[name]
        if shard.path not in self._mapped:
            self._mapped[shard.path] = shard.map()
        return self._mapped[shard.path](name)

    def lazy(self, name: str) -> LazyTensor:
        """The tensor `name`, to be read later."""
        return LazyTensor(self.headers[name], lambda: self.read(name))


def open_weights(path: Path) -> Weights:
    """The weights of a file, or of a folder as transformers writes it.

    Raises:
        CheckpointError: nothing is there, a shard is missing or not the one the index means, a file is cut short or damaged, or a PyTorch
            file holds more than tensors and plain values (it is read with weights_only).
    """
    if path.is_dir():
        return Weights(path, _folder_shards(path))
    if not path.is_file():
        raise CheckpointError(
            f"{path} does not exist; nothing is downloaded. Correct the path or fetch the weights (pretrained/README.md)."
        )
    return Weights(path, [_open_shard(path)])


def _folder_shards(folder: Path) -> list[_Shard]:
    for index in (folder / name for name in INDEXES):
        if index.is_file():
            return _indexed_shards(index)
    for file in (folder / name for name in SINGLE_FILES):
        if file.is_file():
            return [_open_shard(file)]
    found = ", ".join(sorted(file.name for file in folder.iterdir())[:10]) or "nothing"
    raise CheckpointError(
        f"{folder} holds no weights under a known name ({', '.join((*INDEXES, *SINGLE_FILES))}); found {found}. Name the file itself."
    )


def _indexed_shards(index: Path) -> list[_Shard]:
    placed = check_shard_names(read_json(index), index)
    names = sorted(set(placed.values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{index} lists {len(names)} files, of which {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not there; "
            f"{sum(file in missing for file in placed.values())} tensors would be missing. Fetch the missing files again."
        )
    shards = [_open_shard(index.parent / name) for name in names]
    held = {tensor: shard.path.name for shard in shards for tensor in shard.headers}
    wrong = sorted(name for name in placed.keys() | held.keys() if placed.get(name) != held.get(name))
    if wrong:
        first = wrong[0]
        raise CheckpointError(
            f"{index} and the files beside it disagree on {len(wrong)} tensors; the first, {first}, is in "
            f"{placed.get(first, 'no file')} by the index and in {held.get(first, 'no file')} in fact: "
            "these files belong to different downloads. Fetch them again together."
        )
    return shards


def _open_shard(path: Path) -> _Shard:
    if path.suffix == ".safetensors":
        return _SafetensorsShard(path)
    if path.suffix in TORCH_SUFFIXES:
        return _TorchShard(path)
    raise CheckpointError(f"{path} is of no known kind; expected .safetensors, {', '.join(TORCH_SUFFIXES)} or a folder of a model.")


class _SafetensorsShard:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="pt") as file:
                slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (a file, no dict)
                self.headers = {name: Header(tuple(part.get_shape()), self._dtype(name, part)) for name, part in slices.items()}
        except SafetensorError as error:
            raise _damaged(path, error) from error

    def _dtype(self, name: str, part: Any) -> torch.dtype:
        if part.get_dtype() not in DTYPES:
            raise CheckpointError(
                f"{self.path}: {name} is of type {part.get_dtype()}; supported: {', '.join(DTYPES)}. Quantised weights cannot be "
                "trained on; take the unquantised release."
            )
        return DTYPES[part.get_dtype()]

    def map(self) -> Callable[[str], Tensor]:
        return safe_open(self.path, framework="pt").get_tensor


class _TorchShard:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.headers = {name: Header(tuple(tensor.shape), tensor.dtype) for name, tensor in self._load().items()}

    def map(self) -> Callable[[str], Tensor]:
        return self._load().__getitem__

    def _load(self) -> dict[str, Tensor]:
        try:
            content = torch.load(self.path, map_location="cpu", mmap=True, weights_only=True)
        except pickle.UnpicklingError as error:
            raise _unreadable(self.path, error) from error
        except (RuntimeError, EOFError, OSError) as error:
            raise _damaged(self.path, error) from error
        return _state(self.path, content)


def _state(path: Path, content: Any) -> dict[str, Tensor]:
    """The dictionary of tensors inside what a PyTorch file holds."""
    for nested in (content, *(content.get(key) for key in NESTED if isinstance(content, dict))):
        if isinstance(nested, dict) and nested and all(isinstance(value, Tensor) for value in nested.values()):
            return dict(nested)
    keys = ", ".join(map(str, list(content)[:10])) if isinstance(content, dict) else type(content).__name__
    raise CheckpointError(
        f"{path} holds no dictionary of tensors, neither itself nor under {', '.join(NESTED)}; found: {keys}. Save the state_dict alone."
    )


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return CheckpointError(
        f"{path} cannot be read: {reason.rstrip('.')}. It has {path.stat().st_size} bytes; it is cut short, damaged, or of the format "
        "before PyTorch 1.6. Fetch it again, or save it again with a recent PyTorch."
    )


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    """The refusal of a pickle that would run code; torch names the culprit in one sentence of a long text."""
    named = next((line for line in str(error).splitlines() if "GLOBAL" in line), str(error).splitlines()[0]).strip()
    return CheckpointError(
        f"{path} holds more than tensors: {named[:300]} Loading it would run that code, so it was not loaded. If you trust its source, "
        "write the tensors alone where that code is installed: torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW_FILE)."
    )
