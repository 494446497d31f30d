"""Words for sides of the image (left, top, upper right ...) in a text, where they certainly mean sides."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from eocore.data.augmentation.compass_words import Rebuild, in_case_of
from eocore.data.augmentation.unsafe_words import UnsafeWordsError, Vector, without_harmless

SIDES: dict[str, Vector] = {"left": (0, -1), "right": (0, 1), "top": (-1, 0), "bottom": (1, 0), "upper": (-1, 0), "lower": (1, 0)}
_SIDE = "left|right|top|bottom|upper|lower"
_VERTICAL, _HORIZONTAL = "top|bottom|upper|lower", "left|right"
_WORD = re.compile(
    rf"\b(?:(?P<high>{_VERTICAL})(?P<b1>[- ]?)(?P<flat>{_HORIZONTAL})|(?P<flat2>{_HORIZONTAL})(?P<b2>[- ]?)(?P<high2>{_VERTICAL})"
    rf"|(?P<single>{_SIDE}))(?P<ending>most|(?:[- ]?hand))?\b",
    re.IGNORECASE,
)
_LONGER = re.compile(r"\b(?:left|right)(?:wards?|overs?|wing|ist)\b", re.IGNORECASE)
_NOUN = re.compile(
    r"[- ](?:side|half|portion|edge|corner|third|quadrant|border|margin|boundary|cent(?:er|re)|middle|part)s?\b", re.IGNORECASE
)
_TO_THE = re.compile(r"\b(?:on|at|in|from|towards?|near|along|to|by|off) the (?:far |extreme |very )?$", re.IGNORECASE)
_FROM_NOUN = re.compile(r"\b(?:immediately|directly|just|located|situated|lies|lie|lying|placed|found) (?:to the )?$", re.IGNORECASE)
_OF_IMAGE = re.compile(
    r" of (?:the|this|an?) (?:satellite |aerial |given |whole |entire )?(?:image|picture|scene|photo(?:graph)?|frame|view|tile|patch)\b",
    re.IGNORECASE,
)
_OF = re.compile(r" of\b", re.IGNORECASE)
_CLOSED = re.compile(
    r"(?:\s*$|\s*[.,;:!?)\]\n/]|,?\s+(?:and|or|is|are|was|were|has|have|in|there|with|near|at|on|by|from|than|which|as|while|but)\b)",
    re.IGNORECASE,
)
_CENTRE_BEFORE = re.compile(r"\b(?:cent(?:er|re)|central|middle)[- ]$", re.IGNORECASE)
_ITEM_BEFORE = re.compile(r"(?:^|\n|[A-Za-z0-9][.):]\s*|\([A-Za-z0-9]\)\s*)\s*[\"'(]?$")
_ITEM_AFTER = re.compile(r"[\"')]?\s*(?:[.]?\s*$|\n|[.,;]?\s+\(?[A-Z0-9][.):])")
_LISTED_BEFORE = re.compile(rf"\b(?:{_SIDE})(?:\s*[,/;]\s*|\s+(?:and|or)\s+|\s*,\s*(?:and|or)\s+)$", re.IGNORECASE)
_LISTED_AFTER = re.compile(rf"(?:\s*[,/;]\s*|\s+(?:and|or)\s+|\s*,\s*(?:and|or)\s+)(?:{_SIDE})\b(?! {_SIDE})", re.IGNORECASE)
_ASKS_WHERE = re.compile(r"\b(?:where|which|what)\b", re.IGNORECASE)
_PREPOSITION = re.compile(r"\b(?P<word>on|at)(?P<rest> the (?:far |extreme |very )?)$", re.IGNORECASE)


@dataclass(frozen=True)
class SideWord:
    """A word for a side: where it stands, where it points, its rebuilding, and the same where axes are exchanged; None = not safe then."""

    start: int
    end: int
    vector: Vector
    rebuild: Rebuild
    across: tuple[int, Rebuild] | None

    def turned_by_axes(self, text: str) -> tuple[int, Rebuild]:
        """Start and rebuilding where rows become columns. Raises UnsafeWordsError where no word for that is known."""
        if self.across is None:
            raise UnsafeWordsError(f"'{text[self.start : self.end + 12].strip()}' has no counterpart in a quarter turn")
        return self.across


def find_side_words(text: str, *, others: str) -> Iterator[SideWord]:
    """Each word for a side of the image.

    Args:
        text: where to look.
        others: what else the record says, which tells whether a lone "right" is a side.

    Raises:
        UnsafeWordsError: one may mean something else.
    """
    plain = without_harmless(text)
    longer = _LONGER.search(plain)
    if longer:
        raise UnsafeWordsError(f"'{longer[0]}' is no side that is known")
    for match in _WORD.finditer(plain):
        yield _compound(match) if match["single"] is None else _single(match, plain, others=others)


def _compound(match: re.Match[str]) -> SideWord:
    high, flat = match["high"] or match["high2"], match["flat"] or match["flat2"]
    between = match["b1"] if match["high"] else match["b2"]
    vector = (SIDES[high.lower()][0], SIDES[flat.lower()][1])

    def rebuild(change: Callable[[Vector], Vector]) -> str:
        down, right = change(vector)
        pair = ("upper", "lower") if high.lower() in ("upper", "lower") else ("top", "bottom")
        words = [in_case_of(pair[down > 0], high), in_case_of(("left", "right")[right > 0], flat)]
        if not match["high"]:
            words.reverse()
        return (between or "").join(words) + (match["ending"] or "")

    return SideWord(match.start(), match.end(), vector, rebuild, (match.start(), rebuild))


def _single(match: re.Match[str], text: str, *, others: str) -> SideWord:
    word, ending = match["single"], match["ending"] or ""
    before, after = text[: match.start()], text[match.end() :]
    vector = SIDES[word.lower()]
    kind = _kind_of(before, word.lower(), after=after, ending=ending.lower(), others=others)
    if not kind:
        raise UnsafeWordsError(f"'{(before[-12:] + match[0] + after[:14]).strip()}' may mean something else than a side of the image")

    def rebuild(change: Callable[[Vector], Vector]) -> str:
        turned = change(vector)
        return in_case_of(_name(turned, like=word.lower()), word) + (ending if turned[0] == 0 or "hand" not in ending.lower() else "")

    across = None if kind == "relation" else _across(match, before, rebuild=rebuild)
    return SideWord(match.start(), match.end(), vector, rebuild, across)


def _across(match: re.Match[str], before: str, *, rebuild: Rebuild) -> tuple[int, Rebuild]:
    """Start and rebuilding where axes are exchanged: "on the left" becomes "at the top"."""
    preposition = _PREPOSITION.search(before)
    if preposition is None:
        return match.start(), rebuild

    def with_preposition(change: Callable[[Vector], Vector]) -> str:
        fitting = "at" if change(SIDES[match["single"].lower()])[0] else "on"
        return in_case_of(fitting, preposition["word"]) + preposition["rest"] + rebuild(change)

    return preposition.start(), with_preposition


def _kind_of(before: str, word: str, *, after: str, ending: str, others: str) -> str:
    """How the words around tell that a side is meant: "side", or "relation" to another object; "" where they do not."""
    if ending == "most":
        return "side"
    if _NOUN.match(after):
        return "side"
    if ending:
        return ""
    if _OF.match(after):
        return _kind_before_of(before, word, after=after)
    if _TO_THE.search(before) and _CLOSED.match(after):
        return "side"
    if _CENTRE_BEFORE.search(before) and _CLOSED.match(after):
        return "side"
    listed = _LISTED_BEFORE.search(before) or _LISTED_AFTER.match(after)
    alone = _ITEM_BEFORE.search(before) and _ITEM_AFTER.match(after)
    if listed or (alone and (word != "right" or _ASKS_WHERE.search(others))):
        return "side"
    return ""


def _kind_before_of(before: str, word: str, *, after: str) -> str:
    if _OF_IMAGE.match(after):
        return "side" if _TO_THE.search(before) else ""
    if word not in ("left", "right"):
        return ""
    return "relation" if _TO_THE.search(before) or _FROM_NOUN.search(before) else ""


def _name(vector: Vector, *, like: str) -> str:
    if vector[0] == 0:
        return "left" if vector[1] < 0 else "right"
    if like in ("upper", "lower"):
        return "upper" if vector[0] < 0 else "lower"
    return "top" if vector[0] < 0 else "bottom"
