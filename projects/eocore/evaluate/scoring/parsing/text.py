"""What an answer says once reasoning, chat tokens and the wrappers of a final answer are taken off."""

import json
import re
import unicodedata
from collections.abc import Mapping

_THINKING = re.compile(
    r"<(think|thinking|thought|reasoning|reflection|analysis)>.*?(?:</\1>|\Z)|\u25c1think\u25b7.*?(?:\u25c1/think\u25b7|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_UNSEEN = re.compile(r"[\u200b-\u200f\u2060\ufeff]")
"""Spaces without width, marks of direction, and the byte order mark."""
_END_OF_THINKING = re.compile(r"</(?:think|thinking|thought|reasoning|reflection|analysis)>|\u25c1/think\u25b7", re.IGNORECASE)
"""Chat templates that open the block themselves leave its end alone in the answer."""
_CHAT_TOKEN = re.compile(
    r"<\|(?!begin_of_box|end_of_box|box_start|box_end)[a-z_]{2,20}\|>|</s>|<(?:eos|bos|pad|end_of_turn)>", re.IGNORECASE
)
_ANSWER_TAG = re.compile(r"<(answer|final_answer)>(.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_GLM_BOX = re.compile(r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|\Z)", re.DOTALL)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_STYLE = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathsf|mbox)\s*\{([^{}]*)\}")
_FENCE = re.compile(r"```[a-z]*\s*\n?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_ANSWER_KEYS = ("final_answer", "answer", "choice", "option", "letter", "prediction", "result")
MAX_JSON = 10_000
"""Characters of a text that is tried as a JSON answer; a longer one is no short answer."""


def said(answer: str) -> str:
    """The answer without blocks of reasoning and without chat tokens.

    A block that was never closed ends with the text: a model that was cut off while it reasoned has not answered.
    """
    text = _THINKING.sub(" ", _UNSEEN.sub("", answer))
    ends = [match.end() for match in _END_OF_THINKING.finditer(text)]
    return _CHAT_TOKEN.sub(" ", text[ends[-1] :] if ends else text)


def final_answer(answer: str) -> str:
    r"""What stands in <answer>, \boxed{}, or the answer field of a JSON object; else all that was said. Several different ones are joined
    by commas, so that a reader of one choice finds several."""
    text = said(answer)
    for pattern, group in ((_ANSWER_TAG, 2), (_GLM_BOX, 1), (_BOXED, 1)):
        parts = [match[group].strip() for match in pattern.finditer(text) if match[group].strip()]
        if parts:
            text = ", ".join(dict.fromkeys(parts))
    text = _STYLE.sub(r"\1", _GLM_BOX.sub(r"\1", text))
    return _of_json(text) or text


def short_answer(answer: str) -> str:
    """The final answer without "Answer:" or "The answer is" in front of it."""
    return _LEAD.sub("", final_answer(answer).strip().strip("*"), count=1)


_LEAD = re.compile(r"^(?:so,? |therefore,? |thus,? )?(?:the |my )?(?:final |correct )?answer(?:\s*\**:\**|\s+is\b:?)\s*", re.IGNORECASE)


def _of_json(text: str) -> str | None:
    """The answer field of a text that is nothing but a JSON object or list of texts, in a code fence or not."""
    fence = _FENCE.search(text)
    bare = (fence[1] if fence else text).strip()
    if not bare.startswith(("{", "[")) or len(bare) > MAX_JSON:
        return None
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, Mapping):
        named = {str(key).casefold().replace(" ", "_"): item for key, item in value.items()}
        value = next((named[key] for key in _ANSWER_KEYS if key in named), None)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in values):
        return None
    return ", ".join(map(str, values))


def plain(text: str) -> str:
    """Lower case, full-width characters as plain ones (NFKC), one space between words, marks around it gone."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_DECORATION)


_DECORATION = " \t\r\n\"'`*_.,;:!\u201c\u201d\u2018\u2019\u00ab\u00bb#"
