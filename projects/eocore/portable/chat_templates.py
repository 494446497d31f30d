"""Chat templates: turns of a conversation -> pieces of text, each supervised or not, each trusted or not.

A format is defined by one jinja template, which `apply_chat_template` renders and a checkpoint holds as chat_template.jinja. What the model
generates stands in it between `{% generation %}` and `{% endgeneration %}`; that is what training supervises. Pieces take the marks of the
template rather than its whole text: each piece is tokenised by itself, so that a user's text can neither hold special tokens nor change how
the marks around it are tokenised, and vision tokens are put in as ids. The assistant mask of transformers, which tokenises the whole text
at once, would give other ids.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

from eocore.portable.messages import (
    IMAGE_PLACEHOLDER,
    SEG_PLACEHOLDER,
    SYSTEM,
    Image,
    Part,
    Region,
    Text,
    Turn,
    as_turns,
    joined,
    read_parts,
    written,
)

BREAK = "\ufdd0"
"""Put inside a special token that stands in a user's text, so that no tokenizer sees it whole; dropped when tokenised.

A noncharacter: Unicode reserves it for internal use, so no text holds it."""


_SAMPLE_TEXTS = ("\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4")
"""Texts of the conversation a template is read with: noncharacters, which no template holds."""
_SYSTEM_PROBE = "\ufdd5"
_ROLES = ("user", "assistant", "user", "assistant")
INTO_THE_QUESTION = "Put what it says in front of the first question."
NO_SYSTEM = f"this chat template has no system turn, so that one would be lost. {INTO_THE_QUESTION}"
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True)
class Template:
    """One chat format: what stands before and after each message.

    Attributes:
        text: the jinja template it was read from.
        prefix: begins a conversation.
        separator: stands before each question but the first.
        system: what stands before and after a system turn, which is the first; None where the template has none. What begins other
            conversations (`prefix`) is not written then.
    """

    text: str
    prefix: str
    user_start: str
    user_end: str
    assistant_start: str
    assistant_end: str
    separator: str
    system: tuple[str, str] | None = None

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """The marks a tokenizer built for this template keeps whole."""
        marks = (self.prefix, self.user_start, self.user_end, self.assistant_start, self.assistant_end, *(self.system or ()))
        return tuple(dict.fromkeys(token for mark in marks for token in re.findall(r"<\|[^|]+\|>", mark)))


def template_names() -> list[str]:
    """Names of the templates that lie beside this file; in a checkpoint, which brings its own as chat_template.jinja, there are none."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.jinja"))


def get_template(name: str) -> Template:
    """The template of that name.

    Raises:
        ValueError: no such template.
    """
    if name not in template_names():
        raise ValueError(f"no prompt template '{name}'; choices: {', '.join(template_names()) or 'none in a checkpoint'}.")
    return read_template(Path(__file__).with_name(f"{name}.jinja").read_text(encoding="utf-8").rstrip("\n"))


def choose_template(name: str, text: str | None) -> Template:
    """The template of a processor.

    Args:
        name: of a template that lies beside this file; counts where there is no text.
        text: chat template of a model folder. Folders of earlier versions do not say in it what the model generates; there the name counts,
            and both must write the same.

    Raises:
        ValueError: there is no such template, or it is of a form that cannot be read.
    """
    if text is None:
        return get_template(name)
    if _GENERATION.search(text):
        return read_template(text)
    template = get_template(name)
    if not writes_alike(text, template.text):
        raise ValueError(
            f"the chat template does not say what the model generates, and it is not the template '{name}'. Put each answer, with the mark "
            "that ends it, between {% generation %} and {% endgeneration %}."
        )
    return template


def writes_alike(first: str, second: str) -> bool:
    """Whether two jinja templates write the same conversations and prompts, whatever they say of what the model generates."""
    lengths = range(1, len(_SAMPLE_TEXTS) + 1)
    return first == second or all(
        _write(first, _messages(_SAMPLE_TEXTS[:length]), add_generation_prompt=asks)[0]
        == _write(second, _messages(_SAMPLE_TEXTS[:length]), add_generation_prompt=asks)[0]
        for length in lengths
        for asks in (False, True)
    )


@lru_cache
def read_template(text: str) -> Template:
    """The marks of a jinja chat template, found by rendering a conversation with it.

    Raises:
        ValueError: it has no `{% generation %}` block around each answer and its end, or a turn is not framed like the others of its role.
    """
    whole, spans = _write(text, _messages(_SAMPLE_TEXTS))
    asked, _ = _write(text, _messages(_SAMPLE_TEXTS[:1]))
    opened, _ = _write(text, _messages(_SAMPLE_TEXTS[:1]), add_generation_prompt=True)
    if any(sample not in whole for sample in _SAMPLE_TEXTS) or len(spans) != 2 or whole[spans[0][0]] != _SAMPLE_TEXTS[1]:
        raise ValueError("the chat template needs a {% generation %} block around each answer, which begins with the answer's text.")
    question, answer, later = (whole.index(sample) for sample in _SAMPLE_TEXTS[:3])
    end = spans[0][1]
    user_start = _common_end(whole[:question], whole[end:later])
    template = Template(
        text=text,
        prefix=whole[:question].removesuffix(user_start),
        user_start=user_start,
        user_end=asked[question + 1 :],
        assistant_start=opened.removeprefix(asked),
        assistant_end=whole[answer + 1 : end],
        separator=whole[end:later].removesuffix(user_start),
    )
    template = replace(template, system=_system_marks(template, after=whole[question:]))
    turns = list(zip(_ROLES, _SAMPLE_TEXTS, strict=True))
    if "".join(piece.text for piece in render(turns, template)) != whole:
        raise ValueError(
            "the chat template frames turns of one role in different ways; it must write the same marks around every question, the same "
            "around every answer, and nothing after the last."
        )
    return template


def _system_marks(template: Template, *, after: str) -> tuple[str, str] | None:
    """What a template writes before and after a system turn; None where it refuses one, drops it, makes it an answer, or frames the next
    question in another way.

    Args:
        template: without these marks.
        after: what it writes of a conversation from the first question's text on.
    """
    try:
        whole, _ = _write(template.text, [{"role": SYSTEM, "content": _SYSTEM_PROBE}, *_messages(_SAMPLE_TEXTS)])
    except Exception:  # the template's own refusal: an error of jinja2, which shipped code does not import
        return None
    start, found, rest = whole.partition(_SYSTEM_PROBE)
    end = rest.removesuffix(after)
    framed = (
        found
        and end != rest
        and end.endswith(template.user_start)
        and not (template.assistant_start and start.endswith(template.assistant_start))
    )
    return (start, end.removesuffix(template.user_start)) if framed else None


def _messages(texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in zip(_ROLES, texts, strict=False)]


def _write(text: str, messages: list[dict[str, str]], *, add_generation_prompt: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """What the template makes of messages, and (start, end) of what it says the model generates."""
    marked = _GENERATION.search(text) is not None
    written, spans = render_jinja_template(
        [messages], chat_template=text, return_assistant_tokens_mask=marked, add_generation_prompt=add_generation_prompt
    )
    return written[0], spans[0] if spans else []


def _common_end(first: str, second: str) -> str:
    length = 0
    while length < min(len(first), len(second)) and first[-1 - length] == second[-1 - length]:
        length += 1
    return first[len(first) - length :]


@dataclass(frozen=True)
class Piece:
    """A stretch of prompt.

    Attributes:
        text: words; of a slot, how it is written.
        trusted: the text may hold special tokens.
        supervised: the text has labels.
        begins_question: an independent question begins here.
        instructs: the text is a system turn's.
        slot: the image or region that is shown here; None = the text stands here.
    """

    text: str
    trusted: bool
    supervised: bool
    begins_question: bool = False
    instructs: bool = False
    slot: Image | Region | None = None

    @property
    def is_question(self) -> bool:
        """Whether the words are the user's own."""
        return self.slot is None and not (self.trusted or self.supervised or self.instructs)


def render(
    turns: Sequence[Turn | tuple[str, str]], template: Template, *, add_generation_prompt: bool = False, seg_token: str = SEG_PLACEHOLDER
) -> list[Piece]:
    """Pieces of a conversation; answers and their end token are supervised.

    Args:
        turns: messages, or (role, text) in the notation of `messages`.
        template: of the prompt.
        add_generation_prompt: end with the opening of an assistant message.
        seg_token: the system's token for a mask.

    Raises:
        ValueError: another role, or a system turn that is not the first or that the template does not have.
    """
    pieces: list[Piece] = []
    turns = as_turns(turns)
    if turns and turns[0].role == SYSTEM:
        pieces, turns = _instructed(turns[0].parts, template), turns[1:]
    for index, turn in enumerate(turns):
        lead = (template.prefix if not pieces else "") if not index else template.separator if turn.role == "user" else ""
        if turn.role == "user":
            asked = _asked(turn.parts)
            pieces += [Piece(lead + template.user_start, True, False), *asked, Piece(template.user_end, True, False)]
        else:
            pieces += [Piece(lead + template.assistant_start, True, False), _answered(turn.parts, template, seg_token=seg_token)]
    if add_generation_prompt:
        pieces.append(Piece(template.assistant_start, True, False))
    return pieces


def _instructed(parts: Sequence[Part], template: Template) -> list[Piece]:
    """Pieces of a system turn. Raises ValueError where the template has none."""
    if template.system is None:
        raise ValueError(NO_SYSTEM)
    start, end = template.system
    said = [replace(piece, instructs=True) for piece in _asked(parts)]
    return [piece for piece in (Piece(start, True, False), *said, Piece(end, True, False)) if piece.text]


def _asked(parts: Sequence[Part]) -> list[Piece]:
    """Pieces of a question: its texts, and slots for what it shows."""
    return [Piece(written([part]), False, False, slot=part if isinstance(part, Image | Region) else None) for part in joined(parts)]


def _answered(parts: Sequence[Part], template: Template, *, seg_token: str) -> Piece:
    """The piece of an answer. A literal `seg_token` in its texts is words."""
    text = "".join(defuse(part.text, [seg_token]) if isinstance(part, Text) else seg_token for part in parts)
    return Piece(text + template.assistant_end, True, True)


def render_questions(
    turns: Sequence[Turn | tuple[str, str]], template: Template, *, seg_token: str = SEG_PLACEHOLDER, repeat_images: bool = False
) -> list[Piece]:
    """Pieces of independent questions and their answers: what all share, which is the image, and each question as it would continue alone.

    Args:
        turns: messages, question and answer in turn; the first question begins with the images if there are any.
        template: of the prompt.
        seg_token: the system's token for a mask.
        repeat_images: each question shows the images itself, where they look different to each.

    Raises:
        ValueError: another role, or one out of turn.
    """
    turns = as_turns(turns)
    roles = [turn.role for turn in turns]
    if roles != ["user", "assistant"] * (len(turns) // 2):
        raise ValueError(f"independent questions: each needs its answer after it, found {roles}.")
    shared = [part for part in turns[0].parts[:1] if isinstance(part, Image)] if turns else []
    repeated = shared if repeat_images else []
    pieces = [Piece(template.prefix + template.user_start, True, False), *([] if repeat_images else _asked(shared))]
    for number, turn in enumerate(turns):
        if turn.role == "user":
            own = [*repeated, *(turn.parts if number else turn.parts[len(shared) :])]
            first, *others = _asked(own) or [Piece("", False, False)]
            pieces += [replace(first, begins_question=True), *others, Piece(template.user_end, True, False)]
        else:
            pieces += [Piece(template.assistant_start, True, False), _answered(turn.parts, template, seg_token=seg_token)]
    return pieces


def parse_prompt(prompt: str, template: Template) -> list[Piece]:
    """The pieces of a prompt that was rendered before, none of them supervised.

    A prompt in the chat format begins with the mark of a turn; only then are marks of turns taken for such. Any other is one user's text.
    """
    role = ""
    pieces, rest = _leading_system(prompt, template)
    starts = (template.user_start, template.assistant_start)
    if not pieces and not prompt.startswith(tuple(mark for mark in (*starts, *(template.prefix + start for start in starts)) if mark)):
        return _asked(read_parts(prompt, "user")) or [Piece("", False, False)]
    while rest:
        if role:
            text, found, rest = _end_of_turn(rest, role, template=template)
            whole = [*_read(text, pieces), Piece(found, True, False)] if role == "user" else [Piece(text + found, True, False)]
            pieces += [piece for piece in whole if piece.text]
            # where no mark begins an answer, it follows the mark that ends the question
            role = "assistant" if role == "user" and found and not template.assistant_start else ""
            continue
        between, mark, role, rest = _next_turn(rest, template)
        pieces += [piece for piece in (*_read(between, pieces), Piece(mark, True, False)) if piece.text]
    return pieces


def _leading_system(prompt: str, template: Template) -> tuple[list[Piece], str]:
    """(pieces of a system turn that begins a prompt, what follows); no pieces where none does."""
    starts = (template.user_start, template.assistant_start)
    if template.system is None or prompt.startswith(tuple(template.prefix + start for start in starts)):
        return [], prompt
    start, end = template.system
    rest = prompt.removeprefix(start)
    ends = [position for following in starts if (position := rest.find(end + following)) >= 0]
    if not start or rest == prompt or not ends:
        return [], prompt
    text, rest = rest[: min(ends)], rest[min(ends) + len(end) :]
    said = Piece(text, False, False, instructs=True)
    return [piece for piece in (Piece(start, True, False), said, Piece(end, True, False)) if piece.text], rest


def _read(text: str, before: Sequence[Piece]) -> list[Piece]:
    """Pieces of a user's text that comes after others."""
    return _asked(read_parts(text, "user", regions=sum(isinstance(piece.slot, Region) for piece in before)))


def parse_turns(dialogue: str, template: Template) -> list[tuple[str, str]]:
    """(role, text) of a finished dialogue that was put together in the chat format.

    Args:
        dialogue: questions and answers in turn, white space between them as one likes; the end mark of the last answer may be missing.
        template: its format.

    Raises:
        ValueError: it is no such dialogue, or the format has no mark before a question.
    """
    if not template.user_start:
        raise ValueError("this chat template puts no mark before a question, so turns cannot be found in a text. Give them one by one.")
    ends = {name: getattr(template, name) for name in ("user_end", "assistant_end")}
    loose = replace(template, **{name: end.strip() or end for name, end in ends.items()})
    turns: list[tuple[str, str]] = []
    rest = dialogue.strip().removeprefix(template.prefix).lstrip()
    while rest:
        role, start = (("user", template.user_start), ("assistant", template.assistant_start))[len(turns) % 2]
        text, ended, after = _end_of_turn(rest.removeprefix(start), role, template=loose)
        if not rest.startswith(start) or not (ended or role == "assistant"):
            raise _unfinished(rest, template)
        turns.append((role, text))
        rest = after.strip()
    if len(turns) % 2:
        raise _unfinished(dialogue, template)
    return turns


def _unfinished(found: str, template: Template) -> ValueError:
    form = f"{template.user_start}question{template.user_end}{template.assistant_start}answer{template.assistant_end}"
    return ValueError(f"expected a finished dialogue, {form!r} once or more, found {found[:80]!r}. Put the turns into this form.")


def _end_of_turn(text: str, role: str, *, template: Template) -> tuple[str, str, str]:
    """(text of the turn, mark of its end, text after)."""
    end = template.user_end if role == "user" else template.assistant_end
    # white space alone ends a question only where an answer begins
    following = template.assistant_start if role == "user" and not end.strip() else ""
    turn, found, rest = text.partition(end + following)
    return turn, found.removesuffix(following), following + rest if found else rest


def _next_turn(text: str, template: Template) -> tuple[str, str, str, str]:
    """(text before, mark, role, text after) of the next turn; mark and role empty where there is none."""
    marks = (
        (template.prefix + template.user_start, "user"),
        (template.separator + template.user_start, "user"),
        (template.user_start, "user"),
        (template.prefix + template.assistant_start, "assistant"),
        (template.assistant_start, "assistant"),
    )
    found = [(text.find(mark), number) for number, (mark, _) in enumerate(marks) if mark and mark in text]
    if not found:
        return text, "", "", ""
    position, number = min(found)
    mark, role = marks[number]
    return text[:position], mark, role, text[position + len(mark) :]


def defuse(text: str, tokens: Collection[str]) -> str:
    """`text` with a `BREAK` inside each of `tokens` (of two characters or more) that stands in it."""
    literal = "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True) if len(token) > 1)
    return re.sub(literal, lambda match: f"{match[0][0]}{BREAK}{match[0][1:]}", text.replace(BREAK, "")) if literal else text


def defuse_messages(node: Any, tokens: Collection[str], *, answer_tokens: Collection[str], role: str = "user") -> Any:
    """Messages as `apply_chat_template` takes them, with special tokens in their texts made words.

    Args:
        node: a conversation, or a part of one.
        tokens: no user may write; beside parts that show images, neither `<image>`.
        answer_tokens: those that answers keep.
        role: of the message that `node` belongs to.
    """
    if isinstance(node, Mapping) and node.get("type", "text") == "text":
        role = node.get("role", role)
        return {
            key: defuse_messages(value, tokens, answer_tokens=answer_tokens, role=role) if key in ("content", "text") else value
            for key, value in node.items()
        }
    if isinstance(node, (list, tuple)):
        typed = any(isinstance(value, Mapping) and value.get("type") == "image" for value in node)
        guarded = {*tokens, IMAGE_PLACEHOLDER} if typed else tokens
        return [defuse_messages(value, guarded, answer_tokens=answer_tokens, role=role) for value in node]
    allowed = answer_tokens if role == "assistant" else ()
    return defuse(node, set(tokens).difference(allowed)) if isinstance(node, str) else node
