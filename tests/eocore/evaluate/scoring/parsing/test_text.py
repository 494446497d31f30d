"""What answers say once reasoning and wrappers are taken off."""

import pytest

from eocore.evaluate.scoring.parsing.text import final_answer, plain, said, short_answer


@pytest.mark.parametrize(
    ("answer", "rest"),
    [
        ("<think>A?</think>B", "B"),
        ("<THINKING>\nA?\n</THINKING>\nB", "B"),
        ("so it is A </think> B", "B"),
        ("<think>it continues", ""),
        ("\u25c1think\u25b7A?\u25c1/think\u25b7B", "B"),
        ("B<|im_end|><|endoftext|>", "B"),
        ("<b>2 < 3</b>", "<b>2 < 3</b>"),
        ("B</s>", "B"),
    ],
)
def test_reasoning_and_chat_tokens_go(answer, rest):
    assert said(answer).strip() == rest
    assert said(said(answer)) == said(answer)


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        ("Because ... <answer> B </answer>", "B"),
        ("so \\boxed{\\text{B. forest}} it is", "B. forest"),
        ("\\boxed{A} or \\boxed{B}", "A, B"),
        ("<answer>B</answer> <answer>B</answer>", "B"),
        ('```json\n{"Final Answer": "B"}\n```', "B"),
        ('{"answer": 2}', "2"),
        ('["A", "C"]', "A, C"),
        ('{"reason": "B"}', '{"reason": "B"}'),
        ('{"answer": tru', '{"answer": tru'),
    ],
)
def test_final_answers(answer, final):
    assert final_answer(answer) == final


def test_short_answers_lose_their_lead():
    assert [short_answer(text) for text in ("Answer: yes", "The answer is: two", "**Answer:** red", "answers vary")] == [
        "yes",
        "two",
        "red",
        "answers vary",
    ]


def test_plain():
    assert plain(' "\uff22.  Forest" \n') == "b. forest"
