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
_WHOLE_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BUCKETS = {10: "between 0 and 10", 100: "between 10 and 100", 1000: "between 100 and 1000", float("inf"): "more than 1000"}
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


def contains_answer(answer: str, truth: str) -> bool | None:
    """Whether an answer of several words is right: yes, no and numbers by its first word, all else if the truth stands in it as whole
    words, both after `normalise_answer`. Source: the offline rule for VRSBench questions.

    Args:
        answer: the model's text.
        truth: the annotated answer.

    Returns:
        None where the answer cannot be read (empty, or neither yes nor no where one of them is asked for), which counts as wrong.
    """
    expected, given = normalise_answer(truth), normalise_answer(answer)
    if expected in ("yes", "no"):
        return match_answer(answer, truth)
    if not given:
        return None
    if _WHOLE_NUMBER.fullmatch(expected):
        return given.partition(" ")[0] == expected
    return re.search(rf"(?<!\w){re.escape(expected)}(?!\w)", given) is not None


def is_decided(truth: str) -> bool:
    """Whether an answer to it is right or wrong by rule alone: yes, no, or a number."""
    expected = normalise_answer(truth)
    return expected in ("yes", "no") or _WHOLE_NUMBER.fullmatch(expected) is not None


def match_as_published(answer: str, truth: str) -> bool:
    """Equal once lower-cased, with blanks and full stops gone: the rule of the published RSVQA and scene evaluations."""
    return _bare(answer) == _bare(truth)


def match_as_vrsbench(answer: str, truth: str) -> bool:
    """The offline part of the published VRSBench rule: the truth anywhere in the answer, even inside a word ("no" in "not sure"). What it
    leaves to a language model counts as wrong."""
    return truth.strip().lower() in answer.strip().lower()


def choice_as_published(answer: str, truth: str) -> bool:
    """Equal to the letter, blanks and case included: the published multiple-choice rule of EarthMind-Bench."""
    return answer == truth


def count_bucket(text: str) -> str | None:
    """The class a number falls into in the RSVQA-LR questions ("0", "between 0 and 10" and so on), upper ends included; a text that is
    the name of a class is that class. None for any other text. Source: Lobry et al. 2020."""
    number = normalise_answer(text)
    if number in _BUCKETS.values():
        return number
    if not _WHOLE_NUMBER.fullmatch(number) or float(number) < 0:
        return None
    return next(name for end, name in _BUCKETS.items() if float(number) <= end) if float(number) else "0"


def whole_number(text: str) -> int | None:
    """The number a text is, in digits or as a word up to twenty; None where it is anything else."""
    number = normalise_answer(text)
    return int(number) if re.fullmatch(r"-?\d{1,15}", number) else None


def _bare(text: str) -> str:
    return text.strip().lower().replace(" ", "").replace(".", "")
