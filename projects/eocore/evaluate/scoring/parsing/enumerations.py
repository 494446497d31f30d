"""Answers that go through all options, one a line, before (or instead of) a statement: "A. water - not visible", "B. forest - correct"."""

import re

from eocore.evaluate.scoring.parsing.options import Options

_LINE = r"(?:option |choice )?[(\[]?({labels})(?:[)\].:]+(?=\s|$)|\s(?=[-\u2013\u2014(]))"
_RIGHT = re.compile(r"\b(?:correct|yes|true|right|matches|fits|the best)\b|[\u2713\u2714\u2705]")
_WRONG = re.compile(
    r"\b(?:incorrect|no|not|none|wrong|false|unlikely|absent|cannot|without|partly|partially|possibl[ey]|maybe)\b|n't\b|[\u2717\u2718\u274c]"
)


class Enumeration:
    """All options of a question in order, each at the beginning of a line of an answer.

    Attributes:
        rest: the lines behind that of the last option; empty where there are none.
    """

    def __init__(self, blocks: list[str], rest: str, *, options: Options) -> None:
        self._blocks, self.rest, self._options = blocks, rest, options

    def judged_right(self) -> int | None:
        """The option that is called right where all others are called wrong; None where it is not so plain."""
        judged = [self._judged(index, block) for index, block in enumerate(self._blocks)]
        return judged.index(True) if judged.count(True) == 1 and judged.count(False) == len(judged) - 1 else None

    def _judged(self, index: int, block: str) -> bool | None:
        said = block.replace(self._options.texts[index], " ", 1)
        right, wrong = _RIGHT.search(said) is not None, _WRONG.search(said) is not None
        return right if right != wrong else None


def enumeration_of(text: str, options: Options) -> Enumeration | None:
    """The options that a tidied text (`letters.tidy`) enumerates; None unless all of them are there, in order, each at the
    beginning of a line and with words behind its letter."""
    lines = text.casefold().split("\n")
    labels = "|".join(map(re.escape, options.labels))
    line = re.compile(_LINE.format(labels=labels))
    marks = [(number, match[1], match.end()) for number, at in enumerate(lines) if (match := line.match(at))]
    names = [name for _, name, _ in marks]
    if len(names) < 2 or names[: len(options.labels)] != list(options.labels):
        return None
    marks = marks[: len(options.labels)]
    borders = [number for number, _, _ in marks[1:]] + [marks[-1][0] + 1]
    blocks = ["\n".join(lines[number:border])[end:] for (number, _, end), border in zip(marks, borders, strict=True)]
    if not all(block.strip(" .") for block in blocks):
        return None
    return Enumeration(blocks, "\n".join(text.split("\n")[borders[-1] :]), options=options)
