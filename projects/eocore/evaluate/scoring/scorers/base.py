"""What scores the samples of one task: the interface, and what its implementations share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from eocore.errors import AnnotationError, DataError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import Measure


@dataclass(frozen=True)
class Judged:
    """The samples of one task under one setting, judged.

    Attributes:
        samples: N, in order.
        measures: name -> score as it is defined in the field.
        compat: name -> score as an upstream evaluation computes it where that differs; never shown in one table with the others.
        num_items: (N,) what each sample asks for: one answer, or so many masks or boxes. The next three are part of it, but for the last.
        num_missing: (N,) items without any prediction.
        num_unparsed: (N,) items whose prediction cannot be read.
        num_extra: (N,) predicted masks or boxes beyond those asked for.
        quality: (N,) how good each sample is, for picking the best and worst; NaN where it cannot be said.
        subsets: name -> (N,) bool: further choices of samples that conventions ask a score of.
        details: plain JSON that holds for all samples together.
        reasons: (N,) why a prediction cannot be read, "" where it can or no reason is known; empty = none is known.
        notes: sentences on how the predictions were read that must be shown with the scores.
    """

    samples: Sequence[Prediction]
    measures: Mapping[str, Measure]
    num_missing: np.ndarray
    num_unparsed: np.ndarray
    quality: np.ndarray
    num_items: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    num_extra: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    compat: Mapping[str, Measure] = field(default_factory=dict)
    subsets: Mapping[str, np.ndarray] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    reasons: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        count = len(self.samples)
        if not len(self.num_items):
            object.__setattr__(self, "num_items", np.ones(count, dtype=np.int64))
        if not len(self.num_extra):
            object.__setattr__(self, "num_extra", np.zeros(count, dtype=np.int64))


class Scorer(Protocol):
    """Registered in METRICS; a benchmark names it by `type` and gives its options.

    Attributes:
        headline: the measure the task is known by; defined for any choice of one sample or more.
    """

    headline: str

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """The samples judged.

        Args:
            samples: at least one, of one task and setting: all that the score is of, since some measures weigh each by the others.

        Raises:
            AnnotationError: an annotation lacks what the task is scored by.
            DataError: a prediction cannot be laid over its annotation.
        """
        ...


@runtime_checkable
class NamesMeasures(Protocol):
    """Optional beside `Scorer`: one whose measures are known without a prediction, since it cannot judge when there is none.

    Attributes:
        measure_names: of what `judge` returns as measures.
    """

    @property
    def measure_names(self) -> tuple[str, ...]:
        """In their order."""
        ...


def missing(samples: Sequence[Prediction]) -> np.ndarray:
    """(N,) 1 where the model gave no text."""
    return np.array([sample.prediction is None for sample in samples], dtype=np.int64)


def candidates_of(sample: Prediction) -> list[str]:
    """The options (multiple choice) or classes (classification) a sample was asked with.

    Raises:
        AnnotationError: its meta does not give them.
    """
    candidates = sample.meta.get("candidates")
    if not isinstance(candidates, list | tuple) or not candidates or not all(isinstance(item, str) for item in candidates):
        raise AnnotationError(
            f"sample '{sample.sample_id}' ({sample.task}): 'candidates' in its meta must be a list of strings, found {candidates!r:.80}. "
            "It cannot be scored; give the options it was asked with."
        )
    return list(candidates)


def references_of(sample: Prediction) -> list[str]:
    """The reference texts of a sample: `references` of its meta, else its annotated answer.

    Raises:
        AnnotationError: there is none, or one is empty.
    """
    references = sample.meta.get("references", [sample.ground_truth])
    if not isinstance(references, list | tuple) or not references or not all(isinstance(text, str) and text.strip() for text in references):
        raise AnnotationError(
            f"sample '{sample.sample_id}' ({sample.task}): expected one reference text or more ('references' in meta, or ground_truth), "
            f"found {references!r:.80}. Nothing could be compared with it; correct the annotation."
        )
    return list(references)


def vectors_of(sample: Prediction, shape: tuple[int, ...]) -> np.ndarray:
    """The class scores or embeddings of a predicted sample.

    Args:
        sample: whose prediction is not None.
        shape: that they must have; -1 = any.

    Raises:
        DataError: it has none, of another shape, not finite, or the file with them was changed.
    """
    found = sample.vectors.load() if sample.vectors else None
    fits = found is not None and len(found.shape) == len(shape) and all(a == b or b < 0 for a, b in zip(found.shape, shape, strict=True))
    if found is None or not fits or not np.isfinite(found).all():
        state = "none" if found is None else f"numbers of shape {found.shape}, {int((~np.isfinite(found)).sum())} of them not finite"
        raise DataError(
            f"sample '{sample.sample_id}' ({sample.task}): expected finite class scores or vectors of shape {shape}, found {state}. It "
            "cannot be scored so; predict with a model that scores or embeds, or name the scorer of texts (--metric)."
        )
    return found
