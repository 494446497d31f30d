"""Messages that a chat template would drop without a word."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eocore.portable.chat_templates import INTO_THE_QUESTION, NO_SYSTEM, Template
from eocore.portable.messages import ROLES, SYSTEM

PART_KINDS = ("text", "image", "image_url")
"""Parts of a message that the templates beside this file write; transformers makes `image_url` an image."""
_FIRST, _LAST = 0xE000, 0xF8FF
"""Unicode's private use area: characters that no template holds."""


def check_turns_kept(conversation: Any, write: Callable[[Any], Any], *, template: Template | None) -> None:
    """Raise ValueError if a message of the conversation would not stand in its prompt, or the template refuses its role.

    Each message is written with a mark in place of its words; what has no mark in the prompt would be lost.

    Args:
        conversation: messages as `apply_chat_template` takes them, one conversation or a list of them.
        write: conversation -> prompt, or prompts.
        template: the processor's own, which writes texts and images alone; None = another one.
    """
    first = conversation[0] if isinstance(conversation, (list, tuple)) and conversation else conversation
    for messages in conversation if isinstance(first, (list, tuple)) or hasattr(first, "content") else [conversation]:
        plain = [message for message in messages if isinstance(message, Mapping)]
        if template is not None:
            for number, message in enumerate(plain):
                _check_parts(message.get("content"), number)
            if template.system is None and any(message.get("role") == SYSTEM for message in plain):
                raise ValueError(NO_SYSTEM)
        _check_roles(plain, write)


def _check_roles(messages: Sequence[Mapping[str, Any]], write: Callable[[Any], Any]) -> None:
    others = [str(message.get("role")) for message in messages if message.get("role") not in ROLES]
    if not others:
        return
    marks = [chr(_FIRST + number % (_LAST - _FIRST)) for number in range(len(messages))]
    marked = [_marked(message, mark) for message, mark in zip(messages, marks, strict=True)]
    try:
        written = str(write(marked))
    except Exception as error:  # the template's own refusal: an error of jinja2, which shipped code does not import
        raise ValueError(f"the chat template does not take turns of the roles {', '.join(others)}: {error} {_remedy(others)}") from error
    lost = [number for number, mark in enumerate(marks) if mark not in written]
    if lost:
        roles = ", ".join(f"{number} ({messages[number].get('role')})" for number in lost)
        raise ValueError(f"the chat template leaves out turn {roles} of {len(messages)}; the model would not see it. {_remedy(others)}")


def _remedy(roles: Sequence[str]) -> str:
    return INTO_THE_QUESTION if SYSTEM in roles else "Write it as a turn of the user or the assistant."


def _marked(message: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """The message with a mark as its only words, in the form that its content has."""
    content = message.get("content")
    return {**message, "content": mark if isinstance(content, str) or content is None else [{"type": "text", "text": mark}]}


def _check_parts(content: Any, number: int) -> None:
    """Raise ValueError if a message has a part that the templates do not write."""
    parts = content if isinstance(content, (list, tuple)) else []
    other = sorted({str(part.get("type")) for part in parts if isinstance(part, Mapping)} - set(PART_KINDS))
    if other:
        raise ValueError(
            f"turn {number} has parts of type {', '.join(other)}, which this model does not read; they would be left out. Give "
            "texts and images."
        )
