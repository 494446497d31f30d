"""Chat templates and the special tokens: text -> pieces, each scored or not, each trusted or not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

IMAGE_PLACEHOLDER = "<image>"
REGION_PLACEHOLDER = "<region>"
IMAGE_TOKEN = "<IMG_CONTEXT>"
IMAGE_START, IMAGE_END = "<img>", "</img>"
REGION_START, REGION_END = "<vp>", "</vp>"
SEG_TOKEN = "[SEG]"
SPECIAL_TOKENS = (IMAGE_TOKEN, IMAGE_START, IMAGE_END, SEG_TOKEN, "<p>", "</p>", REGION_START, REGION_END)


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
    # The published EarthMind prompt, as its inference code writes it: "<|user|>\n{}<|end|>\n<|assistant|>\n".
    "phi3_chat": Template("<|user|>\n", "<|end|>\n", "<|assistant|>\n", "<|end|>", "\n"),
    # ChatML, as Qwen writes it.
    "chatml": Template("<|im_start|>user\n", "<|im_end|>\n", "<|im_start|>assistant\n", "<|im_end|>", "\n"),
}


@dataclass(frozen=True)
class Piece:
    """A stretch of prompt. `trusted` text may hold special tokens; `scored` text is learnt."""

    text: str
    trusted: bool
    scored: bool


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
