"""Questions that join a running batch: each fails, ends and is given up by itself."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from image_chat import Model, Processor, make_model, make_tokenizer

from eocore.portable.answer_row import AnswerRow, RowOptions
from eocore.portable.prompt_batching import collate_prompts
from eocore.portable.running_batch import ReadPrompts
from eocore.predict.joining import Asked, JoinedAnswers, JoiningAnswerer, Left

BROKEN = "broken"


class Answerer:
    """Answers about text alone, and refuses some."""

    watched: int | None = None

    def __init__(self) -> None:
        self.processor = Processor(make_tokenizer())
        self.model: Model = make_model(len(self.processor.tokenizer))
        self.unfinished: set[str] = set()

    def row_settings(self) -> dict[str, Any]:
        return {"do_sample": False, "pad_token_id": self.processor.pad_token_id}

    def read(self, prepared: Sequence[str]) -> ReadPrompts:
        if BROKEN in prepared:
            raise ValueError("broken")
        prompts = [self.processor.encode([("user", text)], has_image=False, for_generation=True) for text in prepared]
        return self.model.read_rows(collate_prompts(prompts, pad_token_id=self.processor.pad_token_id, left_pad=True))

    def finish(self, prepared: Sequence[str], rows: Sequence[AnswerRow]) -> list[list[int]]:
        if self.unfinished & set(prepared):
            raise ValueError("cannot be drawn")
        return [row.tokens for row in rows]


@pytest.fixture
def answerer() -> Iterator[Answerer]:
    made = Answerer()
    assert isinstance(made, JoiningAnswerer)
    yield made


def ask(answerer: Answerer, text: str, *, length: int = 6, **fields: Any) -> Asked:
    return Asked(key=text, prepared=text, options=RowOptions(max_new_tokens=length, settings=answerer.row_settings()), **fields)


def run(joined: JoinedAnswers) -> dict[str, Left]:
    left: dict[str, Left] = {}
    while len(joined):
        left |= {one.asked.key: one for one in joined.step()}
    return left


def test_what_cannot_be_read_or_finished_costs_no_other_its_answer(answerer: Answerer) -> None:
    joined = JoinedAnswers(answerer)
    counts: list[int] = []
    (refused,) = joined.join([ask(answerer, "a", begin=counts.append), ask(answerer, BROKEN), ask(answerer, "b b"), ask(answerer, "c")])
    assert refused.asked.key == BROKEN and str(refused.error) == "broken" and len(joined) == 3
    answerer.unfinished = {"c"}
    left = run(joined)
    assert str(left["c"].error) == "cannot be drawn" and left["c"].answer is None and counts[0] > 1
    for text in ("a", "b b"):
        alone = JoinedAnswers(answerer)
        alone.join([ask(answerer, text)])
        assert left[text].answer == run(alone)[text].answer and len(left[text].answer) == 6


def test_an_answer_that_nobody_wants_is_not_finished(answerer: Answerer) -> None:
    joined = JoinedAnswers(answerer)
    joined.join([ask(answerer, "a", is_wanted=lambda: False), ask(answerer, "b", length=9)])
    answerer.unfinished = {"a"}
    left = run(joined)
    assert left["a"].answer is left["a"].error is None and len(left["b"].answer) == 9


def test_a_failed_pass_costs_those_that_share_it_and_later_ones_nothing(answerer: Answerer) -> None:
    joined = JoinedAnswers(answerer)
    joined.join([ask(answerer, "a"), ask(answerer, "b")])
    hook = answerer.model.language_model.get_decoder().register_forward_pre_hook(lambda *_: torch.zeros(2) @ torch.zeros(3))
    assert all(isinstance(one.error, RuntimeError) for one in joined.step()) and not len(joined)
    hook.remove()
    joined.join([ask(answerer, "c")])
    hook = answerer.model.get_output_embeddings().register_forward_pre_hook(lambda *_: torch.zeros(2) @ torch.zeros(3))
    lost = joined.join([ask(answerer, "d"), ask(answerer, "e")])
    assert [one.asked.key for one in lost] == ["d", "e"] and all(isinstance(one.error, RuntimeError) for one in lost)
    hook.remove()
    assert list(left := run(joined)) == ["c"] and len(left["c"].answer) == 6
