"""Images of a batch that are the same are encoded once, and nothing changes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tolerances import ACROSS_DECODING

from eocore.portable.image_memory import ImageMemory


def test_answers_are_those_of_single_samples_and_each_image_is_encoded_once(
    tiny: Any, make_scenes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = [make_scenes("rgb", seed=seed) for seed in (1, 1, 2)]
    questions = [[("user", f"<image>\nSegment thing {number}.")] for number in range(len(scenes))]
    samples = [tiny.processor.encode(shown, turns, for_generation=True) for shown, turns in zip(scenes, questions, strict=True)]

    def answer(chosen: list[dict[str, Any]]) -> list[Any]:
        batch = tiny.processor.collate(chosen, left_pad=True)
        return tiny.model.answer(batch, tiny.processor, sizes=[(48, 48)] * len(chosen), max_new_tokens=6)

    alone = [answer([sample])[0] for sample in samples]
    encoded: list[int] = []
    encode = type(tiny.model).encode
    monkeypatch.setattr(type(tiny.model), "encode", lambda self, tiles: (encoded.append(len(tiles)), encode(self, tiles))[1])
    together = answer(samples)
    assert encoded == [2]
    assert [one.text for one in together] == [one.text for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.mask_logits.shape == other.mask_logits.shape
        torch.testing.assert_close(one.mask_logits, other.mask_logits, **ACROSS_DECODING.close)


class TestMemory:
    """What was computed of an image is found again by later questions, and their answers are those without."""

    @pytest.fixture(params=["mutual_attention", "hca"])
    def model(self, request: pytest.FixtureRequest, make_tiny: Callable[..., Any]) -> Any:
        made = make_tiny(fusion=request.param, processor={"max_tiles": 4})
        made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 1e4]]
        return made

    @pytest.fixture
    def calls(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
        """Tiles and grounding images that were encoded, and tokens that the language model read."""
        seen: dict[str, list[int]] = {"tiles": [], "grounding": [], "tokens": []}
        for owner, name, kind in ((model.model, "encode", "tiles"), (model.model.seg_head, "encode", "grounding")):
            encode = getattr(owner, name)

            def noted(images: torch.Tensor, *, encode: Any = encode, kind: str = kind) -> Any:
                seen[kind].append(len(images))
                return encode(images)

            monkeypatch.setattr(owner, name, noted)
        model.model.language_model.get_decoder().register_forward_pre_hook(
            lambda _module, _args, kwargs: seen["tokens"].append(kwargs["inputs_embeds"].shape[:2].numel()), with_kwargs=True
        )
        return seen

    def test_later_questions_read_their_own_words_alone(
        self, model: Any, make_scenes: Callable[..., Any], calls: dict[str, list[int]]
    ) -> None:
        scenes = [make_scenes("rgb", "sar", seed=seed, size=(96, 96)) for seed in (1, 2)]
        shown = [scenes[0], scenes[0], scenes[1], scenes[0], {}]
        texts = ["What is it?", "Segment the water, please.", "What is it?", "What is it?", "Hm?"]
        samples = [
            model.processor.encode(images, [("user", ("<image>\n" if images else "") + text)], for_generation=True)
            for images, text in zip(shown, texts, strict=True)
        ]

        def answer(chosen: list[Any], **options: Any) -> list[Any]:
            batch = model.processor.collate(chosen, left_pad=True)
            return list(model.model.answer(batch, model.processor, sizes=[(96, 96)] * len(chosen), max_new_tokens=4, **options))

        alone = [answer([sample])[0] for sample in samples]
        memory, read = ImageMemory(2**30), []
        for part in calls.values():
            part.clear()
        found = []
        for number in range(2):
            found += answer([samples[number]], memory=memory)
            read.append(sum(calls["tokens"]))
            calls["tokens"].clear()
        assert len(calls["tiles"]) == len(calls["grounding"]) == 1 and memory.num_found > 0
        if model.model.config.fusion != "hca":  # there tokens depend on the words too
            assert read[0] > len(samples[0].input_ids) and read[1] < len(samples[1].input_ids) / 2
        found += answer(samples[2:], memory=memory)  # known and unknown images, and none, in one batch
        assert len(calls["tiles"]) == len(calls["grounding"]) == 2
        for one, other in zip(found, alone, strict=True):
            assert one.text == other.text and one.mask_logits.shape == other.mask_logits.shape
            torch.testing.assert_close(one.mask_logits, other.mask_logits, **ACROSS_DECODING.close)

    def test_the_memory_may_be_too_small(self, model: Any, make_scenes: Callable[..., Any]) -> None:
        sample = model.processor.encode(make_scenes("rgb"), [("user", "<image>\nWhat?")], for_generation=True)
        batch, memory = model.processor.collate([sample], left_pad=True), ImageMemory(10)
        ask = lambda **options: model.model.answer(batch, model.processor, sizes=[(9, 9)], max_new_tokens=3, **options)[0]  # noqa: E731
        assert ask(memory=memory).text == ask().text and memory.num_bytes == 0
