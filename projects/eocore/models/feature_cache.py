"""Features of a frozen encoder kept on disk, found again by the content of what it was shown; safe under several processes."""

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from eocore.errors import ConfigError
from eocore.files import grant_default_mode
from eocore.log import get_logger

GB = 10**9
SUFFIX, PART_SUFFIX = ".safetensors", ".part"
STALE_PART_S = 3600
"""Age at which an unfinished file is taken for what a process left that died [s]."""
NAME = "features"


@dataclass(frozen=True, kw_only=True)
class FeatureCacheOptions:
    """Where features are kept.

    Attributes:
        folder: of the cache, on a local disk; may be deleted at any time. Processes of one machine may share it.
        max_gb: most the files in it may take together [10^9 bytes].
    """

    folder: str
    max_gb: float = 200.0

    def __post_init__(self) -> None:
        if isinstance(self.max_gb, bool) or not isinstance(self.max_gb, int | float) or not self.max_gb > 0:
            raise ConfigError(f"max_gb of a feature cache is {self.max_gb!r}; expected a positive number of 10^9 bytes.")


def content_keys(tiles: Tensor) -> list[str]:
    """A key for each of the tiles (T, ...) of its shape, type and values."""
    head = f"{tuple(tiles.shape[1:])} {tiles.dtype}".encode()
    return [hashlib.blake2b(head + tile.contiguous().numpy().tobytes(), digest_size=16).hexdigest() for tile in tiles]


class FeatureCache:
    """Features by key, one file each, below a folder named after the encoder: with other weights nothing old is found.

    A file is written whole under another name before it takes its own. When the folder is full, features of other encoders go first; then
    nothing is added, since a training that goes through its data in turn would throw out what it needs soonest.

    Args:
        options: where, and how much.
        encoder: digest of all that decides the features beside what is shown: weights, their precision, choices.

    Attributes:
        found, asked: numbers of keys, since it was opened.
    """

    def __init__(self, options: FeatureCacheOptions, *, encoder: str) -> None:
        self.root = Path(options.folder)
        self.folder = self.root / encoder[:32]
        self.found = self.asked = 0
        self._ledger = _Ledger(self.root, int(options.max_gb * GB))
        self._ledger.open(keep=self.folder)

    def fetch(self, keys: Sequence[str], compute: Callable[[Tensor], Tensor], *, device: torch.device) -> Tensor:
        """Features (T, ...) of T keys, on `device`.

        Args:
            keys: of the inputs; the same key twice stands for the same input.
            compute: indices (M,) among the keys -> features (M, ...) of the inputs there; called where any are not on the disk.
            device: of the features.
        """
        first: dict[str, int] = {}
        for number, key in enumerate(keys):
            first.setdefault(key, number)
        features = {key: value for key in first if (value := self._read(key)) is not None}
        self.asked, self.found = self.asked + len(first), self.found + len(features)
        missing = [key for key in first if key not in features]
        if missing:
            made = compute(torch.tensor([first[key] for key in missing], device=device)).detach()
            for key, value in zip(missing, made, strict=True):
                self._write(key, value)
                features[key] = value
        return torch.stack([features[key].to(device, non_blocking=True) for key in keys])

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / (key + SUFFIX)

    def _read(self, key: str) -> Tensor | None:
        path = self._path(key)
        try:
            return load_file(path)[NAME]
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, OSError) as error:
            get_logger().warning("%s: cannot be read (%s); it is computed again", path, error)
            self._ledger.drop(path)
            return None

    def _write(self, key: str, value: Tensor) -> None:
        if self._ledger.full:
            return
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{uuid.uuid4().hex}{PART_SUFFIX}")
        try:
            save_file({NAME: value.cpu().contiguous()}, part)
            grant_default_mode(part)
            self._ledger.admit(part, path)
        except OSError as error:
            get_logger().warning("%s: nothing more is kept in this feature cache (%s)", self.root, error)
            self._ledger.full = True
        finally:
            part.unlink(missing_ok=True)


class _Ledger:
    """How many bytes the files of a cache take, known to all processes that share it.

    Attributes:
        full: this process adds nothing more.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.root, self.max_bytes, self.full = root, max_bytes, False
        self._lock = FileLock(root / "ledger.lock")
        self._count = root / "ledger.bytes"
        self._keep: Path | None = None

    def open(self, keep: Path) -> None:
        """Counts what is there, and removes what died processes left. `keep`: the folder in use, never evicted from here."""
        self._keep = keep
        keep.mkdir(parents=True, exist_ok=True)
        with self._lock:
            now = time.time()
            for path in self.root.rglob(f"*{PART_SUFFIX}"):
                with contextlib.suppress(FileNotFoundError):
                    if now - path.stat().st_mtime > STALE_PART_S:
                        path.unlink()
            self._set(_bytes_below(self.root))

    def admit(self, part: Path, path: Path) -> None:
        """Gives a finished file its name, where there is room."""
        size = part.stat().st_size
        with self._lock:
            if path.exists():
                return
            used = self._get()
            if used + size > self.max_bytes:
                used = self._evict()
            if used + size > self.max_bytes:
                self.full = True
                get_logger().warning("%s holds %.1f of %.1f GB: no more features are kept", self.root, used / GB, self.max_bytes / GB)
                return
            os.replace(part, path)
            self._set(used + size)

    def drop(self, path: Path) -> None:
        """Removes a file."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self._set(max(0, self._get() - size))

    def _evict(self) -> int:
        """Removes features of other encoders; returns the bytes that stay."""
        for folder in self.root.iterdir():
            if folder.is_dir() and folder != self._keep:
                get_logger().info("%s: features of another encoder, removed to make room", folder)
                shutil.rmtree(folder, ignore_errors=True)
        used = _bytes_below(self.root)
        self._set(used)
        return used

    def _get(self) -> int:
        try:
            return int(self._count.read_text())
        except (FileNotFoundError, ValueError):
            return _bytes_below(self.root)

    def _set(self, used: int) -> None:
        self._count.write_text(str(used))


def _bytes_below(root: Path) -> int:
    return sum(_sizes(root))


def _sizes(root: Path) -> Iterator[int]:
    for path in root.rglob(f"*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_size
