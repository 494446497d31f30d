"""Windows of a scene read in batches, the next one while the model works on the one before."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from eocore.data.records import Window
from eocore.evaluate.protocols import Sample
from eocore.jobs.work import Item
from eocore.scenes.source import SceneSource
from eocore.scenes.windows import Tiling

WINDOW = "window"
"""Key of an item."""
Batch = list[tuple[Window, "Sample | None"]]


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
    batches = [[_window_of(item) for item in items[start : start + batch_size]] for start in range(0, len(items), batch_size)]
    with ThreadPoolExecutor(1) as reader:
        ahead: Future[Batch] = reader.submit(_read, source, batches[0])
        for number in range(len(batches)):
            batch = ahead.result()
            if number + 1 < len(batches):
                ahead = reader.submit(_read, source, batches[number + 1])
            yield batch


def _read(source: SceneSource, windows: Sequence[Window]) -> Batch:
    return [(window, source.read(window)) for window in windows]


def _window_of(item: Item) -> Window:
    row, col, height, width = item.payload[WINDOW]
    return int(row), int(col), int(height), int(width)
