"""Rows that enter and leave a batch that is being continued are answered as alone."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from image_chat import Model, Processor, make_model, make_tokenizer
from transformers import LlamaConfig, Qwen2Config

from eocore.portable.answer_row import AnswerRow, RowOptions
from eocore.portable.messages import IMAGE_PLACEHOLDER
from eocore.portable.prompt_batching import PromptBatch, collate_prompts, to_inputs
from eocore.portable.running_batch import RunningBatch, can_join

LENGTHS = (3, 90, 40, 1, 12, 60)
QUESTIONS = ("What?", "How many buildings are there in the west?", "Where is it? " * 12, "Is there water?", "Hm", "And the east?")


@pytest.fixture(scope="module")
def processor() -> Processor:
    return Processor(make_tokenizer())


@pytest.fixture(scope="module")
def model(processor: Processor) -> Model:
    return make_model(len(processor.tokenizer))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(len(QUESTIONS), 4, generator=torch.Generator().manual_seed(1))


def batch_of(processor: Processor, numbers: Sequence[int]) -> PromptBatch:
    asked = [f"{IMAGE_PLACEHOLDER}\n{QUESTIONS[number]}" for number in numbers]
    prompts = [processor.encode([("user", text)], has_image=True, for_generation=True) for text in asked]
    return collate_prompts(prompts, pad_token_id=processor.pad_token_id, left_pad=True)


class Joining:
    """A batch, and what it is asked."""

    def __init__(self, model: Model, processor: Processor, images: torch.Tensor, **fields: Any) -> None:
        self.model, self.processor, self.images, self.fields = model, processor, images, fields
        self.batch = RunningBatch(model, **fields)

    def join(self, numbers: Sequence[int], **options: Any) -> list[AnswerRow]:
        prompts = self.model.read_rows(batch_of(self.processor, numbers), self.images[list(numbers)])
        settings = {"do_sample": False, "pad_token_id": self.processor.pad_token_id, **options.pop("settings", {})}
        made = [RowOptions(max_new_tokens=LENGTHS[number], settings=settings, **options) for number in numbers]
        rows = [AnswerRow(self.model, ids, options=own) for ids, own in zip(prompts.ids(), made, strict=True)]
        with torch.no_grad():
            self.batch.join(prompts, rows)
        return rows

    @torch.no_grad()
    def run(self, steps: int | None = None) -> list[AnswerRow]:
        left = []
        while self.batch.rows and steps != 0:
            left += self.batch.step()
            steps = None if steps is None else steps - 1
        return left


@pytest.fixture
def joining(model: Model, processor: Processor, images: torch.Tensor) -> Joining:
    return Joining(model, processor, images)


@pytest.fixture(scope="module")
def alone(model: Model, processor: Processor, images: torch.Tensor) -> Callable[..., list[int]]:
    def ask(number: int, **settings: Any) -> list[int]:
        batch = batch_of(processor, [number])
        settings = {"do_sample": False, "pad_token_id": processor.pad_token_id, "max_new_tokens": LENGTHS[number], **settings}
        made = model.generate(**to_inputs(batch), images=images[number : number + 1], **settings)
        return list(made[0, batch.input_ids.shape[1] :].tolist())

    return ask


def test_rows_enter_and_leave_and_answers_are_those_of_each_alone(joining: Joining, alone: Callable[..., list[int]]) -> None:
    rows = joining.join([0, 1])
    joining.run(steps=10)
    assert joining.batch.rows == [rows[1]]  # the other has left
    rows += joining.join([2])
    joining.run(steps=5)
    rows += joining.join([3, 4, 5])
    left = joining.run()
    assert len(left) == 5 and {len(row.tokens) for row in left} <= set(LENGTHS)
    assert [row.tokens for row in rows] == [alone(number) for number in range(6)]
    assert len({tuple(row.tokens[:1]) for row in rows}) > 1 and all(row.error is None and not row.is_cut for row in rows)


def test_a_row_that_is_taken_out_changes_no_other(joining: Joining, alone: Callable[..., list[int]]) -> None:
    first, second, third = joining.join([1, 2, 5])
    joining.run(steps=4)
    joining.batch.drop(second)
    joining.batch.drop(second)
    assert len(second.tokens) == 5
    joining.run()
    assert [first.tokens, third.tokens] == [alone(1), alone(5)] and not joining.batch.rows


def test_an_error_costs_its_own_row_alone(joining: Joining, alone: Callable[..., list[int]]) -> None:
    def hear(token: int) -> bool:
        raise RuntimeError("nobody listens")

    def process(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores if ids.shape[1] % 7 else scores[:, :0]

    (good,) = joining.join([1])
    (deaf,) = joining.join([2], hear=hear)
    (broken,) = joining.join([5], processors=[process])
    left = joining.run()
    assert isinstance(deaf.error, RuntimeError) and broken.error is not None and set(left) == {good, deaf, broken}
    assert good.tokens == alone(1) and broken.tokens == alone(5)[: len(broken.tokens)]


def test_drawn_answers_follow_from_their_own_seed(joining: Joining, alone: Callable[..., list[int]]) -> None:
    settings = {"do_sample": True, "temperature": 2.0, "top_k": 20}
    (first,), (greedy,) = joining.join([1], settings=settings, seed=7), joining.join([5])
    joining.run(steps=3)
    (second,) = joining.join([2], settings={"do_sample": True}, seed=8)
    joining.run()
    torch.manual_seed(7)
    assert first.tokens == alone(1, **settings)
    torch.manual_seed(8)
    assert second.tokens == alone(2, do_sample=True)
    assert greedy.tokens == alone(5)


def test_options_are_those_of_each_row(joining: Joining, alone: Callable[..., list[int]], processor: Processor) -> None:
    plain = alone(1)
    text = processor.tokenizer.decode(plain[4:6])
    each = (
        {"stop_strings": [text], "tokenizer": processor.tokenizer},
        {"eos_token_id": [plain[3]]},
        {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
        {"eos_token_id": [plain[0]], "min_new_tokens": 5},
    )
    rows = [joining.join([1], settings=settings)[0] for settings in each]
    (heard,) = joining.join([1], hear=lambda token: token == plain[2])
    joining.run()
    assert [row.tokens for row in rows] == [alone(1, **settings) for settings in each]
    assert heard.tokens == plain[: plain.index(plain[2]) + 1]


def test_an_answer_ends_at_the_last_position(joining: Joining, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    length = len(joining.join([1])[0].prompt)
    joining.batch.clear()
    monkeypatch.setattr(model.config.text_config, "max_position_embeddings", length + 6)
    (row,) = joining.join([1])
    joining.run()
    assert len(row.tokens) == 6 and row.is_cut


def test_states_of_watched_tokens_are_kept_even_of_the_last(
    model: Model, processor: Processor, images: torch.Tensor, alone: Callable[..., list[int]]
) -> None:
    tokens = alone(4)
    joining = Joining(model, processor, images, watched=tokens[-1])
    joining.join([1])
    (row,) = joining.join([4])
    joining.run()
    batch = batch_of(processor, [4])
    ids = torch.cat([batch.input_ids, torch.tensor([tokens])], dim=1)
    embeddings = model.embed(ids, batch.placeholders, tokens=model.encode_images(images[4:5]))
    whole = model.language_model.get_decoder()(inputs_embeds=embeddings).last_hidden_state[0, -len(tokens) :]
    expected = [state for token, state in zip(tokens, whole, strict=True) if token == tokens[-1]]
    assert len(row.states) == len(expected) > 0
    torch.testing.assert_close(torch.stack(row.states), torch.stack(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "settings", [{"cache_implementation": "static"}, {"streamer": object()}, {"stopping_criteria": []}, {"logits_processor": []}]
)
def test_options_of_a_whole_batch_cannot_be_joined(model: Model, settings: dict[str, Any]) -> None:
    assert can_join(model, {"do_sample": True, "tokenizer": object()}) and not can_join(model, settings)


@pytest.mark.parametrize(
    "config",
    [
        Qwen2Config(use_sliding_window=True, sliding_window=8, max_window_layers=0),
        LlamaConfig(rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}),
    ],
)
def test_models_that_forget_or_change_cannot_be_joined(model: Model, config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.config, "text_config", config)
    assert not can_join(model, {})
