"""Answers of dictated length: every batch does the stated work through the model's own `answer`, and its time is told apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from eocore.errors import ConfigError
from eocore.predict.generation import generation_settings
from profiling.earthmind.inference import PARTS, Answers, build_answers, measure_answers
from profiling.earthmind.samples import KINDS


@pytest.fixture(scope="module")
def answers(make_fields: Callable[..., dict[str, Any]]) -> Answers:
    fields = make_fields(tie=False)
    fields["text_config"]["vocab_size"] = 400
    task = {"model": fields, "tokenizer": {}, "processor": {"max_tiles": 12}, "losses": {"num_points": 32}}
    return build_answers(task, None, device=torch.device("cpu"), dtype=torch.float32, generation={})


@pytest.mark.parametrize("name", ["vqa", "pair", "region", "seg"])
def test_answers_are_those_dictated(answers: Answers, name: str) -> None:
    kind, given = KINDS[name], []
    (batch,) = answers.questions(name, together=2, new_tokens=7)
    whole = answers.model.answer
    with mock.patch.object(answers.model, "answer", lambda *parts, **named: given.extend(whole(*parts, **named))):
        answers.ask([batch])
    assert [answer.text for answer in given] == ["[SEG]" * kind.masks + "a" * (7 - kind.masks)] * 2
    assert [answer.masks.shape for answer in given] == [(kind.masks, *size) for size in batch.sizes]
    vision = sum(int((sample.input_ids == answers.processor.image_token_id).sum()) for sample in batch.samples)
    assert sum(len(sample.input_ids) for sample in batch.samples) - vision == 2 * (kind.text - kind.supervised)
    assert not torch.equal(batch.samples[0].tiles, batch.samples[1].tiles)


def test_a_row_tells_speed_memory_parts_and_operators(answers: Answers) -> None:
    rows = {name: measure_answers(answers, name, together=2, new_tokens=8, repeats=1) for name in ("vqa", "seg")}
    for name, row in rows.items():
        assert row["what"] == f"{name}, batch 2" and row["new tokens"] == 8 and row["prompt tokens"] == len_of(answers, name)
        seconds = {part: float(row[f"{part} s"]) for part in PARTS}
        masks = {part: value for part, value in seconds.items() if part.startswith("SAM 2")}
        assert all(value > 0 for part, value in seconds.items() if part not in masks)
        assert all(value > 0 for value in masks.values()) == (name == "seg")
        assert sum(seconds.values()) == pytest.approx(2 / float(row["samples/s"]))
        assert float(row["new tokens/s"]) == pytest.approx(8 * float(row["samples/s"]))
        assert float(row["operators"]) > 100 and float(row["peak GiB"]) > 0
    assert rows["seg"]["operators"] > rows["vqa"]["operators"]
    assert not vars(answers.model).keys() & {"look", "generate", "_start"}  # nothing of the measurement stays


def len_of(answers: Answers, name: str) -> int:
    return len(answers.questions(name, together=1, new_tokens=8)[0].samples[0].input_ids)


def test_every_step_is_taken_once(answers: Answers) -> None:
    """Tiles and the SAM 2 image are seen once a question, the decoder reads the prompt, then token by token."""
    (batch,) = answers.questions("seg", together=2, new_tokens=6)
    lengths: list[int] = []
    decoder = answers.model.language_model.get_decoder()
    hook = decoder.register_forward_pre_hook(lambda _, args, named: lengths.append(reading(named)), with_kwargs=True)
    answers.ask([batch])
    hook.remove()
    assert lengths == [len(batch.samples[0].input_ids)] + [1] * 5  # the sixth is no [SEG], so that nothing needs its state


def reading(named: dict[str, Any]) -> int:
    given = named["inputs_embeds"] if named.get("inputs_embeds") is not None else named["input_ids"]
    return int(given.shape[1])


def test_a_model_of_a_folder_is_asked_with_its_own_tokenizer(our_folder: Path) -> None:
    made = build_answers(None, our_folder, device=torch.device("cpu"), dtype=torch.float32, generation={})
    row = measure_answers(made, "vqa", together=2, new_tokens=4, repeats=1)
    assert float(row["samples/s"]) > 0 and row["new tokens"] == 4


def test_mistakes_are_named(answers: Answers) -> None:
    with pytest.raises(ConfigError, match="sample kind seg has 5 masks, each a token of the answer; --new-tokens is 3"):
        answers.questions("seg", together=1, new_tokens=3)
    with pytest.raises(ConfigError, match="give --config for its sizes, or --model"):
        build_answers(None, None, device=torch.device("cpu"), dtype=torch.float32, generation={})


def test_operators_of_a_compiled_step_are_those_of_the_uncompiled(answers: Answers) -> None:
    found = {}
    for compiled in (False, {"backend": "eager"}):
        settings = generation_settings({"cache_implementation": "static", "compile": compiled})
        one = Answers(answers.model, answers.processor, generation=settings)
        found[bool(compiled)] = measure_answers(one, "vqa", new_tokens=3, repeats=1)["operators"]
    torch.compiler.reset()
    assert found[True] == found[False]
