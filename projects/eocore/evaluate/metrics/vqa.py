"""Short answers to questions: yes or no, a word, a number."""

import re
import unicodedata

from eocore.evaluate.scoring.parsing.numbers import find_number, read_number, replace_number_words
from eocore.evaluate.scoring.parsing.text import short_answer

ARTICLES = {"a", "an", "the"}
YES_OR_NO = {"yes": True, "true": True, "no": False, "false": False}
"""Annotation files write JSON's true and false for yes and no."""

# A hyphen before a digit is a sign and a dot before one a decimal point; all other punctuation parts words.
_PUNCTUATION = re.compile(r"(?<=\w)-|-(?!\d)|\.(?!\d)|_|[^\w\s.-]")
_NO_DOUBT = re.compile(r"\b(?:there is )?no (?:doubt|question)\b[,:]?")
_ALONE = re.compile(r"(?:[,.;:\n]|\b(?:so|but|and|is|say|think|hence|thus)\b)[\s*]{0,4}(yes|no|true|false)[\s*]{0,4}(?=$|[,.;!\n])")
_BUCKETS = {10: "between 0 and 10", 100: "between 10 and 100", 1000: "between 100 and 1000", float("inf"): "more than 1000"}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")


def normalise_answer(text: str) -> str:
    """Lower case, punctuation and articles gone, numbers in words as digits, one space between words.

    Source: the offline rule for VRSBench answers; signs, decimal points and the digits around a thousands comma are kept.
    """
    lowered = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).casefold())
    words = _PUNCTUATION.sub(" ", lowered).split()
    return replace_number_words(" ".join([word for word in words if word not in ARTICLES] or words))


def parse_yes_no(text: str) -> bool | None:
    """True or False from the first word; where that is none of `YES_OR_NO` from the only one that is a clause of its own ("Based on the
    image, no.", "No doubt, yes"). None without any, and where several differ."""
    words = _NO_DOUBT.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    first = YES_OR_NO.get(normalise_answer(words).partition(" ")[0])
    if first is not None:
        return first
    alone = {YES_OR_NO[match[1]] for match in _ALONE.finditer(words)}
    return alone.pop() if len(alone) == 1 else None


def match_answer(answer: str, truth: str, *, question: str = "") -> bool | None:
    """Whether a short answer is right: equal to the truth after `normalise_answer`; yes and no as `parse_yes_no` reads
    them; where the truth is a number, by the number the answer states ("2", "2.0", "two", "There are 2 ships").

    Args:
        answer: the model's text.
        truth: the annotated answer.
        question: where it is known; it tells which of several numbers of an answer is meant.

    Returns:
        None where the answer cannot be read (empty; neither yes nor no, or no single number, where one is asked for): wrong, and counted.
    """
    text = short_answer(answer)
    decided, is_right = _by_rule(text, truth, question=question)
    if decided:
        return is_right
    given = normalise_answer(text)
    return given == normalise_answer(truth) if given else None


def contains_answer(answer: str, truth: str, *, question: str = "") -> bool | None:
    """Whether an answer of several words is right: yes, no and numbers as in `match_answer`, all else if the truth stands in it as whole
    words, both after `normalise_answer`. Source: the offline rule for VRSBench questions.

    Args and return value are those of `match_answer`.
    """
    text = short_answer(answer)
    decided, is_right = _by_rule(text, truth, question=question)
    if decided:
        return is_right
    given = normalise_answer(text)
    return re.search(rf"(?<!\w){re.escape(normalise_answer(truth))}(?!\w)", given) is not None if given else None


def _by_rule(text: str, truth: str, *, question: str) -> tuple[bool, bool | None]:
    """(whether the truth is yes, no or a number, whether the answer is right then; None where it cannot be read)."""
    expected = YES_OR_NO.get(normalise_answer(truth))
    if expected is not None:
        said = parse_yes_no(text)
        return True, None if said is None else said == expected
    number = read_number(truth)
    if number is None:
        return False, None
    stated = find_number(text, question)
    return True, None if stated is None else stated.equals(number)


def why_unread(truth: str) -> str:
    """What an answer lacks for which the rules give None."""
    if normalise_answer(truth) in YES_OR_NO:
        return "neither yes nor no"
    return "no single number" if read_number(truth) is not None else "empty"


def is_decided(truth: str) -> bool:
    """Whether an answer to it is right or wrong by rule alone: yes, no, or a number."""
    return normalise_answer(truth) in YES_OR_NO or read_number(truth) is not None


def match_as_published(answer: str, truth: str) -> bool:
    """Equal once lower-cased, with spaces and full stops gone: the rule of the published RSVQA and scene evaluations."""
    return _bare(answer) == _bare(truth)


def match_as_vrsbench(answer: str, truth: str) -> bool:
    """The offline part of the published VRSBench rule: the truth anywhere in the answer, even inside a word ("no" in "not sure"). What it
    leaves to a language model counts as wrong."""
    return truth.strip().lower() in answer.strip().lower()


def count_bucket(text: str, question: str = "") -> str | None:
    """The class a number falls into in the RSVQA-LR questions ("0", "between 0 and 10" and so on), upper ends included; a text that is
    the name of a class is that class. None for any other text. Source: Lobry et al. 2020."""
    name = normalise_answer(short_answer(text))
    if name in _BUCKETS.values():
        return name
    number = find_number(short_answer(text), question)
    if number is None or number.value < 0:
        return None
    return next(name for end, name in _BUCKETS.items() if number.value <= end) if number.value else "0"


def whole_number(text: str) -> int | None:
    """The whole number a text is, in digits or in words; None where it is anything else."""
    number = read_number(text)
    return int(number.value) if number and number.value.is_integer() else None


def _bare(text: str) -> str:
    return text.strip().lower().replace(" ", "").replace(".", "")
