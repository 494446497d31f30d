"""What was computed of images, kept for the next question about them: as much as there is room for, what was used last."""

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor


class ImageMemory:
    """Tensors by content. It belongs to one model, whose weights stay as they are; several threads may use it.

    Args:
        max_bytes: of all tensors together [bytes].

    Attributes:
        num_found, num_made: how often something was found, and how often it was added.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.num_found, self.num_made = max_bytes, 0, 0
        self._kept: OrderedDict[Hashable, tuple[Tensor, ...]] = OrderedDict()
        self._num_bytes = 0
        self._owner: weakref.ref[object] | None = None
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """Of what it holds [bytes]."""
        return self._num_bytes

    def check(self, model: object) -> None:
        """Raise ValueError if it holds what another model computed; the first that asks owns it."""
        if self._owner is None:
            self._owner = weakref.ref(model)
        if self._owner() is not model:
            raise ValueError(
                "this ImageMemory holds what another model computed of its images, which means nothing here. Make one for each."
            )

    def find(self, key: Hashable) -> tuple[Tensor, ...] | None:
        """What was kept under a key; None where it was never kept, or has made room for others."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                self.num_found += 1
            return found

    def keep(self, key: Hashable, tensors: Sequence[Tensor]) -> None:
        """Keeps copies of tensors; what was not used for longest makes room. What is larger than all the room is not kept."""
        size = sum(_size(tensor) for tensor in tensors)
        if size > self.max_bytes:
            return
        copies = tuple(tensor.clone() for tensor in tensors)  # a part of a batch would hold on to the whole of it
        with self._lock:
            self.num_made += 1
            self._num_bytes += size - sum(_size(tensor) for tensor in self._kept.pop(key, ()))
            self._kept[key] = copies
            while self._num_bytes > self.max_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._num_bytes -= sum(_size(tensor) for tensor in oldest)

    def encode(self, images: Tensor, encode: Callable[[Tensor], Sequence[Tensor]], *, kind: str) -> list[Tensor]:
        """What an encoder makes of images (T, ...): tensors (T, ...), of which each different image is encoded once, or not at all.

        Args:
            images: uint8.
            encode: images (t, ...) -> tensors (t, ...), of each image by itself.
            kind: of the encoder.
        """
        keys = [(kind, digest) for digest in digests(images)]
        known = {key: self.find(key) for key in dict.fromkeys(keys)}
        missing = [key for key, found in known.items() if found is None]
        if missing:
            made = encode(images[[keys.index(key) for key in missing]])
            for number, key in enumerate(missing):
                known[key] = tuple(level[number] for level in made)
                self.keep(key, known[key] or ())
        found = [known[key] or () for key in keys]
        return [torch.stack(list(levels)) for levels in zip(*found, strict=True)]


def digests(images: Tensor) -> list[bytes]:
    """Of the content of each image (T, ...) uint8."""
    return [hashlib.blake2b(image.contiguous().numpy(), digest_size=16).digest() for image in images.cpu()]


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
