"""Questions with candidates, of which one is the answer."""

from eocore.data.formats.entries import Entry, shorten
from eocore.errors import AnnotationError


def read_candidates(entry: Entry, key: str, *, answer: str) -> list[str]:
    """The candidates of a multiple-choice question.

    Args:
        entry: of the annotation file.
        key: field of the candidates, a list of texts.
        answer: the right one, in any case and with any white space around it.

    Raises:
        AnnotationError: the field is no list of texts, a candidate is duplicated, or the answer is none of them.
    """
    candidates = entry.items(key)
    if not all(isinstance(candidate, str) and candidate.strip() for candidate in candidates):
        raise AnnotationError(f"{entry.source}: field '{key}' must be a list of texts, found {shorten(candidates)}.")
    plain = [candidate.strip().casefold() for candidate in candidates]
    if len(set(plain)) < len(plain):
        raise AnnotationError(f"{entry.source}: a candidate is duplicated in {candidates!r}; the right one could not be told. Correct it.")
    if answer.strip().casefold() not in plain:
        raise AnnotationError(f"{entry.source}: answer '{answer}' is none of {candidates!r}; no reply could be right. Correct it.")
    return candidates
