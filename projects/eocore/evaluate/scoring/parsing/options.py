"""The options of a question: their texts, their letters, and where an answer names them."""

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from eocore.evaluate.scoring.parsing.numbers import Number, read_number, replace_number_words
from eocore.evaluate.scoring.parsing.text import plain

_OWN_LETTER = re.compile(r"[(\[]?([a-z])\s?[)\].:]\s*(?=\S)|([a-z])\s+[-\u2013\u2014]\s+(?=\S)")
_OWN_NUMBER = re.compile(r"[(\[]?(\d{1,2})[)\].:]\s+(?=\S)")
ARTICLE = re.compile(r"(?:a|an|the|some)\s+")
_NOT = re.compile(
    r"\b(?:no|not|non|never|neither|nor|none|cannot|without|unlike|hardly|rather than|instead of|other than|absence of|lack of|lacks"
    r"|except|excluding|exclude[sd]?|rul(?:es?|ed|ing) out|eliminat(?:es?|ed|ing)|discard(?:s|ed|ing)?|different from"
    r"|doubt(?:s|ed)?)\b|n't\b"
)
_NO_NEGATION = re.compile(r"\b(?:no doubt|without (?:a |any )?doubt|not only|no question|cannot be anything but)\b")
_NOT_AFTER = re.compile(
    r"\s*(?:options?|areas?)?\s*(?:(?:is|are|was|were|can|could|does|do|has|would|seems?|appears?)\s+(?:clearly |also |to be )*)?"
    r"(?:not\b|cannot\b|can't\b|absent\b|missing\b|wrong\b|incorrect\b|excluded\b|ruled out\b|unlikely\b)"
    r"|\s*(?:is|are|was|were|does|do|ca|wo)n't\b"
)
_CLAUSE_END = re.compile(r"[.;:!?,\n()]|\b(?:but|however|while|whereas|although|though|because|since|so|rather(?! than)|instead(?! of))\b")
_LIST_GLUE = re.compile(r"[\s,]*(?:(?:and|or|nor|any|a|an|the|no)\b[\s,]*)*")
_MARK_OF_TRUTH = {"yes": "true", "true": "yes", "no": "false", "false": "no"}


@dataclass(frozen=True)
class Mention:
    """An option named in a text, at characters `start` to `end`; `negated` where the words around it deny it."""

    index: int
    start: int
    end: int
    negated: bool


class Options:
    """The options of a question in order, with or without letters (or numbers) of their own: "forest", "B. forest", "(2) forest".

    Attributes:
        texts: plain texts without the letters.
        labels: letter (or number) in lower case -> index; by position where the options carry none.
        by_number: whether they carry numbers.
    """

    def __init__(self, candidates: Sequence[str]) -> None:
        self.verbatim = [plain(candidate) for candidate in candidates]
        self.labels, self.texts, self.by_number = _labelled(self.verbatim)
        self._forms = [_form(text) for text in self.texts]
        self._verbatim_forms = [_form(text) for text in self.verbatim]
        numbers = [number for number in map(read_number, self.texts) if number is not None]
        self.numbers = numbers if len(numbers) == len(self.texts) else None
        self._pattern = _either(self.texts)
        self._any = re.compile(rf"(?<![\w-])(?<!\d[.,])({self._pattern})(?:e?s)?(?![\w-]|[.,]\d)") if self._pattern else None
        self._here = re.compile(rf"(?:(?:a|an|the)\s+)?({self._pattern})(?![\w-]|[.,]\d)") if self._pattern else None

    @property
    def are_yes_and_no(self) -> bool:
        """Whether every option is yes, no, true or false."""
        return all(text in _MARK_OF_TRUTH for text in self.texts)

    def equal_to(self, text: str) -> int | None:
        """The option a text is, but for case, articles, hyphens, underscores and numbers in words."""
        form = _form(text)
        forms = {form, ARTICLE.sub("", form, count=1), _MARK_OF_TRUTH.get(form, form)}
        for known in (self._verbatim_forms, self._forms):
            index = next((index for index, option in enumerate(known) if option and option in forms), None)
            if index is not None:
                return index
        return None

    def of_number(self, number: Number | None) -> int | None:
        """The option that is a number, where all options are."""
        if number is None or self.numbers is None:
            return None
        return next((index for index, option in enumerate(self.numbers) if option.equals(number)), None)

    def named_at(self, lowered: str, start: int) -> tuple[int, int] | None:
        """(index, end) of the longest option text that stands at a character, behind an article or not."""
        match = self._here.match(lowered, start) if self._here else None
        if match is None:
            return None
        return self._index(match[1]), match.end()

    def mentions(self, lowered: str) -> list[Mention]:
        """Every option named in a text as whole words, the longer one where one is part of another."""
        found: list[Mention] = []
        for match in self._any.finditer(lowered) if self._any else ():
            if len(match[1]) == 1 and not match[1].isdigit():
                continue
            previous = found[-1] if found else None
            negated = is_denied(lowered, match.start(), end=match.end(), previous=previous)
            found.append(Mention(self._index(match[1]), match.start(), match.end(), negated))
        return found

    def _index(self, text: str) -> int:
        return self.texts.index(" ".join(text.split()))


def _labelled(texts: Sequence[str]) -> tuple[dict[str, int], list[str], bool]:
    """Label -> index, texts without the labels, whether they are numbers. Labels count where every option has one of its own, or is
    nothing else ("B", "D": they are not the first and the second)."""
    for pattern, is_number in ((_OWN_LETTER, False), (_OWN_NUMBER, True)):
        marks = [pattern.match(text) for text in texts]
        names = [mark[mark.lastindex or 0] for mark in marks if mark]
        if texts and len(names) == len(texts) and len(set(names)) == len(names) and (len(names) > 1 or names[0] in ("a", "1")):
            rests = [text[mark.end() :] for text, mark in zip(texts, marks, strict=True) if mark]
            return {name: index for index, name in enumerate(names)}, rests, is_number
    if len(texts) > 1 and len(set(texts)) == len(texts) and all(text in string.ascii_lowercase and len(text) == 1 for text in texts):
        return {text: index for index, text in enumerate(texts)}, list(texts), False
    return {letter: index for index, letter in enumerate(string.ascii_lowercase[: len(texts)])}, list(texts), False


@lru_cache(maxsize=4096)
def _form(text: str) -> str:
    bare = unicodedata.normalize("NFKC", text).casefold().replace("_", " ").replace("-", " ")
    return " ".join(replace_number_words(plain(bare)).split())


def _either(texts: Sequence[str]) -> str:
    """The texts as alternatives of a pattern, longest first; a space fits any run of spaces."""
    longest_first = sorted({text for text in texts if text}, key=len, reverse=True)
    return "|".join(re.escape(text).replace(r"\ ", r"\s+") for text in longest_first)


def is_denied(lowered: str, start: int, *, end: int, previous: Mention | None = None) -> bool:
    """Whether "not", "no", "without" and the like stand before the words in their clause, or "is not" and the like behind them; in a list
    ("no water, forest or road") what holds for the first holds for the others."""
    window = lowered[max(0, start - 200) : start]
    clause = window[max((match.end() for match in _CLAUSE_END.finditer(window)), default=0) :]
    if _NOT.search(_NO_NEGATION.sub(" ", clause)) or _NOT_AFTER.match(lowered, end):
        return True
    return previous is not None and previous.negated and _LIST_GLUE.fullmatch(lowered, previous.end, start) is not None


@lru_cache(maxsize=1024)
def options_of(candidates: tuple[str, ...]) -> Options:
    """The same options are asked again and again; their patterns are made once."""
    return Options(candidates)
