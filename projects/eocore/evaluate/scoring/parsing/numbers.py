"""Numbers in answers and annotations: digits, words, thousands marks, signs, powers of ten, units."""

import math
import re
import unicodedata
from dataclasses import dataclass

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: index for index, word in enumerate(_SMALL)} | {word: 10 * index for index, word in enumerate(_TENS, start=2)}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000}
_WORD = "|".join(sorted((*_VALUES, *_SCALES), key=len, reverse=True))
_A = rf"(?:an?\s+(?=(?:{'|'.join(_SCALES)})\b))?"
_IN_WORDS = re.compile(rf"(?<![\w-])(?:half\s+)?{_A}(?:{_WORD})(?:(?:\s+and\s+|[\s-]+)(?:{_WORD}))*(?![\w-])")

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,3}(?:'\d{3})+(?!\d)|\d{1,3}(?: \d{3})+(?! ?\d)|\d+)"
_NUMBER = re.compile(
    r"(?<![\w.^/\u2044])(?<![a-z]-)(?<!\d:)(?:(?<![\w)\]}])[-+])?"
    rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)(?:e[-+]?\d{{1,3}})?(?!\d)(?!\.\d)(?!:\d)"
)
UNITS = {
    "%": "%", "percent": "%", "per cent": "%", "m": "m", "meter": "m", "meters": "m", "metre": "m", "metres": "m",
    "km": "km", "kilometers": "km", "kilometres": "km", "cm": "cm", "m2": "m2", "sqm": "m2", "square meters": "m2", "square metres": "m2",
    "km2": "km2", "square kilometers": "km2", "square kilometres": "km2", "ha": "ha", "hectare": "ha", "hectares": "ha",
    "px": "px", "pixel": "px", "pixels": "px",
}  # fmt: skip
_UNIT = re.compile(rf"\s*({'|'.join(sorted(map(re.escape, UNITS), key=len, reverse=True))})(?!\w)")
_NEARLY = r"(?:about |around |approximately |exactly |only |a total of )?"
_ABOUT = re.compile(
    r"^(?:(?:about|around|approximately|approx|roughly|nearly|almost|circa|ca|exactly|only|~|=|there (?:are|is)|number|answer|count)\b"
    r"[:.\s]*|[~=:\s]+)+"
)
_CUE = re.compile(rf"\b(?:answer|total|count|number)(?:\s+(?:number|count|of\s+[\w ]{{1,40}}?)){{0,2}}\s*(?:is|are|:|=|of)+[\s:]*{_NEARLY}")
_THERE = re.compile(
    r"^(?:yes,?\s+)?(?:there (?:are|is|were|appear to be)|i (?:can )?(?:see|count)|the image (?:shows|contains|has))\s+" + _NEARLY
)
_LIST_GOES_ON = re.compile(
    r"(?!\s*or so\b)\s*(?:(?:-|\u2013|\u2014|/|~|to\b|or\b|\u5230|\u81f3|\u6216)\s*[-+]?\d"
    r"|(?:or|to|and)\s+(?:maybe |perhaps )?[\w-]+\s*(?:$|[.,])"
    r"|,?\s*(?:maybe|perhaps|possibly|or)\b|,\s*\d+\s*(?:$|[.,]|or\b|and\b))"
)
"""A range or another guess beside a number."""
_AND_OTHERS = re.compile(rf"(?:\s+(?!of\b)[a-z-]+){{1,3}},?\s+and\s+(?:\d+|(?:{_WORD})\b)(?!\s+of\b)")
"""The count of something else that stands beside a number as its equal: "2 ships and 3 planes"."""
_OTHER_GUESS = re.compile(rf"(?:\s+[a-z-]+){{0,3}},?\s*\(?(?:or|maybe|perhaps|possibly)\s+(?:maybe |perhaps |even )?(?:\d|(?:{_WORD})\b)")
_BOUND_BEFORE = re.compile(
    r"(?:\b(?:(?:more|fewer|less|greater|larger|higher|lower|smaller) than(?: or equal to)?|at (?:least|most)|over|under|above|below|beyond"
    r"|exceed(?:s|ing)?|up to|upwards of|minus|negative|not|(?:minimum|maximum) of)|[<>\u00b1\u2264\u2265]=?"
    rf"|(?:\d|\b(?:{_WORD}))\s*(?:\bor|\bto|/|~|\u2013|-)(?: maybe| perhaps)?"
    r"|\u8d85\u8fc7|\u81f3\u5c11|\u6700\u591a|\u5927\u4e8e|\u5c0f\u4e8e|\u4e0d\u5230)\s*(?:(?:about|around|approximately)\s+)?$"
)
_BOUND_BEHIND = re.compile(
    r"\s*(?:\+/-|\+(?!\s*\d)|\u00b1|-?ish\b|plus\b|(?:[a-z]+\s+)?(?:or|and) (?:more|fewer|less|above|over|below|under)\b)"
)
"""Beside a number they make it a bound ("more than 10", "10+", ">10"), or another number: none is stated."""
_TOTAL_BEHIND = re.compile(r"(?:\s+[a-z-]+){0,2}\s+(?:in total|total|altogether|overall|in all)\b")
_TOTAL_CUE = re.compile(
    rf"(?:=|\b(?:so|thus|hence|therefore|in total|altogether|overall|total(?:s|ing)?(?: of)?)\b[,:]?)\s*(?:there (?:are|is)\s+)?{_NEARLY}"
)
_SAID_ANYWHERE = re.compile(rf"\bthere (?:are|is|were)\s+{_NEARLY}")
_LIST_MARK = re.compile(r"^[ \t]*(\d{1,2})[.)][ \t]+(?=[^\W\d_])", re.MULTILINE)
_ASKED = re.compile(
    r"\b(?:how many|number of|count(?: of)?|amount of)\s+(?:the |all |all the )?((?:[\w-]+\s+){0,3}?[\w-]+)"
    r"(?=\s*(?:[?.,;:\n]|$|\b(?:are|is|were|can|do|does|did|in|on|at|within|that|which|there|visible|present|shown|you)\b))"
)
_BEHIND_NUMBER = re.compile(r"(?:\s+(?!and\b|or\b|but\b)[a-z-]+){0,4}")
_NONE = re.compile(r"(?:none|nil|no (?!way|idea|answer|doubt|information|number)[\w-]+(?: [\w-]+){0,3})")
_THERE_IS_NONE = re.compile(
    r"\b(?:there (?:are|is|were) (?:no|not any)|there (?:are|is|were)n't any"
    r"|(?:do not|don't|cannot|can't|can not|could not|couldn't) (?:see|find|detect|identify|observe|spot) any"
    r"|(?:contains?|shows?|has|have|see|count|detect|find) no|(?:\band|\bbut|,|^) ?no)"
    r" (?!way|idea|answer|doubt|information|number|more|less|fewer|of\b)((?:[a-z-]+ ){0,3}?[a-z-]+)"
    r"(?= (?:in|on|at|is|are|was|were|visible|present|here"
    r"|but|and|that)\b|\s*[.,;:!?\n]|$)"
)
_SUPERSCRIPT = re.compile(r"(?<=\d)[\u00b2\u00b3\u00b9\u2070-\u2079]+")
_SCRIPT_CHANGES = re.compile(r"(?<=[\u3040-\u9fff])(?=\d)|(?<=\d)(?=[\u3040-\u9fff])")
_SCALE_BEHIND = re.compile(rf"\s*({'|'.join(_SCALES)})\b")
_FAR = 1e15
"""Beyond it whole numbers are not exact as float; an answer of that size is no count."""


@dataclass(frozen=True)
class Number:
    """A number read: `value` in `unit` (one of the values of `UNITS`, "" where none is written)."""

    value: float
    unit: str = ""

    def equals(self, other: "Number") -> bool:
        """Equal values (to float precision), and units that are equal or not both stated."""
        alike = math.isclose(self.value, other.value, rel_tol=1e-9, abs_tol=1e-12)
        return alike and (self.unit == other.unit or not self.unit or not other.unit)


@dataclass(frozen=True)
class _Found:
    number: Number
    start: int
    end: int
    is_one: bool = False


def read_number(text: str) -> Number | None:
    """The number that a text is, nothing beside it but a unit, "about" and punctuation: "2", "2.0", "1,200", "twenty-one", "3.5 km\u00b2".

    A space or an apostrophe before groups of three digits parts thousands like a comma; a point is the decimal point. Ranges, fractions,
    ordinals and "1,5" are no number.
    """
    lowered = _lowered(text).strip(" \t\n\"'`*").rstrip(" .!?;:\"'`*")
    rest = _ABOUT.sub("", lowered)
    found = _all_numbers(rest)
    if len(found) != 1 or rest[: found[0].start].strip() or rest[found[0].end :].strip(" .!?)"):
        return None
    return found[0].number


def find_number(text: str, question: str = "") -> Number | None:
    """The number that an answer states in a sentence: the only one in it, the one of what is counted in the question, or the one after "the
    answer is", "total", "there are", or at its very beginning ("10 ships, 3 of them large"). "None" and "there are no ships" are 0.

    Args:
        text: the answer.
        question: where it is known; "How many planes are there?" tells which number of "2 ships and 3 planes" is meant.

    Returns:
        None where there is no number, several of which none stands at such a position ("2 or 3", "10-20", "2 ships and 3 planes"), or a
        bound ("more than 10", "at least 3", "10+").
    """
    whole = read_number(text)
    if whole is not None:
        return whole
    lowered = _without_list_marks(_lowered(text).strip())
    found, denied = _all_numbers(lowered), _THERE_IS_NONE.search(lowered)
    if not found:
        bare = lowered.strip(" .!\"'`*")
        return Number(0.0) if _NONE.fullmatch(bare) or denied else None
    if denied and denied.start() > found[0].start:
        denied = None
    digits = [item for item in found if not item.is_one] or found
    values = {(item.number.value, item.number.unit) for item in digits}
    if len(values) == 1 and (denied is None or values == {(0.0, "")}) and not _is_unsure(lowered, digits[0]):
        return digits[0].number
    return _of_what_is_asked(lowered, found, question=_lowered(question)) or _at_a_cue(lowered, found, is_denied=denied is not None)


def _without_list_marks(lowered: str) -> str:
    """The text without the marks "1.", "2." of a list, which count its lines."""
    marks = [int(match[1]) for match in _LIST_MARK.finditer(lowered)]
    return _LIST_MARK.sub("", lowered) if len(marks) > 1 and marks == list(range(1, len(marks) + 1)) else lowered


def _of_what_is_asked(lowered: str, found: list[_Found], *, question: str) -> Number | None:
    """The number before what the question counts ("3 planes" of "2 ships and 3 planes"); None where there is none, or several."""
    asked = _ASKED.search(question)
    if asked is None:
        return None
    noun = _stem(asked[1].split()[-1])
    counts = {item.number for item in found if noun in _words(_BEHIND_NUMBER.match(lowered, item.end)) and not _is_open(lowered, item)}
    counts |= {Number(0.0) for match in _THERE_IS_NONE.finditer(lowered) if noun in map(_stem, match[1].split())}
    return next(iter(counts)) if len(counts) == 1 else None


def _words(match: re.Match[str] | None) -> set[str]:
    return {_stem(word) for word in match[0].split()} if match else set()


def _stem(word: str) -> str:
    """A noun without the ending of its plural."""
    return re.sub(r"(?:(?<=s|x|z)es|(?<=ch|sh)es|s)$", "", word) if len(word) > 3 else word


def _at_a_cue(lowered: str, found: list[_Found], *, is_denied: bool) -> Number | None:
    """The number directly behind a phrase that announces it, or at the beginning; None where that is a list, a range or a bound.

    Args:
        lowered: the answer.
        found: its numbers.
        is_denied: it also says that there is none of something, so a number at its beginning may be of anything.
    """
    by_start = {item.start: item for item in found}
    totals = [item.start for item in found if _TOTAL_BEHIND.match(lowered, item.end)]
    cued = [[match.end() for match in cue.finditer(lowered)] for cue in (_CUE, _TOTAL_CUE)]
    begin = _THERE.match(lowered)
    said = [match.end() for match in _SAID_ANYWHERE.finditer(lowered)]
    first = [] if is_denied else [[begin.end()] if begin else [], [0]]
    for positions in (cued[0], [*totals, *cued[1]], *first, said):
        items = [by_start[index] for index in positions if index in by_start]
        if len({item.number.value for item in items}) == 1:
            return None if _is_unsure(lowered, items[0]) else items[0].number
    return None


def _is_unsure(lowered: str, item: _Found) -> bool:
    return _AND_OTHERS.match(lowered, item.end) is not None or _is_open(lowered, item)


def _is_open(lowered: str, item: _Found) -> bool:
    """Whether a number is one of a range, one guess of several, or a bound."""
    before = lowered[max(0, item.start - 60) : item.start]
    behind = (pattern.match(lowered, item.end) for pattern in (_LIST_GOES_ON, _OTHER_GUESS, _BOUND_BEHIND))
    return _BOUND_BEFORE.search(before) is not None or any(behind)


def replace_number_words(text: str) -> str:
    """The text, in lower case, with numbers in words as digits: "twenty-one ships" -> "21 ships"."""

    def digits(match: re.Match[str]) -> str:
        value = _of_words(match[0])
        return match[0] if value is None else f"{value:g}" if value < 1e6 else str(int(value))

    return _IN_WORDS.sub(digits, text.casefold())


def _lowered(text: str) -> str:
    spelt = _SUPERSCRIPT.sub(lambda match: f"^{match[0]}", text.replace("\u2212", "-").replace("\u2019", "'"))
    return _SCRIPT_CHANGES.sub(" ", unicodedata.normalize("NFKC", spelt).casefold())


def _all_numbers(lowered: str) -> list[_Found]:
    """Every number, in order; one directly followed by letters that are no unit ("2nd", "3d") or part of a power or fraction is none."""
    found = []
    for match in _NUMBER.finditer(lowered):
        scale = _SCALE_BEHIND.match(lowered, match.end())
        end = scale.end() if scale else match.end()
        unit = _UNIT.match(lowered, end)
        if not unit and re.match(r"[a-z_^]|\s*[/\u2044]\s*\d", lowered[end : end + 4]):
            continue
        value = float(re.sub(r"[,' ]", "", match[0])) * (_SCALES[scale[1]] if scale else 1)
        if math.isfinite(value) and abs(value) < _FAR:
            number = Number(value, UNITS[unit[1]] if unit else "")
            found.append(_Found(number, match.start(), unit.end() if unit else end))
    taken = [item.end for item in found]
    for match in _IN_WORDS.finditer(lowered):
        value_of_words = _of_words(match[0])
        if value_of_words is not None and match.end() not in taken:
            found.append(_with_unit(lowered, match, value=value_of_words))
    return sorted(found, key=lambda item: item.start)


def _with_unit(lowered: str, match: re.Match[str], *, value: float) -> _Found:
    unit = _UNIT.match(lowered, match.end())
    number = Number(value, UNITS[unit[1]] if unit else "")
    return _Found(number, match.start(), unit.end() if unit else match.end(), is_one=match[0] == "one")


def _of_words(text: str) -> float | None:
    """The value of a run of number words; None where they are no one number ("two three", "one and two")."""
    words = text.replace("-", " ").split()
    factor = 0.5 if words[0] == "half" else 1.0
    words = [word for word in words if word != "half"]
    total, group, previous = 0, 0, ""
    for word in words:
        if word in ("a", "an"):
            group = 1
        elif word == "and":
            if previous not in _SCALES:
                return None
        elif word in _SCALES:
            if previous == "" or previous in ("a", "an"):
                group = 1
            group *= _SCALES[word]
            if _SCALES[word] >= 1000:
                total, group = total + group, 0
        elif _cannot_follow(word, previous):
            return None
        else:
            group += _VALUES[word]
        if total + group > _FAR:
            return None
        previous = word
    return factor * (total + group)


def _cannot_follow(word: str, previous: str) -> bool:
    """Whether two words of values name two numbers: only a ten continues with a unit ("twenty one")."""
    if previous in _VALUES:
        return not (previous in _TENS and word in _SMALL[1:10])
    return False
