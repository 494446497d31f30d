"""Vectors of the windows of scenes: each read, and embedded by a model of images. Runs in any process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eocore.errors import ConfigError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.evaluate.protocols import EmbedsImages, LoadsWeights, PreparesImages
from eocore.jobs.work import Item, Result
from eocore.predict.answer_log import footprint_of
from eocore.scenes.mapping import EMPTY, load_predictor
from eocore.scenes.reading import batches_ahead, window_of
from eocore.scenes.source import SceneSource

SCENE, VECTOR, FOOTPRINT, TIME = "scene", "vector", "footprint", "time"
"""Keys of an item, and of a result."""
Prepared = tuple[Any, dict[str, Any]] | None
"""What the model is given of a window, and what is known of it; None where it holds too little data."""


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """How windows are embedded.

    Attributes:
        model: folder of a converted model.
        scenes: id -> images.
        min_data: least share of a window's pixels that has data.
        batch_size: windows that the model sees together.
        device: as torch names it; None = the GPU of the process if there is one.
    """

    model: Path
    scenes: Mapping[str, SceneSource]
    min_data: float = 0.5
    batch_size: int = 32
    device: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_data <= 1:
            raise ConfigError(f"--min-data {self.min_data:g}: expected a share of a window's pixels, 0 to 1.")


@dataclass(frozen=True)
class EmbedWindows:
    """The work of a job, see `eocore.jobs.work.Work`; the model is read once in each process.

    Attributes:
        options: how.
    """

    options: EmbedOptions

    @cached_property
    def predictor(self) -> Any:
        """The model, without its weights. Raises ConfigError where it does not embed images."""
        predictor = load_predictor(self.options.model, device=self.options.device)
        if not isinstance(predictor, EmbedsImages):
            raise ConfigError(f"{self.options.model}: this model does not embed images. Name one that does, of ms_clip or earthfm.")
        return predictor

    @cached_property
    def model(self) -> EmbedsImages:
        """The model, with its weights."""
        predictor: Any = self.predictor
        if isinstance(predictor, LoadsWeights):
            predictor.load()
        found: EmbedsImages = predictor
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which each process reads for itself."""
        return {"options": self.options}

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """(D,) `vector` of length 1 of each window, with `time` and `footprint`; windows of too little data are `EMPTY`.

        The next batch is read while the model computes.
        """
        model = self.model  # read once, not by the thread too
        results: list[Result] = []
        for batch in batches_ahead(items, self._prepare, batch_size=self.options.batch_size):
            there = [found for found in batch if found is not None]
            vectors = iter(unit_vectors(model.embed_images([shown for shown, _ in there])) if there else [])
            results += [{EMPTY: True} if found is None else {EMPTY: False, VECTOR: next(vectors), **found[1]} for found in batch]
        return results

    def _prepare(self, item: Item) -> Prepared:
        source, window = self.options.scenes[item.payload[SCENE]], window_of(item)
        sample = source.read(window)
        if sample is None or float(source.has_data(sample, window).mean()) < self.options.min_data:
            return None
        shown = self.predictor.prepare_image(sample) if isinstance(self.predictor, PreparesImages) else sample
        record, scenes = sample
        by_role = {ref.role: scene for ref, scene in zip(record.images, scenes, strict=True)}
        time = next((scene.time for scene in scenes if scene.time), "")
        return shown, {TIME: time, FOOTPRINT: footprint_of(by_role)}
