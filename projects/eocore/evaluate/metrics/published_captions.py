"""ROUGE as GeoChat and EarthDial print it: the package rouge-score (extra `eval`), with stemming, which is not COCO's ROUGE-L."""

from collections.abc import Sequence

import numpy as np

from eocore.errors import ConfigError

KINDS = ("rouge1", "rougeL")


def rouge_score(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """Name -> (N,) F1 [0..1] of unigrams and of the longest common subsequence: mean and maximum over the references of each caption.

    Args:
        candidates: N texts.
        references: texts of each caption.

    Raises:
        ConfigError: the package rouge-score is not there.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError as error:
        raise ConfigError(
            "published ROUGE needs the package rouge-score. Install the extra: pip install 'eocore-earthmind[eval]'."
        ) from error
    scorer = RougeScorer(KINDS, use_stemmer=True)
    found: dict[str, list[float]] = {}
    for candidate, texts in zip(candidates, references, strict=True):
        scores = [scorer.score(text, candidate) for text in texts]
        for kind in KINDS:
            values = [score[kind].fmeasure for score in scores]
            found.setdefault(f"{kind.lower()}_stemmed_mean", []).append(float(np.mean(values)))
            found.setdefault(f"{kind.lower()}_stemmed_max", []).append(max(values))
    return {name: np.array(values) for name, values in found.items()}
