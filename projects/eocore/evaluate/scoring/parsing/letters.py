"""Letters that stand for options, alone and in lists."""

import re
import unicodedata
from dataclasses import dataclass

from eocore.evaluate.scoring.parsing.options import Options

_QUOTES = re.compile(
    r"</?(?:b|i|u|em|strong|p|br|span|div|code)\s*/?>|[*`\"$\u201c\u201d\u00ab\u00bb\u201e]|\\[()\[\]]"
    r"|(?<!\w)[_'\u2018\u2019](?=\w)|(?<=\w)[_'\u2019](?!\w)"
)
_NO_SPACE = re.compile(r"(?<![\w.])([A-Za-z][.:)])(?=[^\W\d_]{2})")
_SCRIPT_CHANGES = re.compile(r"(?<=[\u3040-\u9fff\uac00-\ud7af])(?=[A-Za-z])|(?<=[A-Za-z])(?=[\u3040-\u9fff\uac00-\ud7af])")
_LETTER_LIST = re.compile(r"[(\[{]\s*([A-Za-z](?:\s*(?:[,;/&]|and|or)\s*[A-Za-z])+)\s*[)\]}]")
_LINE_MARKS = re.compile(r"^[ \t]*(?:[#>\u2022]+|[-+](?=\s))[ \t]*", re.MULTILINE)


def tidy(text: str) -> str:
    """Full-width characters as plain ones, marks of emphasis and quotes gone, spaces single, empty lines gone; case is kept."""
    bare = _LINE_MARKS.sub("", _QUOTES.sub("", unicodedata.normalize("NFKC", text)))
    bare = _SCRIPT_CHANGES.sub(" ", bare)
    bare = _LETTER_LIST.sub(r"\1", _NO_SPACE.sub(r"\1 ", bare))
    lines = (" ".join(line.split()) for line in bare.splitlines())
    return "\n".join(line for line in lines if line)


_BINDS = (
    r"(?:is|are|because|since|as|and|or|but|due|seems|would|appears|looks|best|for|given|with|not|rather|over|instead|based|which|it|this"
    r"|the|fits?|matches|describes|corresponds)"
)
_ARTICLE_LIKE = re.compile(rf"[ ](?!{_BINDS}\b)[^\W\d_]{{2}}")
_PRONOUN_LIKE = re.compile(r"[ ](?:would (?!be (?:the )?(?:correct|right|best|my))|(?:appears|seems|looks) to me\b)")
"""What follows "A" and "I" where they are the English words and no letters of options."""
_SEPARATOR = re.compile(
    r"\s*(?:[,;/&+|]\s*)?(?:(?:(?:and|or|as well as)\b(?!-)|[\u548c\u6216\u53ca\u4e0e\u3001])\s*)?(?:(?:options?|choices?)\s+)?"
)
_CONJUNCTION = re.compile(r"[,;/&+|\u548c\u6216\u53ca\u4e0e\u3001]|and|or|as well as")
CLOSED = re.compile(r"\s*(?:$|[,;/&+|\n.!?\u548c\u6216\u53ca\u4e0e\u3001]|(?:and|or)\b)|\s+[A-Za-z](?![\w'])")


@dataclass(frozen=True)
class Letter:
    name: str
    end: int
    is_marked: bool


class Letters:
    """Letters that stand for options, at given characters of a text."""

    def __init__(self, text: str, label: str) -> None:
        self._text = text
        closed = rf"({label})\s?[)\]}}](?!\w)[.:]?"
        self._marked = re.compile(rf"[(\[{{]\s?{closed}|{closed}|({label})[.:](?!\w)|[(\[{{]({label})(?=\s*$)")
        self._bare = re.compile(rf"({label})(?![\w'])(?![-.:]\w)")

    def at(self, start: int) -> Letter | None:
        """The letter there: "(B)", "B)", "B.", "B:", "B"; none where it is the article "A" or the word "I"."""
        match = self._marked.match(self._text, start)
        if match:
            return Letter(match[match.lastindex or 0].lower(), match.end(), True)
        match = self._bare.match(self._text, start)
        if match is None or (match[1] in "aAiI" and _ARTICLE_LIKE.match(self._text, match.end())):
            return None
        if match[1] in "iI" and _PRONOUN_LIKE.match(self._text, match.end()):
            return None
        return Letter(match[1].lower(), match.end(), False)

    def list_at(self, start: int, options: Options | None = None) -> tuple[list[str], int]:
        """(letters, end) of a list that begins there: "A", "A, B and C", "(A) (B)", "A. water, C. road"; none where there is none."""
        lowered = self._text.casefold()
        names: list[str] = []
        end = position = start
        while (letter := self.at(position)) is not None:
            closed_at = _behind_own_text(lowered, letter, options=options)
            separator = self._text[end:position] if names else ","
            if not self._goes_on(letter, separator, closed_at=closed_at):
                break
            names.append(letter.name)
            end = closed_at
            following = _SEPARATOR.match(lowered, end + (lowered[end : end + 1] in (".", ":")))
            position = following.end() if following else end
            if position == end:
                break
        return names, end

    def _goes_on(self, letter: Letter, separator: str, *, closed_at: int) -> bool:
        """Whether a letter behind another is the next of a list: behind a comma or "and" in any case, behind a space where it is marked,
        on a new line where nothing but its option's text follows."""
        if _CONJUNCTION.search(separator.casefold()):
            return True
        if "\n" in separator or not letter.is_marked:
            return CLOSED.match(self._text, closed_at) is not None
        return True


_MARKS = re.compile(r"[\s:.)\u2013\u2014=-]*\(?")


def behind_marks(lowered: str, start: int) -> int:
    """Where the text of "B. forest", "B - forest", "B (forest)" begins, from the end of its letter."""
    match = _MARKS.match(lowered, start)
    return match.end() if match else start


def _behind_own_text(lowered: str, letter: Letter, *, options: Options | None) -> int:
    """The end of "B. forest" where that is how the options are; else that of "B."."""
    if options is None or letter.name not in options.labels:
        return letter.end
    start = behind_marks(lowered, letter.end)
    named = options.named_at(lowered, start)
    own = options.texts[options.labels[letter.name]]
    if named is None or options.texts[named[0]] != own:
        return letter.end
    return named[1] + (lowered[start - 1] == "(" and lowered[named[1] : named[1] + 1] == ")")


def is_letters(text: str) -> bool:
    """Whether a text is nothing but single letters: "A", "(B), C and D."."""
    bare = tidy(text)
    letters, end = Letters(bare, r"[A-Za-z]").list_at(0)
    return bool(letters) and not bare[end:].strip(" .")
