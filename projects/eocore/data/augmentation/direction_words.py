"""Directions in a text: found, and changed with the image."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from eocore.data.augmentation.compass_words import find_compass_words
from eocore.data.augmentation.side_words import find_side_words
from eocore.data.augmentation.unsafe_words import Vector, check_turn_words, turned_vector
from eocore.sensors.orientation import Turn

_MAY_MATTER = re.compile(r"north|south|east|west|left|right|top|bottom|upper|lower|horizontal|vertical|\b[NS][EW]\b", re.IGNORECASE)
_AXIS = re.compile(r"\b(horizontal|vertical)(?=ly\b|\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Direction:
    """A direction word of a text.

    Attributes:
        word: as it stands there.
        vector: (down, right) that it points to; (0, 0) of an axis such as "north-south".
    """

    word: str
    vector: Vector


def find_directions(text: str, *, others: str = "") -> list[Direction]:
    """The direction words of a text.

    Args:
        text: where to look.
        others: what else the record says.

    Raises:
        UnsafeWordsError: a word may be a direction or something else.
    """
    if not _MAY_MATTER.search(text):
        return []
    found = [Direction(text[start:end], vector) for start, end, vector, _ in find_compass_words(text)]
    return found + [Direction(text[side.start : side.end], side.vector) for side in find_side_words(text, others=others)]


def turn_words(text: str, turn: Turn, *, others: str = "") -> str:
    """The text as it is true of the turned image; capitals stay.

    Args:
        text: what is said of the image.
        turn: of the image.
        others: what else the record says.

    Raises:
        UnsafeWordsError: a word may be a direction or something else, or has no counterpart.
    """
    if not turn:
        return text
    check_turn_words(text, turn)
    if not _MAY_MATTER.search(text):
        return text

    def change(vector: Vector) -> Vector:
        return turned_vector(vector, turn)

    edits = [(start, end, rebuild(change)) for start, end, _, rebuild in find_compass_words(text)]
    edits += _side_edits(text, turn, change=change, others=others)
    if turn.transpose:
        edits += [(found.start(), found.end(), _other_axis(found[0])) for found in _AXIS.finditer(text)]
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _side_edits(text: str, turn: Turn, *, change: Callable[[Vector], Vector], others: str) -> list[tuple[int, int, str]]:
    edits = []
    for side in find_side_words(text, others=others):
        start, rebuild = side.start, side.rebuild
        if turn.transpose:
            start, rebuild = side.turned_by_axes(text)
        edits.append((start, side.end, rebuild(change)))
    return edits


def _other_axis(word: str) -> str:
    other = "vertical" if word.lower() == "horizontal" else "horizontal"
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
