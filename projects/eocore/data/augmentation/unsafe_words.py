"""Words that a flip, turn or crop would make wrong, or that may mean something else than a direction in the image."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from eocore.sensors.orientation import Turn

Vector = tuple[int, int]
"""(down, right), each -1, 0 or 1."""
UP: Vector = (-1, 0)


class UnsafeWordsError(Exception):
    """Words cannot be changed safely; says which. The record then stays as it is."""


def turned_vector(vector: Vector, turn: Turn) -> Vector:
    """Where a direction (down, right) points after the turn."""
    down, right = (vector[1], vector[0]) if turn.transpose else vector
    return (-down if turn.reverse_rows else down), (-right if turn.reverse_cols else right)


def is_mirrored(turn: Turn) -> bool:
    """Whether the turn is none that a sheet of paper could make."""
    return (turn.transpose + turn.reverse_rows + turn.reverse_cols) % 2 == 1


@dataclass(frozen=True)
class _Trigger:
    """Words, why they are unsafe, and for which turns; None = for all, and for crops."""

    words: re.Pattern[str]
    reason: str
    applies: Callable[[Turn], bool] | None = None


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(words, re.IGNORECASE)


_HARMLESS = _pattern(
    r"\btop[- ]down\b|\btop[- ]view\b|\bon top of\b|\bfrom above\b|\bbuilt[- ]up\b|\bmade up\b|\bup to\b|\bclose[- ]up\b|\blower than\b"
)
"""Phrases whose words say nothing of a direction in the image."""
_TRIGGERS = (
    _Trigger(
        _pattern(r"\b(?:above|below|beneath|underneath|up|down|upwards?|downwards?|upside)\b"),
        "may mean a direction in the image, a height or a number",
        lambda turn: turned_vector(UP, turn) != UP,
    ),
    _Trigger(_pattern(r"\b(?:counter|anti)?-?clockwise\b|\bleft-handed\b|\bright-handed\b"), "changes in a mirror", is_mirrored),
    _Trigger(_pattern(r"\bcolumns?\b"), "may be those of the image", lambda turn: turn.transpose),
    _Trigger(
        _pattern(
            r"\b(?:first|second|third|fourth|fifth|sixth|last|middle|\d+(?:st|nd|rd|th))[ -](?:rows?|columns?|quadrants?)\b"
            r"|\b(?:rows?|columns?) (?:\d+|number)\b"
        ),
        "counts from a side of the image",
    ),
    _Trigger(
        _pattern(r"\b(?:letters?|written|writing|inscription|spell(?:ed|s)?|logos?|number plates?|digits?)\b"), "may be read in the image"
    ),
    _Trigger(
        _pattern(
            r"\b(?:latitudes?|longitudes?|hemisphere|azimuth|bearings?|headings?|coordinates?|compass|degrees?|o'clock|north[- ]arrow"
            r"|north[- ]up|(?:true|magnetic) north|north is (?:up|at the top))\b|\u00b0"
        ),
        "is measured on the ground or in the image",
    ),
    _Trigger(
        _pattern(
            r"[\u5317\u5357\u4e1c\u6771\u897f\u5de6\u53f3\u4e0a\u4e0b]|\b(?:nord|norte|s\u00fcd|sud|gauche|droite|haut|links|rechts|oben|unten"
            r"|izquierda|derecha|arriba|abajo|oeste|ouest)\b"
        ),
        "is a direction in another language than English",
    ),
    _Trigger(re.compile(r"\b(?:[NSW]|[NS][NS][EW]|[EW][NS][EW])\b"), "may be a direction, a name or an abbreviation"),
    _Trigger(_pattern(r"\bmid-?west(?:ern)?\b|\bmid-?east\b"), "may be a name"),
)
_ABOUT_SIZE_OR_NUMBER = _pattern(
    r"\b(?:pixels?|px)\b",
)
_ORDER = _pattern(
    r"\b(?:only|single|sole|most|least"
    r"|(?:bigg|bright|clos|dark|deep|dens|farth|few|furth|great|high|larg|long|low|narrow|near|new|old|short|small|steep|tall|thick|thin|wid)est"
    r"|first|second|third|fourth|fifth|last|next|one|two|three|four|five|six|seven|eight|nine|\d+"
    r"|cent(?:er|re)|central|middle|all|every|each|entire|whole)\b"
)


def check_turn_words(text: str, turn: Turn) -> None:
    """Raise UnsafeWordsError if a text holds words that are no known direction and that the turn would make wrong."""
    plain = _HARMLESS.sub(" ", text)
    for trigger in _TRIGGERS:
        found = trigger.words.search(plain)
        if found and (trigger.applies is None or trigger.applies(turn)):
            raise UnsafeWordsError(f"'{found[0]}' {trigger.reason}")


def check_crop_words(text: str) -> None:
    """Raise UnsafeWordsError if a text counts from a side of the image, or says what may be read in it."""
    plain = _HARMLESS.sub(" ", text)
    for trigger in _TRIGGERS:
        found = trigger.words.search(plain) if trigger.applies is None else None
        if found:
            raise UnsafeWordsError(f"'{found[0]}' {trigger.reason}")
    check_resize_words(text)


def check_resize_words(text: str) -> None:
    """Raise UnsafeWordsError if a text counts pixels."""
    found = _ABOUT_SIZE_OR_NUMBER.search(text)
    if found:
        raise UnsafeWordsError(f"'{found[0]}' counts pixels, which change")


def find_order(text: str) -> str:
    """A word by which an object is told from others, such as "largest" or "second"; "" where there is none."""
    found = _ORDER.search(text)
    return found[0] if found else ""


def without_harmless(text: str) -> str:
    """The text with phrases blanked out that hold such words but no direction; positions stay."""
    return _HARMLESS.sub(lambda found: "." * len(found[0]), text)
