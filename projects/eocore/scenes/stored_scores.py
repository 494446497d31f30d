"""The scores of a job's windows, read back from its folder as blending asks for them."""

from functools import lru_cache

import numpy as np

from eocore.errors import OutputError
from eocore.jobs.job_folder import JobFolder
from eocore.scenes.blending import BLOCK
from eocore.scenes.mapping import EMPTY, SCORES
from eocore.scenes.windows import NEIGHBOURHOOD, Tiling

CHUNK = NEIGHBOURHOOD**2
"""Windows that are done together, and lie in one file."""
MOST_BYTES = 512_000_000
"""Of scores that are held; where a block needs more, files are read again."""


class StoredScores:
    """Implements `eocore.scenes.blending.ReadScores`; holds the files of one block's windows in memory.

    Args:
        folder: of a job that has ended.
        tiling: of the scene.
        num_layers: of the scores.
    """

    def __init__(self, folder: JobFolder, tiling: Tiling, *, num_layers: int) -> None:
        self._folder = folder
        reach = -(-BLOCK // ((tiling.window_side - tiling.shared) * NEIGHBOURHOOD)) + 1
        chunk_bytes = CHUNK * num_layers * tiling.window_side**2 * np.dtype(np.float16).itemsize
        # a neighbourhood at the border may lie in two files
        self._read = lru_cache(maxsize=max(min(2 * reach**2, MOST_BYTES // chunk_bytes), 1))(self._read_chunk)

    def __call__(self, index: int) -> np.ndarray | None:
        """The (C, S, S) scores of a window; None where it is empty or failed."""
        size = self._folder.chunk_size
        return self._read(index // size)[index % size]

    def _read_chunk(self, chunk: int) -> list[np.ndarray | None]:
        outcomes = self._folder.read(chunk)
        if outcomes is None:
            raise OutputError(
                f"{self._folder.folder}: results {chunk} were written and cannot be read any more. The disk may be failing; run the same "
                "command again, which computes them anew."
            )
        return [None if item.result is None or item.result[EMPTY] else item.result[SCORES] for item in outcomes]
