"""Which option of a multiple-choice question an answer means. docs/scoring.md has the rules as a table."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eocore.evaluate.scoring.parsing import phrases
from eocore.evaluate.scoring.parsing.enumerations import enumeration_of
from eocore.evaluate.scoring.parsing.letters import CLOSED, Letters, behind_marks, tidy
from eocore.evaluate.scoring.parsing.numbers import find_number, read_number
from eocore.evaluate.scoring.parsing.options import Options, is_denied, options_of
from eocore.evaluate.scoring.parsing.reading_options import Mode
from eocore.evaluate.scoring.parsing.text import final_answer

"""strict: letters and option texts where an answer states them (alone, first, on a last line of their own, after "the answer is").
lenient: also from a sentence ("I would choose B", "there is a road here")."""

NOTHING, SEVERAL, BEYOND, CONTRADICTION, REFUSAL = (
    "no option is named", "several options are named", "the letter is none of the options'", "letter and text are of different options",
    "the answer declines to choose",
)  # fmt: skip


@dataclass(frozen=True)
class ReadChoice:
    """What an answer chooses.

    Attributes:
        indices: the options named; empty where none can be told. More than one is an answer only where the question allows several.
        reason: where `indices` is not one option: why.
    """

    indices: frozenset[int] = frozenset()
    reason: str = ""

    @property
    def only(self) -> int | None:
        """The option, where exactly one is named."""
        return next(iter(self.indices)) if len(self.indices) == 1 else None


def read_choice(answer: str, candidates: Sequence[str], *, mode: Mode = "lenient", several: bool = False) -> ReadChoice:
    """The option, or options, that an answer names.

    Args:
        answer: the model's text.
        candidates: the options in order, with or without letters of their own ("A. road").
        mode: one of `reading_options.MODES`.
        several: the question allows several options; single capitals in a sentence ("it shows A and C") are read too then.
    """
    options, text = options_of(tuple(candidates)), final_answer(answer)
    whole = _whole(text, options)
    if whole is not None:
        return _of([whole])
    bare = tidy(text)
    found = _of_enumeration(bare, options, mode=mode, several=several) or _read(bare, options, mode=mode, several=several)
    unasked = phrases.QUESTION.sub("", bare).strip()
    if found.reason == SEVERAL and not several and unasked != bare:
        return _read(unasked, options, mode=mode, several=several)
    return found


def _read(text: str, options: Options, *, mode: Mode, several: bool) -> ReadChoice:
    reader = _Reader(text, options)
    found = reader.stated()
    if found is None and mode == "lenient":
        found = reader.in_a_sentence(several=several)
    return found or ReadChoice(reason=REFUSAL if phrases.DECLINES.search(reader.lowered) else NOTHING)


def _of_enumeration(text: str, options: Options, *, mode: Mode, several: bool) -> ReadChoice | None:
    """What is stated behind lines that go through all options, else (lenient) the one that these call right; None where there
    are no such lines, or where they may be the options chosen."""
    listed = enumeration_of(text, options)
    if listed is None:
        return None
    stated = _read(listed.rest, options, mode=mode, several=False) if listed.rest else ReadChoice()
    if stated.only is not None:
        return stated
    index = listed.judged_right() if mode == "lenient" and not stated.indices else None
    if index is not None:
        return _of([index])
    return None if several else ReadChoice(reason=stated.reason or SEVERAL)


def _whole(text: str, options: Options) -> int | None:
    """The option that all of the text is: its text, its number, or both parted by a hyphen ("B-forest")."""
    index = options.equal_to(text)
    if index is None and (hyphened := phrases.HYPHENED.fullmatch(text.strip())):
        own = options.equal_to(hyphened[2])
        return own if own is not None and own == options.labels.get(hyphened[1].lower()) else None
    return options.of_number(read_number(text)) if index is None else index


def _of(indices: Iterable[int]) -> ReadChoice:
    distinct = frozenset(indices)
    return ReadChoice(distinct, SEVERAL if len(distinct) > 1 else "")


class _Reader:
    """One answer, read against its options."""

    def __init__(self, text: str, options: Options) -> None:
        self.text, self.lowered, self._options = text, text.casefold(), options
        if len(self.lowered) != len(text):  # a few letters grow when lowered; positions must agree
            self.text = self.lowered
        self._letters = Letters(self.text, r"\d{1,2}" if options.by_number else r"[A-Za-z]")

    def stated(self) -> ReadChoice | None:
        """What is stated, the final answer before all others; None where nothing is."""
        if self._options.are_yes_and_no:
            return self._yes_or_no()
        if self._options.numbers is not None and not self._options.by_number and phrases.COUNTED_OPTION.search(self.lowered):
            return ReadChoice(reason=NOTHING)
        cues = self._cues(phrases.STATES)
        final = [read for match in cues if match["final"] and (read := self._behind(match))]
        if final:
            return _together(final)
        behind = [read for match in cues if (read := self._behind(match))]
        begins = self._first()
        if behind:
            behind = [read for read in behind if len(read.indices) < len(self._options.texts)] or behind
            alone = [begins] if begins is not None and begins.only is not None else []
            return _together([*behind, *alone])
        if begins is not None and begins.only is None:
            return begins
        ends = self._last_line()
        return _together([read for read in (begins, ends) if read]) if begins or ends else None

    def _cues(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        """Where a statement is announced, "the wrong option is" left out."""
        found = (match for match in pattern.finditer(self.lowered) if match.end() > match.start())
        return [match for match in found if not phrases.CALLED_WRONG.search(self.lowered[max(0, match.start() - 40) : match.start()])]

    def _yes_or_no(self) -> ReadChoice | None:
        first = phrases.FIRST_WORD.match(self.lowered)
        index = self._options.equal_to(first[1]) if first else None
        if index is not None:
            return _together([_of([index]), *(read for cue in self._cues(phrases.STATES) if (read := self._behind(cue)) and read.indices)])
        letters = self._from_letters(*self._letters.list_at(0, self._options), start=0)
        return letters

    def _first(self) -> ReadChoice | None:
        opens = phrases.OPENS.match(self.lowered)
        start = opens.end() if opens else 0
        if re.fullmatch(r"[A-Z]{2,}\W*", self.text):
            return self._run_together()
        return self._at(start) or (self._at(0) if start else None)

    def _run_together(self) -> ReadChoice | None:
        """ "ABD": letters of options in order without anything between them."""
        names = re.sub(r"\W", "", self.lowered)
        if sorted(set(names)) != list(names) or not set(names) <= set(self._options.labels):
            return None
        return _of(self._options.labels[name] for name in names)

    def _last_line(self) -> ReadChoice | None:
        start = self.text.rfind("\n") + 1
        if not start:
            return None
        names, end = self._letters.list_at(start, self._options)
        if names and not self.text[end:].strip(" .!"):
            return self._from_letters(names, end, start=start)
        index = self._options.equal_to(self.text[start:])
        return None if index is None else _of([index])

    def _behind(self, cue: re.Match[str]) -> ReadChoice | None:
        if cue["not"]:
            letters, end = self._letters.list_at(cue.end(), self._options)
            named = None if letters else self._options.named_at(self.lowered, cue.end())
            but = phrases.BUT.match(self.lowered, named[1] if named else end)
            return self._at(but.end()) if but else None
        return self._at(cue.end())

    def _at(self, start: int) -> ReadChoice | None:
        """The letters, else the option text, that an answer states at a character."""
        names, end = self._letters.list_at(start, self._options)
        if names:
            return self._from_letters(names, end, start=start)
        named = self._options.named_at(self.lowered, start)
        if named is None:
            return None
        behind = phrases.LETTER_BEHIND.match(self.lowered, named[1])
        name = behind[behind.lastindex or 0] if behind else ""
        if name in self._options.labels:
            own = self._options.texts[self._options.labels[name]] == self._options.texts[named[0]]
            return _of([named[0]]) if own else ReadChoice(reason=CONTRADICTION)
        return self._text_list(named) if phrases.TEXT_ENDS.match(self.lowered, named[1]) else None

    def _text_list(self, named: tuple[int, int]) -> ReadChoice | None:
        """One option text, or several of which each follows the other by a comma."""
        indices = [named[0]]
        while len(indices) <= len(self._options.texts):
            glue = phrases.GLUE.match(self.lowered, named[1])
            following = self._options.named_at(self.lowered, glue.end()) if glue else None
            if following is None or not phrases.TEXT_ENDS.match(self.lowered, following[1]):
                break
            named = following
            indices.append(named[0])
        return _of(indices)

    def _from_letters(self, names: Sequence[str], end: int, *, start: int) -> ReadChoice | None:
        labels = self._options.labels
        if not names or self._is_called_wrong(end, start=start):
            return None
        if any(name not in labels for name in names):
            plainly = len(names) > 1 or self.text[start:end].strip(" ") != self.text[start] or CLOSED.match(self.text, end)
            return ReadChoice(reason=BEYOND) if plainly else None
        if len(names) == 1 and self._names_another(labels[names[0]], end):
            return ReadChoice(reason=CONTRADICTION)
        return _of(labels[name] for name in names)

    def _is_called_wrong(self, end: int, *, start: int) -> bool:
        """Whether what stands behind letters denies them; behind a text ("C. road is not paved") a "not" may be of its explanation."""
        if self._options.are_yes_and_no and self._options.named_at(self.lowered, behind_marks(self.lowered, end)):
            return False
        has_text = re.search(r"[^\W\d_]{3}", self.text[start:end]) is not None
        return (phrases.TEXT_IS_WRONG if has_text else phrases.IS_WRONG).match(self.lowered, end) is not None

    def _names_another(self, index: int, end: int) -> bool:
        """Whether the text that goes with a letter is that of another option: "B. water" where B is forest."""
        line_ends = self.lowered[end:].startswith("\n")
        named = None if line_ends else self._options.named_at(self.lowered, behind_marks(self.lowered, end))
        if named is None or not phrases.CLAUSE_ENDS.match(self.lowered, named[1]):
            return False
        return self._options.texts[named[0]] != self._options.texts[index]

    def in_a_sentence(self, *, several: bool) -> ReadChoice | None:
        """What a sentence says: letters behind "I would choose" and the like, then option texts that are named and not denied."""
        reads = [read for cue in self._cues(phrases.SENTENCE) if (read := self._letters_behind(cue))]
        reads += self._called_right()
        if not reads:
            reads = self._lone_letters()
        if reads:
            return _together(reads)
        if phrases.DECLINES.search(self.lowered) and not several:
            return ReadChoice(reason=REFUSAL)
        if self._options.numbers is not None:
            index = self._options.of_number(find_number(self.text))
            return None if index is None else _of([index])
        indices = {mention.index for mention in self._options.mentions(self.lowered) if not mention.negated}
        if several and not indices:
            indices = {self._options.labels[name] for name in self._capitals() if name in self._options.labels}
        return _of(indices) if indices else None

    def _capitals(self) -> list[str]:
        """Single capitals that are letters, wherever they stand."""
        starts = [match.start() for match in re.finditer(r"(?<![\w'-])[A-Z](?![\w'-])", self.text)]
        letters = [self._letters.at(start) for start in starts]
        denied = (letter is None or is_denied(self.lowered, letter.end - 1, end=letter.end) for letter in letters)
        kept = (letter for letter, is_out in zip(letters, denied, strict=True) if letter and not is_out)
        return [letter.name for letter in kept if not phrases.IS_WRONG.match(self.lowered, letter.end)]

    def _letters_behind(self, cue: re.Match[str]) -> ReadChoice | None:
        if cue["not"]:
            return self._behind(cue)
        names, end = self._letters.list_at(cue.end(), self._options)
        known = [name for name in names if name in self._options.labels]
        return self._from_letters(known, end, start=cue.end()) if known else None

    def _called_right(self) -> list[ReadChoice]:
        found = []
        for match in re.finditer(r"(?<![\w'])[(\[]?[A-Za-z][)\]]?(?![\w'])", self.text):
            letter = self._letters.at(match.start())
            if letter and letter.name in self._options.labels and phrases.IS_RIGHT.match(self.lowered, letter.end):
                found.append(_of([self._options.labels[letter.name]]))
        return found

    def _lone_letters(self) -> list[ReadChoice]:
        """Marked letters, "(B)", anywhere; without any the letter a text ends with."""
        marked = [match for match in phrases.SINGLE_MARKED.finditer(self.lowered) if match[1] in self._options.labels]
        last, level = phrases.LAST_LETTER.search(self.text), re.sub(r"[()\[\]]", " ", self.lowered)
        is_only = last and set(self._capitals()) & set(self._options.labels) <= {last[1].lower()}
        is_only = is_only and last is not None and not phrases.WRONG_IS.search(self.lowered[: last.start(1)])
        lone = marked or ([last] if last and is_only else [])
        kept = [
            match[1].lower()
            for match in lone
            if not is_denied(level, match.start(1), end=match.end(1)) and not phrases.IS_WRONG.match(self.lowered, match.end())
        ]
        return [_of([self._options.labels[name]]) for name in kept if name in self._options.labels]


def _together(reads: Sequence[ReadChoice]) -> ReadChoice:
    """One reading of several parts of an answer: the options all of them name; without any the first reason."""
    indices = frozenset().union(*(read.indices for read in reads))
    unread = next((read.reason for read in reads if not read.indices), "")
    return ReadChoice(reason=unread) if unread else _of(indices)
