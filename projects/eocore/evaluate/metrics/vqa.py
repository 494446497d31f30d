"""Answers to questions: multiple choice, yes or no, a word, a number."""

import re
import string
import unicodedata
from collections.abc import Sequence

_TO_TEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TO_TWENTY = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty")
NUMBER_WORDS = {word: str(number) for number, word in enumerate(_TO_TEN + _TO_TWENTY)}
ARTICLES = {"a", "an", "the"}

_DECORATION = " \t\r\n\"'`*.,;:!"
_LETTER = re.compile(r"(?:[(\[]([a-z])[)\]]|([a-z])[).:,\]])(?=\s|$)|([a-z])$")
_OPTION = re.compile(r"[(\[]?([a-z])[)\].:]\s+(?=\S)")
# A hyphen before a digit is a sign and a dot before one a decimal point; all other punctuation parts words.
_PUNCTUATION = re.compile(r"(?<=\w)-|-(?!\d)|\.(?!\d)|_|[^\w\s.-]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")


def parse_choice(answer: str, candidates: Sequence[str]) -> int | None:
    """Which candidate an answer means.

    Tried in this order, without regard to case, surrounding blanks, quotes or a final full stop: the answer is a candidate; it begins
    with a letter, "(B)", "B.", "b) road", or is one ("A road" is not: there the A is an article); exactly one candidate stands in it as
    whole words, the longer one where one candidate is part of another.

    Args:
        answer: the model's text.
        candidates: the options in order, with or without letters of their own ("A. road").

    Returns:
        Index into `candidates`; None where the answer cannot be read as one of them, which counts as wrong.
    """
    text, verbatim, options = _plain(answer), [_plain(candidate) for candidate in candidates], _without_letters(candidates)
    for texts in (verbatim, options):
        if text in texts:
            return texts.index(text)
    letter = _LETTER.match(text)
    if letter:
        index = string.ascii_lowercase.index(letter[letter.lastindex or 0])
        if index < len(candidates):
            return index
    named = _named(text, options)
    return options.index(named.pop()) if len(named) == 1 else None


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_DECORATION)


def _without_letters(candidates: Sequence[str]) -> list[str]:
    texts = [_plain(candidate) for candidate in candidates]
    marks = [_OPTION.match(text) for text in texts]
    if [mark[1] if mark else None for mark in marks] != list(string.ascii_lowercase[: len(texts)]):
        return texts
    return [text[mark.end() :] for text, mark in zip(texts, marks, strict=True) if mark]


def _named(text: str, options: Sequence[str]) -> set[str]:
    longest_first = sorted({option for option in options if option}, key=len, reverse=True)
    if not longest_first:
        return set()
    either = "|".join(re.escape(option) for option in longest_first)
    return set(re.findall(rf"(?<![\w-])(?<!\d[.,])(?:{either})(?![\w-]|[.,]\d)", text))


def normalise_answer(text: str) -> str:
    """Lower case, punctuation and articles gone, number words as digits, one blank between words.

    Source: the offline rule for VRSBench answers; signs, decimal points and the digits around a thousands comma are kept.
    """
    lowered = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).casefold())
    words = _PUNCTUATION.sub(" ", lowered).split()
    return " ".join(NUMBER_WORDS.get(word, word) for word in ([word for word in words if word not in ARTICLES] or words))


def parse_yes_no(text: str) -> bool | None:
    """True or False from the first word, None where that is neither yes nor no."""
    first = normalise_answer(text).partition(" ")[0]
    return {"yes": True, "no": False}.get(first)


def match_answer(answer: str, truth: str) -> bool | None:
    """Whether a short answer is right: equal to the truth after `normalise_answer`; for yes and no the first word decides.

    Args:
        answer: the model's text.
        truth: the annotated answer.

    Returns:
        None where the answer cannot be read (empty, or neither yes nor no where one of them is asked for), which counts as wrong.
    """
    expected = normalise_answer(truth)
    if expected in ("yes", "no"):
        said = parse_yes_no(answer)
        return None if said is None else said == (expected == "yes")
    given = normalise_answer(answer)
    return given == expected if given else None
