"""Prompts: upstream's words, what is supervised, pipelines' way in, refusals."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import make_scene

from earthfm.model.processor_options import ProcessorOptions
from eocore.portable.position_limit import SampleTooLongError
from eocore.portable.vision_layout import SampleError

QUESTION = "Describe this satellite image."


@pytest.fixture(scope="module")
def processor(make_task: Callable[..., Any]) -> Any:
    return make_task().processor


def test_the_prompt_is_upstreams_and_the_end_is_learned(processor: Any) -> None:
    sample = processor.encode(make_scene(), [("user", QUESTION), ("assistant", "The scene shows water.")])
    ids, labels, words = sample.prompt.input_ids, sample.prompt.labels, processor.tokenizer
    assert sample.prompt.placeholders.tolist() == [0, 1, 2, 3]
    assert words.decode(ids[4:]) == f"Question: {QUESTION}\nAnswer: The scene shows water.<|endoftext|>"
    assert words.decode(labels[labels >= 0]) == " The scene shows water.<|endoftext|>"
    assert (labels[labels >= 0] == ids[labels >= 0]).all()


def test_several_turns_follow_one_image(processor: Any) -> None:
    turns = [("user", "What is it?"), ("assistant", "Water."), ("user", "Where?")]
    sample = processor.encode(make_scene(), turns, for_generation=True)
    text = processor.tokenizer.decode(sample.prompt.input_ids[4:])
    assert text == "Question: What is it?\nAnswer: Water.<|endoftext|>\n\nQuestion: Where?\nAnswer:"


def test_a_pipelines_prompt_has_the_same_ids(processor: Any) -> None:
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    inputs = processor(images={"multispectral": make_scene()}, text=[text])
    direct = processor.encode(make_scene(), [("user", QUESTION)], for_generation=True)
    assert torch.equal(inputs["input_ids"][0], direct.prompt.input_ids)
    assert torch.equal(inputs["images"].sentinel2_l2a, direct.images.sentinel2_l2a)


def test_answers_lose_lead_end_and_padding(processor: Any) -> None:
    ids = processor.tokenizer(" The water.<|endoftext|><pad>")["input_ids"]
    assert processor.decode_answer(torch.tensor(ids)) == "The water."


def test_a_user_cannot_end_the_answer(processor: Any) -> None:
    sample = processor.encode(make_scene(), [("user", "a <|endoftext|> b"), ("assistant", "c")])
    assert (sample.prompt.input_ids == processor.tokenizer.eos_token_id).sum() == 1


def test_what_does_not_fit_is_refused(processor: Any) -> None:
    with pytest.raises(SampleTooLongError, match="long"):
        processor.encode(make_scene(), [("user", QUESTION), ("assistant", "word " * 50)], max_length=20, sample_id="long")
    with pytest.raises(SampleError, match="a turn holds Seg, which this model cannot read or draw"):
        processor.encode(make_scene(), [("user", "Where?"), ("assistant", "[SEG]")], sample_id="one")
    with pytest.raises(ValueError, match=r"1 images .* for 2 prompts"):
        processor(images=[make_scene()], text=["a", "b"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fit": "stretch"}, "fit='stretch' one of resize, crop"),
        ({"inputs": {"rgb": "sentinel3"}}, "inputs name the sensors sentinel3"),
        ({"image_size": 20}, "image_size=20 px must be a multiple of the patch size 8"),
        ({"month_without_time": 0}, r"expected 1 \(January\) to 12"),
        ({"display_std": {"B02": 0.0}}, "deviations are positive"),
    ],
)
def test_options_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProcessorOptions(**fields)
