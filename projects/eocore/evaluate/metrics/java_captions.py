"""METEOR 1.5 and SPICE: Java programs, driven through the package pycocoevalcap (extra `java`)."""

import shutil
from collections.abc import Sequence

import numpy as np

from eocore.errors import ConfigError

METEOR_NAME = "meteor_java_1.5"
SPICE_NAME = "spice_java"


def java_is_there() -> bool:
    """Whether a `java` program is on the PATH."""
    return shutil.which("java") is not None


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, np.ndarray]:
    """METEOR 1.5 [0..1] of the whole set, from its summed counts, and (N,) of each caption. Source: Denkowski and Lavie 2014.

    Args:
        candidates: N texts as `tokenise` leaves them, joined by blanks.
        references: texts of each caption, likewise.

    Raises:
        ConfigError: `java` or pycocoevalcap is not there.
    """
    _require_java("METEOR")
    from pycocoevalcap.meteor.meteor import Meteor

    whole, each = Meteor().compute_score(*_as_coco(candidates, references))
    return float(whole), np.array(each, dtype=np.float64)


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """(N,) SPICE [0..1] of N captions; the score of a set is the mean. Source: Anderson et al. 2016.

    The first call of pycocoevalcap downloads the Stanford CoreNLP models. Arguments and errors as of `meteor`.
    """
    _require_java("SPICE")
    from pycocoevalcap.spice.spice import Spice

    _, each = Spice().compute_score(*_as_coco(candidates, references))
    return np.array([scores["All"]["f"] for scores in each], dtype=np.float64)


def _as_coco(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    return dict(enumerate(map(list, references))), {place: [text] for place, text in enumerate(candidates)}


def _require_java(metric: str) -> None:
    try:
        import pycocoevalcap  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"{metric} needs the package pycocoevalcap. Install the extra: pip install 'eocore-earthmind[java]'.") from error
    if not java_is_there():
        raise ConfigError(f"{metric} needs a Java runtime, but no `java` is on the PATH. Install one, or leave {metric} out.")
