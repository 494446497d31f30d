"""Chat templates: turns of a conversation -> pieces of text, each supervised or not, each trusted or not."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

IMAGE_PLACEHOLDER = "<image>"
REGION_PLACEHOLDER = "<region>"
BREAK = "\ufdd0"
"""Put inside a special token that stands in a user's text, so that no tokenizer sees it whole; dropped when tokenised.

A noncharacter: Unicode reserves it for internal use, so no text holds it."""


@dataclass(frozen=True)
class Template:
    """One chat format: what stands before and after each message."""

    user_start: str
    user_end: str
    assistant_start: str
    assistant_end: str
    separator: str

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """The marks a tokenizer built for this template keeps whole."""
        marks = (self.user_start, self.user_end, self.assistant_start, self.assistant_end)
        return tuple(dict.fromkeys(token for mark in marks for token in re.findall(r"<\|[^|]+\|>", mark)))


TEMPLATES = {
    # The upstream EarthMind prompt, as its inference code writes it: "<|user|>\n{}<|end|>\n<|assistant|>\n".
    "phi3_chat": Template("<|user|>\n", "<|end|>\n", "<|assistant|>\n", "<|end|>", "\n"),
    # ChatML, as Qwen writes it.
    "chatml": Template("<|im_start|>user\n", "<|im_end|>\n", "<|im_start|>assistant\n", "<|im_end|>", "\n"),
}


@dataclass(frozen=True)
class Piece:
    """A stretch of prompt. `trusted` text may hold special tokens; `scored` text is learnt; `asks_anew` begins an independent question."""

    text: str
    trusted: bool
    scored: bool
    asks_anew: bool = False


def get_template(name: str) -> Template:
    """The template of that name.

    Raises:
        ValueError: no such template.
    """
    if name not in TEMPLATES:
        raise ValueError(f"no prompt template '{name}'; choices: {', '.join(TEMPLATES)}.")
    return TEMPLATES[name]


def render(turns: Sequence[tuple[str, str]], template: Template, *, add_generation_prompt: bool = False) -> list[Piece]:
    """Pieces of a conversation; answers and their end token are scored.

    Args:
        turns: (role, text), role "user" or "assistant".
        add_generation_prompt: end with the opening of an assistant message.

    Raises:
        ValueError: another role.
    """
    pieces: list[Piece] = []
    for index, (role, text) in enumerate(turns):
        lead = template.separator if index and role == "user" else ""
        if role == "user":
            pieces += [Piece(lead + template.user_start, True, False), Piece(text, False, False), Piece(template.user_end, True, False)]
        elif role == "assistant":
            pieces += [Piece(template.assistant_start, True, False), Piece(text + template.assistant_end, True, True)]
        else:
            raise ValueError(f"turn {index}: role '{role}' is unknown; choices: user, assistant.")
    if add_generation_prompt:
        pieces.append(Piece(template.assistant_start, True, False))
    return pieces


def render_questions(turns: Sequence[tuple[str, str]], template: Template) -> list[Piece]:
    """Pieces of independent questions and their answers: what all share, which is the image, and each question as it would go on alone.

    Args:
        turns: (role, text), question and answer in turn; the first question begins with `<image>` if there are images.

    Raises:
        ValueError: another role, or one out of turn.
    """
    if [role for role, _ in turns] != ["user", "assistant"] * (len(turns) // 2):
        raise ValueError(f"independent questions: each needs its answer after it, found {[role for role, _ in turns]}.")
    shared = IMAGE_PLACEHOLDER if turns and turns[0][1].startswith(IMAGE_PLACEHOLDER) else ""
    pieces = [Piece(template.user_start, True, False)] + ([Piece(shared, False, False)] if shared else [])
    for number, (role, text) in enumerate(turns):
        if role == "user":
            own = text if number else text.removeprefix(shared)
            pieces += [Piece(own, False, False, asks_anew=True), Piece(template.user_end, True, False)]
        else:
            pieces += [Piece(template.assistant_start, True, False), Piece(text + template.assistant_end, True, True)]
    return pieces


def parse_prompt(prompt: str, template: Template) -> list[Piece]:
    """The pieces of a prompt that was rendered before, none of them scored.

    A prompt in the chat format begins with the mark of a turn; only then are marks of turns taken for such. Any other is one user's text.
    """
    rest, role = prompt, ""
    pieces: list[Piece] = []
    if not prompt.startswith((template.user_start, template.assistant_start)):
        return [Piece(prompt, False, False)]
    while rest:
        if role:
            end = template.user_end if role == "user" else template.assistant_end
            text, found, rest = rest.partition(end)
            whole = [Piece(text, False, False), Piece(found, True, False)] if role == "user" else [Piece(text + found, True, False)]
            pieces += [piece for piece in whole if piece.text]
            role = ""
            continue
        between, mark, role, rest = _next_turn(rest, template)
        pieces += [piece for piece in (Piece(between, False, False), Piece(mark, True, False)) if piece.text]
    return pieces


def parse_turns(dialogue: str, template: Template) -> list[tuple[str, str]]:
    """(role, text) of a finished dialogue that was put together in the chat format.

    Args:
        dialogue: questions and answers in turn, white space between them as one likes; the end mark of the last answer may be missing.
        template: its format.

    Raises:
        ValueError: it is no such dialogue.
    """
    frames = {"user": (template.user_start, template.user_end), "assistant": (template.assistant_start, template.assistant_end)}
    turns: list[tuple[str, str]] = []
    rest = dialogue.strip()
    while rest:
        role = ("user", "assistant")[len(turns) % 2]
        start, end = (mark.strip() for mark in frames[role])
        text, ended, after = rest.removeprefix(start).partition(end)
        if not rest.startswith(start) or not (ended or role == "assistant"):
            raise _unfinished(rest, template)
        turns.append((role, text.removeprefix("\n") if start != frames[role][0] else text))
        rest = after.strip()
    if len(turns) % 2:
        raise _unfinished(dialogue, template)
    return turns


def _unfinished(found: str, template: Template) -> ValueError:
    form = f"{template.user_start}question{template.user_end}{template.assistant_start}answer{template.assistant_end}"
    return ValueError(f"expected a finished dialogue, {form!r} once or more, found {found[:80]!r}. Put the turns into this form.")


def _next_turn(text: str, template: Template) -> tuple[str, str, str, str]:
    """(text before, mark, role, text after) of the next turn; mark and role empty where there is none."""
    marks = ((template.separator + template.user_start, "user"), (template.user_start, "user"), (template.assistant_start, "assistant"))
    places = [(text.find(mark), number) for number, (mark, _) in enumerate(marks) if mark in text]
    if not places:
        return text, "", "", ""
    place, number = min(places)
    mark, role = marks[number]
    return text[:place], mark, role, text[place + len(mark) :]


def defuse(text: str, tokens: Collection[str]) -> str:
    """`text` with a `BREAK` inside each of `tokens` (of two characters or more) that stands in it."""
    literal = "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True) if len(token) > 1)
    return re.sub(literal, lambda match: f"{match[0][0]}{BREAK}{match[0][1:]}", text.replace(BREAK, "")) if literal else text


def jinja_template(template: Template) -> str:
    """The same format as a Hugging Face chat template; an image part of a message becomes `<image>`."""

    def quoted(text: str) -> str:
        return "'" + text.replace("\n", "\\n") + "'"

    content = (
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}{{ '" + IMAGE_PLACEHOLDER + "\\n' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endif %}"
    )
    return (
        "{% for message in messages %}{% if message['role'] == 'user' %}{% if not loop.first %}{{ "
        + quoted(template.separator)
        + " }}{% endif %}"
        "{{ " + quoted(template.user_start) + " }}" + content + "{{ " + quoted(template.user_end) + " }}"
        "{% elif message['role'] == 'assistant' %}{{ "
        + quoted(template.assistant_start)
        + " }}"
        + content
        + "{{ "
        + quoted(template.assistant_end)
        + " }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ " + quoted(template.assistant_start) + " }}{% endif %}"
    )
