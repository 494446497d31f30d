"""What is done with the windows of a scene: read, shown to the model, and its scores of every pixel kept. Runs in any process."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.records import Window
from eocore.evaluate.protocols import LoadsWeights, Sample, ScoresPixels
from eocore.jobs.work import Item, Result
from eocore.portable.series import BEFORE
from eocore.predict.asking import check_roles, check_series
from eocore.scenes.pixel_scores import as_pixel_scores
from eocore.scenes.reading import read_ahead
from eocore.scenes.source import SceneSource
from eocore.system import PredictorOptions, system_of_model

SCORES, EMPTY = "scores", "empty"
"""Keys of a result."""


@dataclass(frozen=True, kw_only=True)
class MapOptions:
    """How windows are scored.

    Attributes:
        model: folder of a converted model.
        source: the scene.
        prompts: what is mapped, a layer each.
        batch_size: windows that the model sees together; batches are cut from the manifest, so that they are the same in every run.
        device: as torch names it; None = the GPU of the process if there is one.
    """

    model: Path
    source: SceneSource
    prompts: tuple[str, ...]
    batch_size: int = 8
    device: str | None = None


@dataclass(frozen=True)
class MapWindows:
    """The work of a job, see `eocore.jobs.work.Work`; the model is read once in each process.

    Attributes:
        options: how.
        predictor: of the model, where this process has made it before.
    """

    options: MapOptions
    predictor: Any = None

    @cached_property
    def model(self) -> ScoresPixels:
        """The model, with its weights."""
        predictor = self.predictor or load_predictor(self.options.model, device=self.options.device)
        if isinstance(predictor, LoadsWeights):
            predictor.load()
        return as_pixel_scores(predictor)

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which each process reads for itself."""
        return {"options": self.options, "predictor": None}

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """(C, S, S) float16 scores of each window, NaN where it has no data; windows without any are `EMPTY`.

        The next batch is read while the model computes.
        """
        results: list[Result] = []
        for batch in read_ahead(self.options.source, items, batch_size=self.options.batch_size):
            there = [sample for _, sample in batch if sample is not None]
            scores = iter(self.model.pixel_scores(there, self.options.prompts) if there else [])
            results += [
                {EMPTY: True} if sample is None else {EMPTY: False, SCORES: self._kept(next(scores), sample, window=window)}
                for window, sample in batch
            ]
        return results

    def _kept(self, scores: np.ndarray, sample: Sample, *, window: Window) -> np.ndarray:
        """As they are written down: half precision has 3 digits, more than blending needs."""
        kept = scores.astype(np.float16)
        kept[:, ~self.options.source.has_data(sample, window)] = np.nan
        return kept


def load_predictor(model: Path, *, device: str | None) -> Any:
    """The predictor of a converted model, without its weights. Raises ConfigError where the folder is none, or its system has none."""
    system = system_of_model(model)
    make = system.need(system.predictor, "no maps can be made with its models")
    return make(model, PredictorOptions(device=device, float32_on_cpu=True))


def check_images(predictor: object, source: SceneSource) -> None:
    """Raise ConfigError if a model does not read images of these roles, or of two dates where the images are a pair."""
    check_roles(predictor, [ref.role for ref in source.refs.values()])
    times = [ref.time for ref in source.refs.values()]
    if BEFORE in times:
        check_series(predictor, times)
