"""Answers as models write them -> text, and where it refers to masks; special tokens never reach a reader."""

import re
from collections.abc import Iterable, Iterator, Sequence

from eocore.portable.messages import SEG_PLACEHOLDER
from eocore.serve.requests import MaskMark, TextDelta

PHRASE_START, PHRASE_END = "<p>", "</p>"
"""Marks of the phrase that a mask shows. Source: GLaMM, whose notation EarthMind's answers follow."""


class MarkReader:
    """Takes the pieces of one answer, gives text and marks.

    Args:
        special: texts of the tokenizer's special tokens, which are left out.
        draws: whether [SEG] and the marks of phrases mean something.
    """

    def __init__(self, special: Iterable[str], *, draws: bool) -> None:
        known = {PHRASE_START, PHRASE_END, SEG_PLACEHOLDER} if draws else set()
        self._marks = sorted({*filter(None, special), *known}, key=len, reverse=True)
        self._draws = draws
        self._pattern = re.compile("|".join(map(re.escape, self._marks))) if self._marks else None
        self._held = ""
        self._count = 0
        self._phrase: list[str] | None = None
        self._last_phrase = ""

    def put(self, text: str) -> Iterator[TextDelta | MaskMark]:
        """What is certain after the next piece."""
        self._held += text
        yield from self._take(len(self._held) - _uncertain(self._held, self._marks))

    def end(self) -> Iterator[TextDelta | MaskMark]:
        """What is left: nothing follows any more."""
        yield from self._take(len(self._held))

    def _take(self, length: int) -> Iterator[TextDelta | MaskMark]:
        ready, self._held = self._held[:length], self._held[length:]
        start = 0
        for found in self._pattern.finditer(ready) if self._pattern else ():
            yield from self._words(ready[start : found.start()])
            yield from self._mark(found[0])
            start = found.end()
        yield from self._words(ready[start:])

    def _words(self, text: str) -> Iterator[TextDelta]:
        if text:
            if self._phrase is not None:
                self._phrase.append(text)
            yield TextDelta(text)

    def _mark(self, mark: str) -> Iterator[MaskMark]:
        if not self._draws:
            return
        if mark == PHRASE_START:
            self._phrase = []
        elif mark == PHRASE_END and self._phrase is not None:
            self._last_phrase, self._phrase = "".join(self._phrase).strip(), None
        elif mark == SEG_PLACEHOLDER:
            yield MaskMark(self._count, self._last_phrase)
            self._count, self._last_phrase = self._count + 1, ""


def _uncertain(text: str, marks: Sequence[str]) -> int:
    """Length of the longest end of `text` in which a mark may begin that is not complete."""
    longest = max(map(len, marks), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        tail = text[-length:]
        if any(len(mark) > length and mark.startswith(tail) for mark in marks):
            return length
    return 0
