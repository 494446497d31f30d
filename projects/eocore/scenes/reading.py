"""Windows of a scene read in batches, the next one while the model works on the one before."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from eocore.data.records import Window
from eocore.evaluate.protocols import Sample
from eocore.jobs.work import Item
from eocore.scenes.source import SceneSource
from eocore.scenes.windows import Tiling

WINDOW = "window"
"""Key of an item."""
Batch = list[tuple[Window, "Sample | None"]]
Found = TypeVar("Found")


def window_items(tiling: Tiling) -> list[Item]:
    """An item for each window, named by its corner."""
    return [Item(f"{window[0]}_{window[1]}", {WINDOW: list(window)}) for window in tiling.windows()]


def read_ahead(source: SceneSource, items: Sequence[Item], *, batch_size: int) -> Iterator[Batch]:
    """(window, its images or None, see `SceneSource.read`) of all items, in batches.

    Args:
        source: of the windows.
        items: from `window_items`.
        batch_size: windows of a batch.

    Raises:
        DataError: a window cannot be read.
    """

    def read(item: Item) -> "tuple[Window, Sample | None]":
        window = window_of(item)
        return window, source.read(window)

    return batches_ahead(items, read, batch_size=batch_size)


def batches_ahead(items: Sequence[Item], read: Callable[[Item], Found], *, batch_size: int) -> Iterator[list[Found]]:
    """What is read of all items, in batches; a thread reads the next one meanwhile.

    Args:
        items: one or more.
        read: what to do with each; what it raises is raised here.
        batch_size: items of a batch.
    """
    batches = [items[start : start + batch_size] for start in range(0, len(items), batch_size)]

    def read_batch(batch: Sequence[Item]) -> list[Found]:
        return [read(item) for item in batch]

    with ThreadPoolExecutor(1) as reader:
        ahead: Future[list[Found]] = reader.submit(read_batch, batches[0])
        for number in range(len(batches)):
            found = ahead.result()
            if number + 1 < len(batches):
                ahead = reader.submit(read_batch, batches[number + 1])
            yield found


def window_of(item: Item) -> Window:
    """The window that an item names."""
    row, col, height, width = item.payload[WINDOW]
    return int(row), int(col), int(height), int(width)
