"""Answers to records: what is asked, in which batch, and the size of the masks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tolerances import ACROSS_DECODING

from earthmind.predictor import RecordAnswerer
from eocore.data.records import MaskRef, Record
from eocore.portable.messages import read_turns


def record(number: int, *turns: str, **parts: Any) -> Record:
    return Record(f"s{number}", (), read_turns(turns), source=f"f#{number}", **parts)


@pytest.fixture
def samples(make_scenes: Callable[..., Any]) -> list[Any]:
    """Records of unlike sensors and lengths, the first with a second question that is not to be asked, the last of text alone."""
    made = [make_scenes("rgb", "sar"), make_scenes("sar", seed=2, size=(30, 60)), make_scenes("multispectral", seed=3)]
    scenes = [[Shown(scene, role) for role, scene in group.items()] for group in made]
    region = MaskRef("box", [0, 0, 20, 20])
    return [
        (record(0, "<image>\nsegment the water in this image.", "Sure, [SEG].", "And what else?", "Nothing."), scenes[0]),
        (record(1, "<image>\nWhat?"), scenes[1]),
        (record(2, "<image>\nWhat is <region>?", regions=(region,)), scenes[2]),
        (record(3, "Hello"), []),
    ]


class Shown:
    """A scene that tells its size and its role, as those that are read do."""

    def __init__(self, scene: Any, role: str) -> None:
        self.role = role
        self.pixels, self.bands, self.unit = scene.pixels, scene.bands, scene.unit
        self.size = scene.pixels.shape[1:]


def test_a_batch_answers_as_each_record_alone(tiny: Any, samples: list[Any]) -> None:
    answerer = RecordAnswerer(tiny.model, tiny.processor, max_new_tokens=6)
    together = answerer(samples)
    alone = [answerer([sample])[0] for sample in samples]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    for first, second in zip(together, alone, strict=True):
        assert first.masks.shape == second.masks.shape
        torch.testing.assert_close(first.mask_logits, second.mask_logits, **ACROSS_DECODING.close)


def test_the_first_question_is_asked_with_what_is_shown_and_nothing_more(
    tiny: Any, samples: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(tiny.model, "answer", lambda batch, processor, **settings: asked.append({"batch": batch, **settings}) or [])
    RecordAnswerer(tiny.model, tiny.processor, max_new_tokens=9)(samples)
    (call,) = asked
    assert call["sizes"] == [(48, 48), (30, 60), (48, 48), (1, 1)] and call["max_new_tokens"] == 9
    ids, mask = call["batch"].input_ids, call["batch"].attention_mask.bool()
    texts = [tiny.tokenizer.decode(row[keep]).replace("<IMG_CONTEXT>", "") for row, keep in zip(ids, mask, strict=True)]
    assert texts[0] == "<|user|>\n<img></img>\nsegment the water in this image.<|end|>\n<|assistant|>\n"
    assert texts[3] == "<|user|>\nHello<|end|>\n<|assistant|>\n"
    assert "What is <vp></vp>?" in texts[2]


def test_masks_have_the_size_of_the_image(make_tiny: Callable[..., Any], samples: list[Any]) -> None:
    """A model that says nothing but [SEG]."""
    made = make_tiny(tie=False)
    head = torch.nn.Linear(32, len(made.tokenizer))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.bias[made.processor.seg_token_id] = 9.0
    made.model.set_output_embeddings(head)
    answers = RecordAnswerer(made.model, made.processor, max_new_tokens=2)(samples)
    assert [answer.text for answer in answers] == ["[SEG][SEG]"] * 4
    assert [answer.masks.shape for answer in answers] == [(2, 48, 48), (2, 30, 60), (2, 48, 48), (0, 1, 1)]
    assert all(answer.masks.dtype == np.bool_ for answer in answers)


def test_a_cache_of_fixed_size_gives_the_same_answers(tiny: Any, samples: list[Any]) -> None:
    usual = RecordAnswerer(tiny.model, tiny.processor, max_new_tokens=6)(samples)
    fixed = RecordAnswerer(tiny.model, tiny.processor, max_new_tokens=6, generation={"cache_implementation": "static"})(samples)
    assert [answer.text for answer in fixed] == [answer.text for answer in usual]
    for first, second in zip(fixed, usual, strict=True):
        torch.testing.assert_close(first.mask_logits, second.mask_logits, **ACROSS_DECODING.close)
