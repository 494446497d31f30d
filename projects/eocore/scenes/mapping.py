"""What is done with the windows of a scene: read, shown to the model, and its scores of every pixel kept. Runs in any process."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.records import ImageRef, Window
from eocore.evaluate.protocols import LoadsWeights, Sample, ScoresPixels
from eocore.jobs.work import Item, Result
from eocore.scenes.area import Area
from eocore.scenes.pixel_scores import as_pixel_scores
from eocore.scenes.source import SceneSource
from eocore.scenes.windows import Tiling
from eocore.system import PredictorOptions, system_of_model

SCORES, EMPTY, WINDOW = "scores", "empty", "window"
"""Keys of an item and of its result."""


@dataclass(frozen=True, kw_only=True)
class MapOptions:
    """How windows are scored.

    Attributes:
        model: folder of a converted model.
        refs: role -> image.
        prompts: what is mapped, a layer each.
        area: what is mapped of them; None = all.
        batch_size: windows that the model sees together; batches are cut from the manifest, so that they are the same in every run.
        device: as torch names it; None = the GPU of the process if there is one.
    """

    model: Path
    refs: Mapping[str, ImageRef]
    prompts: tuple[str, ...]
    area: Area | None = None
    batch_size: int = 8
    device: str | None = None


@dataclass(frozen=True)
class MapWindows:
    """The work of a job, see `eocore.jobs.work.Work`; the model is read once in each process.

    Attributes:
        options: how.
    """

    options: MapOptions

    @cached_property
    def model(self) -> ScoresPixels:
        """The model, with its weights."""
        predictor = load_predictor(self.options.model, device=self.options.device)
        if isinstance(predictor, LoadsWeights):
            predictor.load()
        return as_pixel_scores(predictor)

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which each process reads for itself."""
        return {"options": self.options}

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """(C, S, S) float16 scores of each window, NaN where it has no data; windows without any are `EMPTY`.

        The next batch is read while the model computes.
        """
        size = self.options.batch_size
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        results: list[Result] = []
        with ThreadPoolExecutor(1) as reader:
            ahead: Future[list[Sample | None]] = reader.submit(self._read, batches[0])
            for number in range(len(batches)):
                samples = ahead.result()
                if number + 1 < len(batches):
                    ahead = reader.submit(self._read, batches[number + 1])
                results += self._score(batches[number], samples)
        return results

    def _read(self, items: Sequence[Item]) -> "list[Sample | None]":
        return [self._source.read(window_of(item)) for item in items]

    def _score(self, items: Sequence[Item], samples: "Sequence[Sample | None]") -> list[Result]:
        there = [sample for sample in samples if sample is not None]
        scores = iter(self.model.pixel_scores(there, self.options.prompts) if there else [])
        return [
            {EMPTY: True} if sample is None else {EMPTY: False, SCORES: self._kept(next(scores), sample, window=window_of(item))}
            for item, sample in zip(items, samples, strict=True)
        ]

    def _kept(self, scores: np.ndarray, sample: Sample, *, window: Window) -> np.ndarray:
        """As they are written down: half precision has 3 digits, more than blending needs."""
        kept = scores.astype(np.float16)
        kept[:, ~self._source.has_data(sample, window)] = np.nan
        return kept

    @property
    def _source(self) -> SceneSource:
        return SceneSource(self.options.refs, self.options.area)


def load_predictor(model: Path, *, device: str | None) -> Any:
    """The predictor of a converted model, without its weights. Raises ConfigError where the folder is none, or its system has none."""
    system = system_of_model(model)
    make = system.need(system.predictor, "no maps can be made with its models")
    return make(model, PredictorOptions(device=device, float32_on_cpu=True))


def window_items(tiling: Tiling) -> list[Item]:
    """An item for each window, named by its corner."""
    return [Item(f"{window[0]}_{window[1]}", {WINDOW: list(window)}) for window in tiling.windows()]


def window_of(item: Item) -> Window:
    """The window of an item."""
    row, col, height, width = item.payload[WINDOW]
    return int(row), int(col), int(height), int(width)
