"""METEOR 1.5 and SPICE: Java programs, driven through the package pycocoevalcap (extra `java`)."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eocore.errors import ConfigError

METEOR_NAME = "meteor_java_1.5"
METEOR_COUNTS = 23
METEOR_RECALL, METEOR_FRAGMENTS, METEOR_PENALTY, METEOR_CONTENT = 0.85, 0.2, 0.6, 0.75
"""alpha, beta, gamma and delta for English. Source: Denkowski and Lavie 2014, ranking task."""
METEOR_MATCHES = (1.0, 0.6, 0.8, 0.6)
"""Weight of a word matched as it is, by stem, by synonym, by paraphrase. Source: the same."""

SPICE_NAME = "spice_java"
SPICE_PARSER = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
"""Parser and its models, which the package does not bring. Source: pycocoevalcap 1.2, spice/get_stanford_models.py."""


def java_is_there() -> bool:
    """Whether a `java` program is on the PATH."""
    return shutil.which("java") is not None


def meteor_statistics(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """(N, METEOR_COUNTS) what METEOR counts of each caption with the reference that fits best, to be summed over a set.

    Args:
        candidates: N texts as `tokenise` leaves them, joined by spaces.
        references: texts of each caption, likewise.

    Raises:
        ConfigError: `java` or pycocoevalcap is not there.
    """
    _require_java("METEOR")
    from pycocoevalcap.meteor.meteor import Meteor

    program = Meteor()
    rows = [program._stat(candidate, list(texts)).split() for candidate, texts in zip(candidates, references, strict=True)]
    counts = np.array(rows, dtype=np.float64)
    one_chunk_is_all = (counts[:, 20] == 1) & (counts[:, 21:23] == counts[:, 0:2]).all(axis=1)
    counts[one_chunk_is_all, 20] = 0.0  # a caption matched as one whole is not fragmented, alone or in a sum
    return counts


def meteor(statistics: np.ndarray) -> np.ndarray:
    """(...) METEOR 1.5 for English [0..1] from (..., METEOR_COUNTS) summed counts; 0 where nothing matches.

    Harmonic mean of precision and recall, weighed by kind of match and of word, less the penalty for matches in many chunks. Source:
    Denkowski and Lavie 2014.
    """
    length, function = statistics[..., 0:2], statistics[..., 2:4]  # of the caption, of the reference
    stages = statistics[..., 4:20].reshape(*statistics.shape[:-1], 4, 2, 2)  # kind of match; content or function; caption or reference
    matched = METEOR_CONTENT * stages[..., 0, :] + (1 - METEOR_CONTENT) * stages[..., 1, :]
    found = (np.array(METEOR_MATCHES)[:, None] * matched).sum(axis=-2)
    whole = METEOR_CONTENT * (length - function) + (1 - METEOR_CONTENT) * function
    fraction = np.divide(found, whole, out=np.zeros_like(found), where=whole > 0)
    precision, recall = fraction[..., 0], fraction[..., 1]
    under = METEOR_RECALL * precision + (1 - METEOR_RECALL) * recall
    mean = np.divide(precision * recall, under, out=np.zeros_like(under), where=under > 0)
    chunks, words = statistics[..., 20], statistics[..., 21:23]
    fragments = np.divide(chunks, words.mean(axis=-1), out=np.zeros_like(chunks), where=words.mean(axis=-1) > 0)
    return np.asarray(mean * (1.0 - METEOR_PENALTY * fragments**METEOR_FRAGMENTS))


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """(N,) SPICE [0..1] of N captions; the score of a set is the mean. Source: Anderson et al. 2016.

    Arguments as of `meteor_statistics`.

    Raises:
        ConfigError: as `meteor_statistics`, or the parser is not there.
    """
    _require_java("SPICE")
    _require_parser()
    from pycocoevalcap.spice.spice import Spice

    _, each = Spice().compute_score(*_as_coco(candidates, references))
    return np.array([scores["All"]["f"] for scores in each], dtype=np.float64)


def _as_coco(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    return dict(enumerate(map(list, references))), {index: [text] for index, text in enumerate(candidates)}


def _require_java(metric: str) -> None:
    try:
        import pycocoevalcap  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"{metric} needs the package pycocoevalcap. Install the extra: pip install 'eocore-earthmind[java]'.") from error
    if not java_is_there():
        raise ConfigError(f"{metric} needs a Java runtime, but no `java` is on the PATH. Install one, or leave {metric} out.")


def _require_parser() -> None:
    """Nothing; raises ConfigError where the parser is absent, which pycocoevalcap would fetch over plain HTTP and run unchecked."""
    import pycocoevalcap

    folder = Path(str(pycocoevalcap.__file__)).parent / "spice" / "lib"
    absent = [name for name in SPICE_PARSER if not (folder / name).is_file()]
    if absent:
        raise ConfigError(
            f"SPICE needs Stanford CoreNLP 3.6.0, but {folder} has no {' and no '.join(absent)}. Fetch "
            "stanford-corenlp-full-2015-12-09.zip from nlp.stanford.edu/software and put these files of it there, or leave SPICE out."
        )
