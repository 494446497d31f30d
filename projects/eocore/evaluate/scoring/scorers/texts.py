"""Captions of images and regions, and open answers."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from eocore.evaluate.metrics import captions, java_captions, published_captions
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import Measure, mean_of
from eocore.evaluate.scoring.parsing.text import said
from eocore.evaluate.scoring.scorers.base import Judged, missing, references_of
from eocore.log import get_logger
from eocore.registry import METRICS


@METRICS.register_module()
class Caption:
    """BLEU-1 to 4, ROUGE-L and CIDEr-D against all references of a caption, as the COCO evaluation defines them.

    CIDEr weighs words by the references of all samples given, so a part of a set (a type, a drawn set) keeps the weights of the whole. An
    empty caption scores 0. `mean_length` is the number of words a caption has.

    Args:
        meteor: also METEOR 1.5 (needs Java and the extra `java`).
        spice: also SPICE (likewise).
        published_rouge: also ROUGE as GeoChat and EarthDial print it, among the figures for comparison (needs the extra `eval`).
        headline: the measure the task is known by.
    """

    def __init__(self, *, meteor: bool = False, spice: bool = False, published_rouge: bool = False, headline: str = "cider") -> None:
        self.headline = headline
        self._meteor, self._spice, self._published_rouge = meteor, spice, published_rouge

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        references = [[captions.tokenise(text) for text in references_of(sample)] for sample in samples]
        given = [captions.tokenise(said(sample.prediction or "")) for sample in samples]
        counts = np.stack([captions.bleu_statistics(text, truths) for text, truths in zip(given, references, strict=True)])
        cider = captions.cider_d(given, references)
        measures = {f"bleu{order}": Measure(counts, partial(captions.bleu, order=order)) for order in range(1, captions.MAX_ORDER + 1)}
        measures["rouge_l"] = mean_of([captions.rouge_l(text, truths) for text, truths in zip(given, references, strict=True)])
        measures["cider"] = mean_of(cider)
        details: dict[str, object] = {"tokenizer": captions.TOKENIZER, "mean_length": float(np.mean([len(text) for text in given]))}
        self._add_java(measures, details, given=given, references=references)
        lost = missing(samples)
        return Judged(
            samples=samples,
            measures=measures,
            num_missing=lost,
            num_unparsed=np.array([not text for text in given], dtype=np.int64) - lost,
            quality=cider,
            compat=self._published(samples),
            details=details,
        )

    def _published(self, samples: Sequence[Prediction]) -> dict[str, Measure]:
        if not self._published_rouge:
            return {}
        texts, references = [sample.prediction or "" for sample in samples], [references_of(sample) for sample in samples]
        return {name: mean_of(values) for name, values in published_captions.rouge_score(texts, references).items()}

    def _add_java(
        self,
        measures: dict[str, Measure],
        details: dict[str, object],
        *,
        given: Sequence[captions.Tokens],
        references: Sequence[Sequence[captions.Tokens]],
    ) -> None:
        if not (self._meteor or self._spice):
            return
        texts, truths = [" ".join(words) for words in given], [[" ".join(words) for words in group] for group in references]
        if self._meteor:
            get_logger().info("METEOR of %d captions; this takes a while.", len(texts))
            measures["meteor"] = Measure(java_captions.meteor_statistics(texts, truths), java_captions.meteor)
            details["meteor"] = java_captions.METEOR_NAME
        if self._spice:
            get_logger().info("SPICE of %d captions; this takes a while.", len(texts))
            measures["spice"] = mean_of(java_captions.spice(texts, truths))
            details["spice"] = java_captions.SPICE_NAME


@METRICS.register_module()
class OpenAnswer(Caption):
    """Open answers scored offline: ROUGE-L first, the other caption scores beside it. They compare words, not sense; a language model as
    judge (`eocore.evaluate.judge.judge`) is reported beside them, never in their place."""

    def __init__(self) -> None:
        super().__init__(headline="rouge_l")
