"""Images numbered within their prompts: joined by anyone, they are the batch that the processor would have made."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.pipelines.base import pad_collate_fn

from eocore.portable.row_inputs import ROW_INPUTS, from_rows
from eocore.portable.row_packing import VisionInputs

TEXTS = ("<image>\nWhat?", "Hello", "<image>\nsegment the water in this image.", "<image>\nWhat is the area used for?")


@pytest.fixture
def prompts(tiny: Any, make_scenes: Callable[..., Any]) -> list[dict[str, Any]]:
    shown = [make_scenes("rgb"), None, make_scenes("rgb", "sar", seed=1), make_scenes("sar", seed=2)]
    return [dict(tiny.processor(images=images, text=text)) for images, text in zip(shown, TEXTS, strict=True)]


def flat(made: Any, batch: dict[str, Any]) -> VisionInputs | None:
    rows = {name: batch[name] for name in ROW_INPUTS}
    sizes = {"image_token_id": made.processor.image_token_id, "tokens_per_tile": made.model.config.tokens_per_tile}
    return from_rows(rows, batch["input_ids"], attention_mask=batch["attention_mask"], **sizes)


def test_prompts_joined_by_transformers_show_what_they_show_alone(tiny: Any, prompts: list[dict[str, Any]]) -> None:
    joined = pad_collate_fn(tiny.tokenizer, None)(prompts)
    assert joined["input_ids"].shape[0] == joined["tile_counts"].shape[0] == 4
    assert joined["attention_mask"][:, -1].all() and not joined["attention_mask"][0, 0]
    with torch.no_grad():
        positions = (joined["attention_mask"].cumsum(1) - 1).clamp(min=0)
        together = tiny.model(**joined, position_ids=positions, logits_to_keep=1).logits
        for row, prompt in enumerate(prompts):
            torch.testing.assert_close(together[row], tiny.model(**prompt, logits_to_keep=1).logits[0], atol=1e-5, rtol=0)


def test_the_processor_gives_the_same_for_many_as_for_each(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    images = [[make_scenes("rgb")["rgb"]], list(make_scenes("sar", "rgb").values())]
    many = tiny.processor(images=images, text=["<image>\nWhat?", "<image>\nsegment"])
    each = [tiny.processor(images=[shown], text=text) for shown, text in zip(images, ("<image>\nWhat?", "<image>\nsegment"), strict=True)]
    for name in ROW_INPUTS:
        assert torch.equal(many[name], torch.cat([one[name] for one in each])), name


def test_numbers_of_the_whole_batch_are_those_of_collate(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    shown = [make_scenes("rgb"), {}, make_scenes("rgb", "sar", seed=1)]
    texts = ("<image>\nWhat?", "Hello", "<image>\nsegment")
    batch = tiny.processor.collate(
        [tiny.processor.encode(images, [("user", text)], for_generation=True) for images, text in zip(shown, texts, strict=True)],
        left_pad=True,
    )
    prompts = [f"<|user|>\n{text}<|end|>\n<|assistant|>\n" for text in texts]
    called = tiny.processor(images=[images or [] for images in shown], text=prompts)
    found = flat(tiny, dict(called))
    assert torch.equal(called["input_ids"], batch.input_ids)
    for name in ("tiles", "placeholder_index", "vision_index"):
        assert torch.equal(getattr(found, name), getattr(batch.vision, name)), name
    # the numbers of places and sensors differ, what stands together does not
    for ours, theirs in zip(found.tile_group, batch.vision.tile_group, strict=True):
        assert torch.equal(ours[:, None] == ours, theirs[:, None] == theirs)


def test_text_alone_shows_nothing(tiny: Any, prompts: list[dict[str, Any]]) -> None:
    assert flat(tiny, prompts[1]) is None


class TestErrors:
    def test_prompts_padded_at_their_end(self, tiny: Any, prompts: list[dict[str, Any]]) -> None:
        words = tiny.tokenizer
        try:
            words.padding_side = "right"
            joined = pad_collate_fn(words, None)(prompts)
        finally:
            words.padding_side = "left"
        with pytest.raises(ValueError, match=r"prompts are padded at their end, where the answers begin. Set padding_side='left'"):
            tiny.model.generate(**joined, max_new_tokens=1)

    def test_prompts_that_were_lost(self, tiny: Any, make_scenes: Callable[..., Any]) -> None:
        """The pipelines keep the first prompt alone of an item that holds several of unequal length."""
        pictures = [make_scenes("rgb")["rgb"]] * 2
        items = [dict(tiny.processor(images=pictures, text=["<image>\nWhat?", f"<image>\n{text}"])) for text in ("a", "segment the water")]
        joined = pad_collate_fn(tiny.tokenizer, None)(items)
        with pytest.raises(ValueError, match=r"2 prompts, but numbers of tiles for 4, together 4, and 4 tiles: .* an item of its own"):
            tiny.model.generate(**joined, max_new_tokens=1)

    def test_a_part_is_missing(self, tiny: Any, prompts: list[dict[str, Any]]) -> None:
        given = {name: value for name, value in prompts[0].items() if name != "tile_counts"}
        with pytest.raises(ValueError, match=r"image, .* are given without tile_counts. Pass on all that the processor gives"):
            tiny.model.generate(**given, max_new_tokens=1)

    def test_placeholders_of_another_text(self, tiny: Any, prompts: list[dict[str, Any]]) -> None:
        given = {**prompts[0], "vision_order": prompts[0]["vision_order"][:-1]}
        with pytest.raises(ValueError, match="16 placeholders in the text, 15 vision tokens to fill them"):
            tiny.model.generate(**given, max_new_tokens=1)
