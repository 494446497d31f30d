"""A small encoder of texts: how often each letter occurs. It keeps tests of everything around an encoder quick."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eocore.errors import DataError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.jobs.work import Item, Result
from eocore.search.index_folder import CAPTIONS, Space

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Letters:
    """Implements `eocore.search.encoders.Encoder`.

    Attributes:
        name: of the model.
        broken: texts that are refused.
        stops: a text at which the user ends the program.
        pause_s: of each text.
    """

    name: str = "letters"
    broken: tuple[str, ...] = ()
    stops: str = ""
    pause_s: float = 0.0

    @property
    def space(self) -> Space:
        """See `Encoder`."""
        return Space(CAPTIONS, self.name, f"digest of {self.name}")

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `Encoder`."""
        return unit_vectors(np.array([[text.count(letter) for letter in LETTERS] for text in texts]))

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """See `Encoder`."""
        texts = [str(item.payload["text"]) for item in items]
        time.sleep(self.pause_s * len(texts))
        if self.stops in texts:
            raise KeyboardInterrupt
        if refused := [text for text in texts if text in self.broken]:
            raise DataError(f"{refused[0]!r} is refused")
        return [{"vector": vector} for vector in self.texts(texts)]
