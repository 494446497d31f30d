"""Answers of a model about each window of a scene: captions, counts, yes or no. Runs in any process."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.evaluate.protocols import Generates, LoadsWeights, PreparingAnswerer, Sample, implemented
from eocore.jobs.work import Item, Result
from eocore.portable.messages import Text, Turn, about_images
from eocore.scenes.mapping import EMPTY, load_predictor
from eocore.scenes.reading import read_ahead
from eocore.scenes.source import SceneSource

ANSWER = "answer"
"""Key of a result."""


@dataclass(frozen=True, kw_only=True)
class AskOptions:
    """How windows are asked about.

    Attributes:
        model: folder of a converted model.
        source: the scene.
        question: about each window.
        max_new_tokens: longest answer.
        batch_size: windows that the model sees together.
        device: as torch names it; None = the GPU of the process if there is one.
    """

    model: Path
    source: SceneSource
    question: str
    max_new_tokens: int = 64
    batch_size: int = 8
    device: str | None = None


@dataclass(frozen=True)
class AskWindows:
    """The work of a job, see `eocore.jobs.work.Work`; the model is read once in each process.

    Attributes:
        options: how.
        made: the predictor of the model, where this process has made it before.
    """

    options: AskOptions
    made: Any = None

    @cached_property
    def predictor(self) -> Generates:
        """The model, without its weights. Raises ConfigError where it does not answer in words."""
        predictor = self.made or load_predictor(self.options.model, device=self.options.device)
        if not isinstance(predictor, Generates):
            able = ", ".join(implemented(predictor)) or "none of the protocols"
            raise ConfigError(f"this model does not answer in words (it implements: {able}). Name what to map with --prompt.")
        return predictor

    @cached_property
    def answerer(self) -> Any:
        """What answers, with its weights."""
        if isinstance(self.predictor, LoadsWeights):
            self.predictor.load()
        return self.predictor.answerer(self.options.max_new_tokens)

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which each process reads for itself."""
        return {"options": self.options, "made": None}

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """The answer about each window; windows without data are `EMPTY`."""
        results: list[Result] = []
        for batch in read_ahead(self.options.source, items, batch_size=self.options.batch_size):
            there = [self._ask(sample) for _, sample in batch if sample is not None]
            answers = iter(self._answers(there) if there else [])
            results += [{EMPTY: True} if sample is None else {EMPTY: False, ANSWER: next(answers)} for _, sample in batch]
        return results

    def _answers(self, samples: Sequence[Sample]) -> list[str]:
        answerer = self.answerer
        if isinstance(answerer, PreparingAnswerer):
            return [answer.text for answer in answerer.answer([answerer.prepare(sample) for sample in samples])]
        return [answer.text for answer in answerer(samples)]

    def _ask(self, sample: Sample) -> Sample:
        record, scenes = sample
        question = Turn("user", about_images(Text(self.options.question)))
        return Record(sample_id=record.sample_id, images=record.images, turns=(question,), source=record.source), scenes
