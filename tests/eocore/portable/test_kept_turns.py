"""Conversations of which a chat template would leave something out."""

from functools import partial
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from eocore.portable.chat_templates import get_template
from eocore.portable.kept_turns import check_turns_kept

SYSTEM, QUESTION = {"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "What is water?"}
ANY_ROLE = (
    "{% for m in messages %}{{ '[' + m['role'] + ']' }}"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{{ m['content'][0]['text'] }}{% endif %}{% endfor %}"
)
USERS_ALONE = "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}"
FIRST_SYSTEM = (
    "{{ messages[0]['content'] }}{% for m in messages[1:] %}{% if m['role'] != 'system' %}{{ m['content'] }}{% endif %}{% endfor %}"
)


def write(conversation: Any, template: str) -> str:
    return str(render_jinja_template([conversation], chat_template=template)[0][0])


def check(conversation: Any, template: str) -> None:
    check_turns_kept(conversation, partial(write, template=template), template=None)


@pytest.mark.parametrize(
    "conversation", [[SYSTEM, QUESTION], [QUESTION, SYSTEM, QUESTION], [SYSTEM, SYSTEM, QUESTION], [[QUESTION], [SYSTEM]]]
)
def test_what_a_template_writes_passes(conversation: Any) -> None:
    check(conversation, ANY_ROLE)
    check([{**SYSTEM, "content": [{"type": "text", "text": "Be brief."}]}, QUESTION], ANY_ROLE)


@pytest.mark.parametrize(
    ("conversation", "template", "lost"),
    [
        ([SYSTEM, QUESTION], USERS_ALONE, r"0 \(system\) of 2"),
        ([QUESTION, {"role": "tool", "content": "42"}], USERS_ALONE, r"1 \(tool\) of 2"),
        ([SYSTEM, QUESTION, SYSTEM], FIRST_SYSTEM, r"2 \(system\) of 3"),
        ([[QUESTION], [SYSTEM, QUESTION]], USERS_ALONE, r"0 \(system\) of 2"),
    ],
)
def test_what_a_template_leaves_out_is_refused(conversation: Any, template: str, lost: str) -> None:
    with pytest.raises(ValueError, match=f"the chat template leaves out turn {lost}; the model would not see it"):
        check(conversation, template)


def test_a_refusal_of_the_template_says_what_to_do() -> None:
    with pytest.raises(
        ValueError, match=r"does not take turns of the roles system: role 'system' is unknown.*in front of the first question"
    ):
        check([SYSTEM, QUESTION], get_template("chatml").text)
    with pytest.raises(ValueError, match="no system turn, so that one would be lost"):
        check_turns_kept([SYSTEM, QUESTION], str, template=get_template("phi3_chat"))


def test_parts_that_the_own_templates_do_not_write() -> None:
    content = [{"type": "text", "text": "What?"}, {"type": "video", "path": "a.mp4"}]
    with pytest.raises(ValueError, match="turn 0 has parts of type video, which this model does not read"):
        check_turns_kept([{"role": "user", "content": content}], str, template=get_template("phi3_chat"))
    check_turns_kept([{"role": "user", "content": [*content[:1], {"type": "image"}]}], str, template=get_template("phi3_chat"))
