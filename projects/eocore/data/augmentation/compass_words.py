"""Words for compass directions in a text: where they stand, where they point, what they become."""

import re
from collections.abc import Callable, Iterator

from eocore.data.augmentation.unsafe_words import UnsafeWordsError, Vector

COMPASS: dict[str, Vector] = {"north": (-1, 0), "south": (1, 0), "west": (0, -1), "east": (0, 1)}
_STEM = "north|south|east|west"
_WORD = re.compile(
    rf"\b(?P<first>{_STEM})(?:(?P<between>[- ]?)(?P<second>{_STEM}))?(?P<ending>ernmost|ern|erly|wards?|bound)?(?![a-z])", re.IGNORECASE
)
_SHORT = re.compile(r"\b[NS][EW]\b")
_STEMMED = re.compile(rf"\b(?:north|south|west|east(?=[a-z]))\w*|\b(?:{_STEM})-(?:{_STEM})-(?:{_STEM})\w*", re.IGNORECASE)
_NAMED_BEFORE = re.compile(r"\b(?:middle|far|near|wild|key|old|deep)[- ]$", re.IGNORECASE)
_NAMED_AFTER = re.compile(
    r"[- ](?:streets?|st|roads?|rd|avenues?|ave|boulevard|drive|lane|square|station|highway|korean?|african?|american?|carolina|dakota"
    r"|sudan|macedonia|ireland|islands?|sea|pole|bank|virginia|germany|german|asian?|europe(?:an)?|timor|territory|coast of [a-z]+ia)\b",
    re.IGNORECASE,
)
_CAPITAL_AFTER = re.compile(rf" (?:of )?(?!(?i:{_STEM}))[A-Z][a-z]")
_BEGINNING = re.compile(r"(?:^|[.!?:;\n\"'(\[)\]])\s*$")
_LISTED_BEFORE = re.compile(rf"\b(?:{_STEM})(?:ern)?(?:\s*[,/;-]\s*|\s+(?:and|or|to)\s+|\s*,\s*(?:and|or)\s+)$", re.IGNORECASE)
_IMAGE_AFTER = re.compile(r" (?:of the (?:image|picture|scene|photo)|side|part|half|corner|edge)", re.IGNORECASE)

Rebuild = Callable[[Callable[[Vector], Vector]], str]
"""The word for what a function makes of its direction."""


def find_compass_words(text: str) -> Iterator[tuple[int, int, Vector, Rebuild]]:
    """(start, end, direction, rebuilding) of each compass word.

    Raises:
        UnsafeWordsError: one may be part of a name, or is of a form that is not known.
    """
    found = {match.start(): match for match in _WORD.finditer(text)}
    for stemmed in _STEMMED.finditer(text):
        known = next((match for match in found.values() if match.start() <= stemmed.start() and stemmed.end() <= match.end()), None)
        if known is None:
            raise UnsafeWordsError(f"'{stemmed[0]}' may be a name")
    for match in found.values():
        _check_no_name(text, match)
        yield match.start(), match.end(), _vector(match), _rebuilding(match)
    for match in _SHORT.finditer(text):
        yield match.start(), match.end(), _short_vector(match[0]), _short_rebuilding(match[0])


def _check_no_name(text: str, match: re.Match[str]) -> None:
    before, after, word = text[: match.start()], text[match.end() :], match[0]
    first, second = match["first"].lower(), (match["second"] or "").lower()
    if first == second:
        raise UnsafeWordsError(f"'{word}' is no direction that is known")
    is_axis = bool(second) and _vector(match) == (0, 0)  # "north-south road"
    named = _NAMED_BEFORE.search(before) or (_NAMED_AFTER.match(after) and not is_axis) or _CAPITAL_AFTER.match(after)
    capital = word[0].isupper() and not _BEGINNING.search(before) and not _LISTED_BEFORE.search(before) and not _IMAGE_AFTER.match(after)
    if named or capital:
        raise UnsafeWordsError(f"'{(before[-12:] + word + after[:14]).strip()}' may be a name")


def _vector(match: re.Match[str]) -> Vector:
    first = COMPASS[match["first"].lower()]
    second = COMPASS[match["second"].lower()] if match["second"] else (0, 0)
    return first[0] + second[0], first[1] + second[1]


def _short_vector(word: str) -> Vector:
    return (-1 if word[0] == "N" else 1), (-1 if word[1] == "W" else 1)


def _rebuilding(match: re.Match[str]) -> Rebuild:
    def rebuild(change: Callable[[Vector], Vector]) -> str:
        stems = [change(COMPASS[match[name].lower()]) for name in ("first", "second") if match[name]]
        is_axis = len(stems) == 2 and stems[0][0] * stems[1][0] + stems[0][1] * stems[1][1] != 0
        if len(stems) == 2 and not is_axis:
            stems.sort(key=lambda vector: vector[0] == 0)  # north or south comes first
        names = [next(name for name, vector in COMPASS.items() if vector == stem) for stem in stems]
        cased = [in_case_of(name, like) for name, like in zip(names, (match["first"], match["second"]), strict=False)]
        ending = match["ending"] or ""
        return (match["between"] or "").join(cased) + ending

    return rebuild


def _short_rebuilding(word: str) -> Rebuild:
    def rebuild(change: Callable[[Vector], Vector]) -> str:
        down, right = change(_short_vector(word))
        return ("N" if down < 0 else "S") + ("W" if right < 0 else "E")

    return rebuild


def in_case_of(word: str, like: str) -> str:
    """The word in upper case, capitalised or as it is, as another is written."""
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word
