"""Which option of a multiple-choice question an answer means. docs/scoring.md has the rules as a table."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .letters import CLOSED, Letters, behind_marks, tidy
from .numbers import find_number, read_number
from .options import Options, is_denied, options_of
from .text import final_answer

Mode = Literal["strict", "lenient"]
MODES: tuple[Mode, ...] = get_args(Mode)
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
        places: the options named; empty where none can be told. More than one is an answer only where the question allows several.
        reason: where `places` is not one option: why.
    """

    places: frozenset[int] = frozenset()
    reason: str = ""

    @property
    def only(self) -> int | None:
        """The option, where exactly one is named."""
        return next(iter(self.places)) if len(self.places) == 1 else None


def read_choice(answer: str, candidates: Sequence[str], *, mode: Mode = "lenient", several: bool = False) -> ReadChoice:
    """The option, or options, that an answer names.

    Args:
        answer: the model's text.
        candidates: the options in order, with or without letters of their own ("A. road").
        mode: one of MODES.
        several: the question allows several options; single capitals in a sentence ("it shows A and C") are read too then.
    """
    options, text = options_of(tuple(candidates)), final_answer(answer)
    whole = _whole(text, options)
    if whole is not None:
        return _of([whole])
    reader = _Reader(tidy(text), options)
    found = reader.stated()
    if found is None and mode == "lenient":
        found = reader.in_a_sentence(several=several)
    return found or ReadChoice(reason=REFUSAL if _DECLINES.search(reader.lowered) else NOTHING)


def _whole(text: str, options: Options) -> int | None:
    place = options.equal_to(text)
    return options.of_number(read_number(text)) if place is None else place


def _of(places: Iterable[int]) -> ReadChoice:
    distinct = frozenset(places)
    return ReadChoice(distinct, SEVERAL if len(distinct) > 1 else "")


_NOUN = r"(?:answer|option|choice|response|ans\b\.?|opt\b\.?|letter|label|classe?|categor(?:y|ie)|assistant)"
_FILLER = r"(?:(?:most )?likely |probably |clearly |definitely |therefore |thus |that |indeed |still |simply )*"
_BEFORE = rf"(?:the )?(?:(?:correct|right|best) )?(?:{_NOUN}s?\b[ :]*)?"
_NOT_THAT = rf"(?P<not>not {_BEFORE})?"
_IS = r"(?:is|are|was|would be|should be|must be|will be|has to be)\b\s*:?|[:=\u662f\u4e3a]|->|=>|\u2192|\n"
_STATES = re.compile(
    rf"(?P<final>final )?\b(?:{_NOUN}|\u7b54\u6848|\u9009\u9879)s?(?: {_NOUN})?(?: to (?:the|this) question| here"
    rf"| for this (?:question|image)| letter)?\s*(?:{_IS})\s*{_FILLER}{_BEFORE}{_NOT_THAT}"
)
"""Behind it an answer is stated: "the correct answer is", "Answer:", "final answer: option"."""
_OPENS = re.compile(rf"(?:both |either |only )?(?:{_NOUN}s?\b[ :]*)?")
_I_WOULD = (
    r"i(?:'d|'ll| would| will| am going to| can)?(?: have to)? (?:choose|pick|select|go(?:ing)? with|opt for|say|answer|guess|think|believe"
    r"|conclude|suggest)(?: that)?(?: (?:it is|it's|the answer is))?"
)
_IT_IS = r"(?:it|this|that)(?:'s| is| must be| would be| should be| has to be| seems to be| appears to be| looks like)"
_HENCE = r"therefore|thus|hence|so|chosen?|choose|select(?:ed)?|pick(?:ed)?|corresponds? to|match(?:es)?(?: with)?|points? to|go with"
_SENTENCE = re.compile(rf"\b(?:{_I_WOULD}|{_IT_IS}|{_HENCE}|{_NOUN})\b[,:]?\s*{_FILLER}{_BEFORE}{_NOT_THAT}")
_IS_RIGHT = re.compile(
    r"\s*(?:is|seems|appears|would be|looks)(?: to be)?(?: the)?(?: most| clearly)? (?:correct|right|best|true|answer|accurate|likely"
    r"|appropriate)\b|\s+(?:fits|matches|describes|corresponds)\b"
)
_IS_WRONG = re.compile(
    r"\s*(?:(?:is|are|was|were|can|could|does|do|has|would|seems?|appears?)\s+(?:clearly |also |both |to be |be )*"
    r"(?:not|wrong|incorrect|excluded|ruled out|unlikely|eliminated|false)\b|(?:cannot|can't|isn't|aren't|doesn't)\b"
    r"|\??\s*(?:no|wrong|incorrect|false)\s*(?:[.,;\n]|$))"
)
_TEXT_IS_WRONG = re.compile(
    r"\s*(?:is|are|was|were|can|could|seems?|appears?)\s+(?:clearly |also |both |to be |be )*"
    r"(?:not (?:the |a )?(?:correct|right|answer|visible|present|best)|wrong|incorrect|excluded|ruled out|unlikely|eliminated|false)\b"
)
_BUT = re.compile(rf",?\s*(?:but|rather)(?: rather)? {_BEFORE}")
_SINGLE_MARKED = re.compile(r"(?<!\w)[(\[]([a-z])[)\]]")
_LAST_LETTER = re.compile(r"(?:[\s:,](?:is )?)([A-Z])[.!]?$")
_TEXT_ENDS = re.compile(
    r"\s*(?:$|[.;:!?\n(\u2013\u2014]|-\s|,)|\s+(?:because|since|as|is (?:the )?(?:correct|right|visible|present|shown|best))\b"
)
_FIRST_WORD = re.compile(r"(?:answer\s*[:=]\s*|the answer is:?\s*)?([a-z]+)(?!\s*(?:or|and|/)\s*(?:yes|no|true|false)\b)")
_LETTER_BEHIND = re.compile(r"\s*[(\[](?:option )?([a-z])[)\]]|\s*[-\u2013\u2014]\s*([a-z])\s*$")
_GLUE = re.compile(r"\s*[,;/&\n.]\s*(?:(?:and|or)\s+)?|\s+(?:and|or)\s+")
_CLAUSE_ENDS = re.compile(r"\)?\s*(?:$|[.;,\n!])")
_DECLINES = re.compile(
    r"\b(?:i (?:do not|don't) know|(?:i )?(?:cannot|can't|could not|couldn't|unable to) (?:\w+ )?(?:tell|determine|say|answer|see|identify"
    r"|provide|choose)|not sure|uncertain|unclear|none of (?:the|these|them)\b|neither of|sorry|not enough information|insufficient"
    r"|impossible to (?:tell|say))"
)


class _Reader:
    """One answer, read against its options."""

    def __init__(self, text: str, options: Options) -> None:
        self.text, self.lowered, self._options = text, text.casefold(), options
        if len(self.lowered) != len(text):  # a few letters grow when lowered; places must agree
            self.text = self.lowered
        self._letters = Letters(self.text, r"\d{1,2}" if options.by_number else r"[A-Za-z]")

    def stated(self) -> ReadChoice | None:
        """What is stated, the final answer before all others; None where nothing is."""
        if self._options.are_yes_and_no:
            return self._yes_or_no()
        cues = [match for match in _STATES.finditer(self.lowered) if match.end() > match.start()]
        final = [read for match in cues if match["final"] and (read := self._behind(match))]
        if final:
            return _together(final)
        behind = [read for match in cues if (read := self._behind(match))]
        begins = self._first()
        if behind:
            alone = [begins] if begins is not None and begins.only is not None else []
            return _together([*behind, *alone])
        if begins is not None and begins.only is None:
            return begins
        ends = self._last_line()
        return _together([read for read in (begins, ends) if read]) if begins or ends else None

    def _yes_or_no(self) -> ReadChoice | None:
        first = _FIRST_WORD.match(self.lowered)
        place = self._options.equal_to(first[1]) if first else None
        if place is not None:
            return _of([place])
        letters = self._from_letters(*self._letters.list_at(0, self._options), start=0)
        return letters

    def _first(self) -> ReadChoice | None:
        opens = _OPENS.match(self.lowered)
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
        place = self._options.equal_to(self.text[start:])
        return None if place is None else _of([place])

    def _behind(self, cue: re.Match[str]) -> ReadChoice | None:
        if cue["not"]:
            letters, end = self._letters.list_at(cue.end(), self._options)
            named = None if letters else self._options.named_at(self.lowered, cue.end())
            but = _BUT.match(self.lowered, named[1] if named else end)
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
        behind = _LETTER_BEHIND.match(self.lowered, named[1])
        name = behind[behind.lastindex or 0] if behind else ""
        if name in self._options.labels:
            own = self._options.texts[self._options.labels[name]] == self._options.texts[named[0]]
            return _of([named[0]]) if own else ReadChoice(reason=CONTRADICTION)
        return self._text_list(named) if _TEXT_ENDS.match(self.lowered, named[1]) else None

    def _text_list(self, named: tuple[int, int]) -> ReadChoice | None:
        """One option text, or several of which each follows the other by a comma."""
        places = [named[0]]
        while len(places) <= len(self._options.texts):
            glue = _GLUE.match(self.lowered, named[1])
            following = self._options.named_at(self.lowered, glue.end()) if glue else None
            if following is None or not _TEXT_ENDS.match(self.lowered, following[1]):
                break
            named = following
            places.append(named[0])
        return _of(places)

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
        has_text = re.search(r"[^\W\d_]{3}", self.text[start:end]) is not None
        return (_TEXT_IS_WRONG if has_text else _IS_WRONG).match(self.lowered, end) is not None

    def _names_another(self, place: int, end: int) -> bool:
        """Whether the text that goes with a letter is that of another option: "B. water" where B is forest."""
        line_ends = self.lowered[end:].startswith("\n")
        named = None if line_ends else self._options.named_at(self.lowered, behind_marks(self.lowered, end))
        if named is None or not _CLAUSE_ENDS.match(self.lowered, named[1]):
            return False
        return self._options.texts[named[0]] != self._options.texts[place]

    def in_a_sentence(self, *, several: bool) -> ReadChoice | None:
        """What a sentence says: letters behind "I would choose" and the like, then option texts that are named and not denied."""
        reads = [read for cue in _SENTENCE.finditer(self.lowered) if (read := self._letters_behind(cue))]
        reads += self._called_right()
        if not reads:
            reads = self._lone_letters()
        if reads:
            return _together(reads)
        if _DECLINES.search(self.lowered) and not several:
            return ReadChoice(reason=REFUSAL)
        if self._options.numbers is not None:
            place = self._options.of_number(find_number(self.text))
            return None if place is None else _of([place])
        places = {mention.place for mention in self._options.mentions(self.lowered) if not mention.negated}
        if several and not places:
            places = {self._options.labels[name] for name in self._capitals() if name in self._options.labels}
        return _of(places) if places else None

    def _capitals(self) -> list[str]:
        """Single capitals that are letters, wherever they stand."""
        starts = [match.start() for match in re.finditer(r"(?<![\w'-])[A-Z](?![\w'-])", self.text)]
        letters = [self._letters.at(start) for start in starts]
        return [letter.name for letter in letters if letter and not is_denied(self.lowered, letter.end - 1, letter.end)]

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
            if letter and letter.name in self._options.labels and _IS_RIGHT.match(self.lowered, letter.end):
                found.append(_of([self._options.labels[letter.name]]))
        return found

    def _lone_letters(self) -> list[ReadChoice]:
        """Marked letters, "(B)", anywhere; without any the letter a text ends with."""
        marked = [match for match in _SINGLE_MARKED.finditer(self.lowered) if match[1] in self._options.labels]
        last, level = _LAST_LETTER.search(self.text), re.sub(r"[()\[\]]", " ", self.lowered)
        lone = marked or ([last] if last and not re.search(r"\b(?:or|and|nor)$", self.lowered[: last.start()]) else [])
        kept = [
            match[1].lower()
            for match in lone
            if not is_denied(level, match.start(1), match.end(1)) and not _IS_WRONG.match(self.lowered, match.end())
        ]
        return [_of([self._options.labels[name]]) for name in kept if name in self._options.labels]


def _together(reads: Sequence[ReadChoice]) -> ReadChoice:
    """One reading of several places of an answer: the options all of them name; without any the first reason."""
    places = frozenset().union(*(read.places for read in reads))
    unread = next((read.reason for read in reads if not read.places), "")
    return ReadChoice(reason=unread) if unread else _of(places)
