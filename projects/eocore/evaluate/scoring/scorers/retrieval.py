"""Retrieval in a gallery: the images of all samples, and all their reference texts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eocore.errors import DataError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.evaluate.metrics.retrieval import CUTS, TOP, average_precision, average_precision_of_hits, first_ranks, recall_at
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import Measure, mean_of, ratio
from eocore.evaluate.scoring.scorers.base import Judged, missing, references_of, vectors_of
from eocore.registry import METRICS

QUERIES_AT_ONCE = 256
"""Rows of the matrix of similarities that are held at a time."""
DIRECTIONS = ("text_to_image", "image_to_text")


@METRICS.register_module()
class Retrieval:
    """Each text seeks its image among all images, and each image its texts among all texts, by the cosine of their vectors.

    For both directions `<direction>_recall@<k>` (a query finds one that fits among the first k) and `<direction>_map`; `mean_recall` is
    the mean of all recalls (mR). Source: Karpathy and Fei-Fei 2015; mR as in Yuan et al. 2022 (RSITMD). An item fits when it is of the same
    image. A sample that was not predicted is not in the gallery, and its queries find nothing.

    Args:
        cuts: k of the recalls.
        top_k: k of the mean average precision that is computed as MS-CLIP's code does, in `reference_compat`.
    """

    headline = "mean_recall"

    def __init__(self, *, cuts: Sequence[int] = CUTS, top_k: int = TOP) -> None:
        self._cuts, self._top = tuple(cuts), top_k

    @property
    def measure_names(self) -> tuple[str, ...]:
        """See `NamesMeasures`."""
        figures = (*(f"recall@{k}" for k in self._cuts), "map")
        return ("mean_recall", *(f"{direction}_{name}" for direction in DIRECTIONS for name in figures))

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        gallery = _Gallery(samples)
        measures: dict[str, Measure] = {}
        compat: dict[str, Measure] = {}
        for direction in DIRECTIONS:
            found = gallery.search(direction, self._figures)
            owners = gallery.owners(direction)
            for name, values in found.items():
                sums = np.bincount(owners, weights=values, minlength=len(samples))
                measure = mean_of(sums, gallery.num_queries(direction))
                (compat if name.endswith("of_hits") else measures)[f"{direction}_{name}"] = measure
        recalls = [measures[f"{direction}_recall@{k}"] for direction in DIRECTIONS for k in self._cuts]
        mean = Measure(np.concatenate([item.statistics for item in recalls], axis=1), _mean_of_ratios)
        lost = missing(samples)
        return Judged(
            samples=samples,
            measures={"mean_recall": mean, **measures},
            num_missing=lost,
            num_unparsed=np.zeros_like(lost),
            quality=measures["image_to_text_map"].statistics[:, 0],
            compat=compat,
            details={"gallery": {"images": gallery.num_images, "texts": gallery.num_texts}},
        )

    def _figures(self, scores: np.ndarray, relevant: np.ndarray) -> dict[str, np.ndarray]:
        """Name -> (Q,) figures of some queries."""
        ranks = first_ranks(scores, relevant)
        return {
            **{f"recall@{k}": recall_at(ranks, k) for k in self._cuts},
            "map": average_precision(scores, relevant),
            f"map@{self._top}_of_hits": average_precision_of_hits(scores, relevant, top_k=self._top),
        }


def _mean_of_ratios(sums: np.ndarray) -> np.ndarray:
    return np.asarray(ratio(sums.reshape(*sums.shape[:-1], -1, 2)).mean(axis=-1))


class _Gallery:
    """Unit vectors of what was predicted, and which sample each is of.

    Args:
        samples: N, predicted or not.

    Raises:
        DataError: nothing was predicted, or a line has another number of vectors than texts.
    """

    def __init__(self, samples: Sequence[Prediction]) -> None:
        self._texts_of = np.array([len(references_of(sample)) for sample in samples])
        there = [index for index, sample in enumerate(samples) if sample.prediction is not None]
        if not there:
            raise DataError("no sample was embedded: there is no gallery to search. Run the evaluation with a model that embeds.")
        found = [vectors_of(samples[index], (1 + int(self._texts_of[index]), -1)) for index in there]
        if len({part.shape[1] for part in found}) > 1:
            raise DataError(
                f"vectors of {sorted({part.shape[1] for part in found})} numbers cannot be compared. Predict anew (--overwrite)."
            )
        self._images = unit_vectors(np.stack([part[0] for part in found]))
        self._texts, self._text_index = _one_vector_a_text(samples, found, there=there)
        self._image_owner = np.array(there)
        self._text_owner = np.repeat(there, self._texts_of[there])
        names: dict[Any, int] = {}
        self._image_name = np.array([names.setdefault(sample.image_ids[:1] or sample.sample_id, len(names)) for sample in samples])
        self.num_images, self.num_texts = len(self._images), len(self._text_index)

    def owners(self, direction: str) -> np.ndarray:
        """(Q,) index of the sample that each query of `search` is of."""
        return self._text_owner if direction == "text_to_image" else self._image_owner

    def num_queries(self, direction: str) -> np.ndarray:
        """(N,) queries of each sample, predicted or not."""
        return self._texts_of if direction == "text_to_image" else np.ones_like(self._texts_of)

    def search(self, direction: str, figures: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Name -> (Q,) figures of all queries of one direction, computed some queries at a time."""
        by_text = direction == "text_to_image"
        asking, offered = (self._text_owner, self._image_owner) if by_text else (self._image_owner, self._text_owner)
        parts = []
        for start in range(0, len(asking), QUERIES_AT_ONCE):
            rows = slice(start, start + QUERIES_AT_ONCE)
            fits = self._image_name[asking[rows]][:, None] == self._image_name[offered][None, :]
            if by_text:
                cosines = self._texts[self._text_index[rows]] @ self._images.T
            else:
                cosines = (self._images[rows] @ self._texts.T)[:, self._text_index]
            parts.append(figures(cosines, fits))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _one_vector_a_text(
    samples: Sequence[Prediction], found: Sequence[np.ndarray], *, there: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(M, D) unit vectors of the distinct texts, and (T,) which of them each text is.

    A sentence embedded in two batches has two vectors that differ in their last bits; taken apart, its cosines would not be equal, and
    rounding would decide whether the wrong image's sentence stands first.
    """
    first: dict[str, int] = {}
    vectors: list[np.ndarray] = []
    index = []
    for number, part in zip(there, found, strict=True):
        for text, vector in zip(references_of(samples[number]), part[1:], strict=True):
            if text not in first:
                first[text] = len(vectors)
                vectors.append(vector)
            index.append(first[text])
    return unit_vectors(np.stack(vectors)), np.array(index)
