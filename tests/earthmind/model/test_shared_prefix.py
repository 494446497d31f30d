"""Several questions about one image: read once what they have in common, and answer as if each were asked alone."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tolerances import ACROSS_DECODING, MASK_PIXELS

from eocore.portable.duplicates import find_duplicates
from eocore.portable.shared_prefix import plan_prefixes


@pytest.fixture(
    scope="module",
    params=[
        ("qwen2", "mutual_attention"),
        pytest.param(("qwen2", "concat"), marks=pytest.mark.slow),
        pytest.param(("qwen3", "mutual_attention"), marks=pytest.mark.slow),
        ("llama", "concat"),
    ],
)
def model(request: pytest.FixtureRequest, make_tiny: Callable[..., Any]) -> Any:
    """A tiny model of each kind."""
    text, fusion = request.param
    return make_tiny(text=text, fusion=fusion, processor={"max_tiles": 4})


@pytest.fixture
def read(model: Any) -> Iterator[list[int]]:
    """Tokens of each call of the decoder, padding included."""
    seen: list[int] = []
    hook = model.model.language_model.get_decoder().register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append(kwargs["inputs_embeds"].shape[:2].numel()), with_kwargs=True
    )
    yield seen
    hook.remove()


def encode(made: Any, asked: list[tuple[dict[str, Any], str, list[np.ndarray]]]) -> list[Any]:
    return [made.processor.encode(scenes, [("user", text)], regions=regions, for_generation=True) for scenes, text, regions in asked]


def answer(made: Any, samples: list[Any], *, share: bool = True) -> list[Any]:
    batch = made.processor.collate(samples, left_pad=True)
    return made.model.answer(batch, made.processor, sizes=[(48, 48)] * len(samples), max_new_tokens=5, share_prefix=share)


def assert_same(ours: list[Any], theirs: list[Any]) -> None:
    assert [one.text for one in ours] == [one.text for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.mask_logits, other.mask_logits, **ACROSS_DECODING.close)
        assert (one.masks != other.masks).sum() <= MASK_PIXELS * one.masks.size


def test_questions_about_one_image_are_answered_as_alone_and_the_image_is_read_once(
    model: Any, read: list[int], make_scenes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.model.generation_config, "sequence_bias", [[[model.processor.seg_token_id], 1e4]])
    scenes = make_scenes("rgb", "sar", size=(96, 96))
    texts = ["<image>\nSegment the water.", "<image>\nSegment it.", "<image>\nWhat is the area on the left used for?"]
    samples = encode(model, [(scenes, text, []) for text in texts])
    together = answer(model, samples)
    assert len(samples[0].placeholder_index) < read[0] < len(samples[1].input_ids)
    assert sum(read[:3]) < sum(len(sample.input_ids) for sample in samples) / 2
    assert all(one.masks.shape == (5, 48, 48) for one in together)
    assert_same(together, [answer(model, [sample])[0] for sample in samples])
    assert_same(together, answer(model, samples, share=False))


def test_images_of_unlike_size_regions_and_text_alone_stand_in_one_batch(
    model: Any, read: list[int], make_scenes: Callable[..., Any]
) -> None:
    region = np.zeros((96, 96), bool)
    region[5:40, 50:90] = True
    large, small = make_scenes("rgb", "sar", size=(96, 96)), make_scenes("rgb", seed=3)
    samples = encode(
        model,
        [
            (large, "<image>\nWhat is <region>?", [region]),
            (small, "<image>\nSegment the water in this image, please.", []),
            (large, "<image>\nWhat is <region>?", [region.T.copy()]),
            ({}, "What is the area used for?", []),
            (small, "<image>\nSegment", []),
            (large, "<image>\nSegment the area.", []),
        ],
    )
    together = answer(model, samples)
    assert read[0] < 6 * len(samples[0].input_ids)
    assert_same(together, [answer(model, [sample])[0] for sample in samples])


def plan_of(made: Any, samples: list[Any]) -> Any:
    batch = made.processor.collate(samples, left_pad=True)
    content = find_duplicates(batch.vision.tiles)[1]
    return plan_prefixes(batch.input_ids, batch.attention_mask, vision=batch.vision, content=content)


def test_other_company_of_the_same_tile_is_another_image(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    both, alone = make_scenes("rgb", "sar", size=(96, 96)), make_scenes("rgb", size=(96, 96))
    other = {**make_scenes("sar", seed=5, size=(96, 96)), **alone}
    samples = encode(tiny, [(scenes, "<image>\nSegment it.", []) for scenes in (both, alone, other, both)])
    plan = plan_of(tiny, [*samples, samples[0]])
    assert plan.group.tolist() == [0, 1, 2, 0, 0] and plan.lead == [0, 1, 2]
    assert plan.rest == 1 and plan.lengths == [len(samples[number].input_ids) - 1 for number in plan.lead]


def test_nothing_is_shared_where_it_does_not_pay(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    different = encode(tiny, [(make_scenes("rgb", seed=seed), "<image>\nSegment it.", []) for seed in (0, 1)])
    assert plan_of(tiny, different) is None
    long = "Segment the water in this image. " * 12
    mostly_text = encode(tiny, [(make_scenes("rgb"), f"<image>\n{start} {long}", []) for start in ("One", "Two")])
    assert plan_of(tiny, mostly_text) is None
