"""An EarthMind model that compresses or shortens its images: answers, masks, regions, training and its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tolerances import ACROSS_DECODING

from earthmind.checkpoints.export_upstream import plan_export
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.errors import CheckpointError, ConfigError
from eocore.portable.long_options import LongInput
from eocore.portable.vision_layout import SampleError
from eocore.predict.generation import generation_settings

COMPRESSION = {"window": 16, "ratios": [1, 2, 4], "ratio": 4}
"""A tile of 32 px has 16 vision tokens."""
QUESTION = "<image>\nSegment the water, then <region>."


@pytest.fixture(scope="module")
def long(make_tiny: Callable[..., Any]) -> Any:
    """A model that compresses, and cuts images into up to 6 tiles."""
    made = make_tiny(text="qwen3", compression=COMPRESSION, processor={"max_tiles": 6})
    region = made.tokenizer.convert_tokens_to_ids("<vp>")
    made.model.config.compression = {**made.model.config.compression, "region_token_id": region}
    return made


def samples(made: Any, make_scenes: Callable[..., Any], **choices: Any) -> list[Any]:
    region = np.zeros((64, 96), bool)
    region[5:30, 40:70] = True
    shown = [make_scenes("rgb", size=(64, 96)), make_scenes("rgb", "sar", size=(64, 96), seed=1)]
    return [made.processor.encode(scenes, [("user", QUESTION)], regions=[region], for_generation=True, **choices) for scenes in shown]


def answer(made: Any, encoded: list[Any], **choices: Any) -> list[Any]:
    batch = made.processor.collate(encoded, left_pad=True)
    return made.model.answer(batch, made.processor, sizes=[(64, 96)] * len(encoded), max_new_tokens=4, **choices)


@pytest.mark.parametrize("how", [None, "compress:2", "pool:4", "choose:2", "drop:4", "off"])
def test_rows_of_a_batch_are_answered_as_alone_with_masks_and_regions(
    long: Any, make_scenes: Callable[..., Any], how: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long.model.generation_config, "sequence_bias", [[[long.processor.seg_token_id], 1e4]])
    encoded = samples(long, make_scenes)
    together = answer(long, encoded, long=how)
    assert [found.masks.shape for found in together] == [(4, 64, 96)] * 2
    for found, sample in zip(together, encoded, strict=True):
        torch.testing.assert_close(found.mask_logits, answer(long, [sample], long=how)[0].mask_logits, **ACROSS_DECODING.close)


def test_the_prompt_shrinks_and_only_a_compressed_image_does(long: Any, make_scenes: Callable[..., Any]) -> None:
    batch = long.processor.collate(samples(long, make_scenes)[:1], left_pad=True)
    embeddings, _ = long.model.embed(batch.input_ids, batch.vision)
    given = {"input_ids": batch.input_ids, "inputs_embeds": embeddings}
    images, words = 7 * 16, batch.input_ids.shape[1] - 7 * 16
    assert long.model.shorten(given, "off", pad_token_id=0) is given
    for how, left in ((None, 28), ("compress:2", 56), ("pool:4", 28), ("drop:2", 56), ("choose:2", 48)):
        shorter = long.model.shorten(given, how, pad_token_id=0)
        assert shorter["attention_mask"].sum() == words + left < words + images
    region = long.model.config.compression["region_token_id"]
    kept = long.model.shorten(given, None, pad_token_id=0)["input_ids"][0].tolist()
    assert region in kept
    assert kept.count(long.processor.image_token_id) == len(batch.vision.placeholder_index) - images > 0


def test_generate_compresses_too_and_returns_the_prompt_as_it_was(long: Any, make_scenes: Callable[..., Any]) -> None:
    inputs = long.processor(images=[make_scenes("rgb", size=(64, 96))], text="<image>\nWhat is it?")
    made = long.model.generate(**inputs, max_new_tokens=4, min_new_tokens=4)
    assert torch.equal(made[:, :-4], inputs["input_ids"])
    other = long.model.generate(**inputs, max_new_tokens=4, min_new_tokens=4, long="off")
    assert made.shape == other.shape


def test_a_training_step_reaches_the_compression_tokens_and_its_eval_equals_what_is_answered(
    long: Any, make_scenes: Callable[..., Any]
) -> None:
    mask = np.zeros((64, 96), bool)
    mask[:20] = True
    turns = [("user", "<image>\nSegment the water."), ("assistant", "Sure, [SEG].")]
    batch = long.processor.collate([long.processor.encode(make_scenes("rgb", size=(64, 96)), turns, masks=[mask])])
    model = long.model
    output = model(batch=batch)
    assert output.seg_attention is None
    prompt = long.processor.collate(
        [long.processor.encode(make_scenes("rgb", size=(64, 96)), turns[:1], for_generation=True)], left_pad=True
    )
    given = {"input_ids": prompt.input_ids, "inputs_embeds": model.embed(prompt.input_ids, prompt.vision)[0]}
    read = model.shorten(given, None, pad_token_id=0)
    step = model(
        input_ids=read["input_ids"][:, -1:],
        attention_mask=read["attention_mask"],
        position_ids=read["attention_mask"].cumsum(1)[:, -1:] - 1,
        past_key_values=read["past_key_values"],
    )
    torch.testing.assert_close(output.logits[0], step.logits[0, -1], rtol=1e-4, atol=1e-4)
    model.train()
    model.zero_grad()
    (model(batch=batch).logits.sum() + model(batch=batch).masks.chosen.sum()).backward()
    model.eval()
    decoder = model.language_model.get_decoder()
    assert decoder.compression_embedding.weight.grad.any()
    assert decoder.layers[0].self_attn.compression.v_proj.weight.grad.any()


def test_the_ratio_is_set_at_run_time_by_its_upstream_name(make_tiny: Callable[..., Any]) -> None:
    config = make_tiny(compression=COMPRESSION).model.config
    assert config.beacon_ratio == [4]
    config.beacon_ratio = [8]
    assert (config.beacon_ratio, config.compression["ratio"]) == ([8], 8)
    with pytest.raises(ValueError, match="does not divide the window of 16"):
        config.beacon_ratio = [5]
    with pytest.raises(ValueError, match="expected a list of one ratio"):
        config.beacon_ratio = 8
    with pytest.raises(ValueError, match="no compression tokens"):
        make_tiny().model.config.beacon_ratio = [8]
    assert make_tiny().model.config.beacon_ratio is None


def test_a_saved_model_compresses_alike(long: Any, make_scenes: Callable[..., Any], tmp_path: Path) -> None:
    long.model.save_pretrained(tmp_path / "model")
    again = EarthMindForConditionalGeneration.from_pretrained(tmp_path / "model").eval()
    assert again.config.compression == long.model.config.compression
    encoded = samples(long, make_scenes)
    texts = [found.text for found in answer(long, encoded)]
    assert [found.text for found in answer(type(long)(again, long.processor), encoded)] == texts
    assert again.long_input(None).ratio == 4
    again.config.beacon_ratio = [16]
    assert again.long_input(None) == again.long_input("compress:16")
    with pytest.raises(CheckpointError, match="compresses long inputs, which the upstream code cannot"):
        plan_export(tmp_path / "model")


def test_what_cannot_be_done_says_why(long: Any, tiny: Any, make_scenes: Callable[..., Any]) -> None:
    encoded = samples(long, make_scenes)
    with pytest.raises(SampleError, match=r"ratio 3 does not divide the window of 16"):
        answer(long, encoded, long="compress:3")
    with pytest.raises(SampleError, match="no compression tokens"):
        tiny.model.long_input("compress:4")
    with pytest.raises(SampleError, match="grows"):
        answer(long, encoded, cache_implementation="static")
    assert long.model.long_input(None) == LongInput("compress", 4)
    with pytest.raises(ConfigError, match="read a fixed number of tokens"):
        generation_settings({"long": "pool:4"})
    with pytest.raises(ConfigError, match="METHOD one of compress, pool"):
        generation_settings({"long": "squeeze"}, shortens=True)


def test_images_with_fewer_tokens_than_a_window_are_an_error_where_compression_was_asked_for(
    make_tiny: Callable[..., Any], make_scenes: Callable[..., Any]
) -> None:
    made = make_tiny(compression={"window": 64, "ratios": [2]})
    encoded = [made.processor.encode(make_scenes("rgb"), [("user", "<image>\nWhat?")], for_generation=True)]
    assert answer(made, encoded)
    with pytest.raises(SampleError, match=r"prompt 0: its images have 16 vision tokens, fewer than a window of 64"):
        answer(made, encoded, long="compress:2")
