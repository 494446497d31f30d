"""The model's steps, the same in training and in prediction, for each language model it is built on."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from earthmind_models import Dictation
from safetensors.torch import load_file
from tolerances import ACROSS_DECODING, ACROSS_LAYOUTS, MASK_PIXELS
from torch import Tensor
from transformers import LogitsProcessorList

from earthmind.model.batching import Batch, Sample
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.portable.row_packing import VisionInputs

LANGUAGES = ("qwen2", "qwen3", "llama")


@pytest.fixture(autouse=True)
def without_gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    """Gradients only where a test asks for them by its name."""
    with torch.set_grad_enabled("gradient" in request.node.name):
        yield


@pytest.fixture(scope="module", params=LANGUAGES)
def any_tiny(request: pytest.FixtureRequest, make_tiny: Callable[..., Any]) -> Any:
    return make_tiny(text=request.param)


def read(model: EarthMindForConditionalGeneration, batch: Batch) -> Tensor:
    """Hidden states (R * S, D) by the steps that training takes."""
    tokens = None if batch.vision is None else model.encode_images(batch.vision).tokens
    embeddings = model.merge_embeddings(batch.input_ids, batch.vision, tokens=tokens)
    return model.decode(embeddings, batch.position_ids).flatten(0, 1)


def prompt_inputs(batch: Batch) -> dict[str, Any]:
    given = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "vision": batch.vision}
    return {name: value for name, value in given.items() if value is not None}


def dictated(tiny: Any, answers: Sequence[str]) -> LogitsProcessorList:
    rows = [tiny.tokenizer(answer + tiny.processor.end_of_turn, add_special_tokens=False).input_ids for answer in answers]
    return LogitsProcessorList([Dictation(rows)])


def test_it_is_tiny(tiny: Any) -> None:
    assert sum(parameter.numel() for parameter in tiny.model.parameters()) < 500_000


class TestEncodeImages:
    def test_tiles_are_normalised_channel_by_channel(self, make_tiny: Callable[..., Any]) -> None:
        model = make_tiny(num_channels=4, pixel_mean=[0.1, 0.2, 0.3, 0.4], pixel_std=[1.0, 0.5, 0.25, 0.125]).model
        tiles = torch.randint(0, 256, (2, 4, 32, 32)).to(torch.uint8)
        pixels = torch.stack(
            [
                (tiles[:, c] / 255 - mean) / std
                for c, (mean, std) in enumerate(zip((0.1, 0.2, 0.3, 0.4), (1, 0.5, 0.25, 0.125), strict=True))
            ],
            1,
        )
        torch.testing.assert_close(model.encode(tiles), model.encode_pixels(pixels), **ACROSS_LAYOUTS.close)

    def test_a_token_sees_its_own_two_by_two_patches(self, tiny: Any) -> None:
        patches = torch.zeros(1, 64, 32)
        patches[0, 2 * 8 + 5] = 1.0  # patch row 2, column 5 -> token row 1, column 2; within it the upper right patch
        joined = tiny.model._pixel_shuffle(patches).view(4, 4, 4, 32)
        assert joined.sum() == 32
        assert (joined[1, 2, 1] == 1).all()

    @pytest.mark.parametrize(("fusion", "reaches"), [("mutual_attention", True), ("concat", False)])
    def test_one_sensor_reaches_the_other_s_tokens_only_by_mutual_attention(
        self, make_tiny: Callable[..., Any], make_scenes: Callable[..., Any], fusion: str, reaches: bool
    ) -> None:
        model, processor = (made := make_tiny(fusion=fusion)).model, made.processor
        scenes, other = make_scenes("rgb", "sar"), make_scenes("rgb", "sar", seed=9)
        first, second = (
            processor.encode({"rgb": scenes["rgb"], "sar": source["sar"]}, [("user", "<image>\nWhat?")]) for source in (scenes, other)
        )
        before, after = (model.encode_images(processor.collate([sample]).vision).tokens for sample in (first, second))
        assert not torch.allclose(before[0], after[0]), "SAR comes first"
        assert (not torch.equal(before[1], after[1])) == reaches

    def test_a_sensor_that_is_missing_leaves_the_other_unweighted(self, tiny: Any, make_scenes: Callable[..., Any]) -> None:
        sample = tiny.processor.encode(make_scenes("sar"), [("user", "<image>\nWhat?")])
        fused = tiny.model.encode_images(tiny.processor.collate([sample]).vision)
        assert (fused.importance == 1).all()
        assert torch.equal(fused.tokens, tiny.model.encode(sample.tiles))

    def test_gradient_goes_from_the_answer_to_every_part(self, make_tiny: Callable[..., Any], make_scenes: Callable[..., Any]) -> None:
        made = make_tiny()
        batch = made.processor.collate(
            [made.processor.encode(make_scenes("rgb", "sar"), [("user", "<image>\nWhat?"), ("assistant", "water")])]
        )
        logits = made.model(batch=batch).logits
        torch.nn.functional.cross_entropy(logits, batch.supervised.targets).backward()
        for name in ("fusion.queries", "projector.linear_1.weight", "vision_tower.embeddings.patch_embeddings.projection.weight"):
            assert made.model.get_parameter(name).grad.abs().sum() > 0, name


def placed(placeholders: list[int], vision: list[int]) -> VisionInputs:
    """Vision tokens at placeholders, of tiles that nothing reads."""
    none = torch.zeros(0)
    return VisionInputs(none, none, none, torch.tensor(placeholders, dtype=torch.long), torch.tensor(vision, dtype=torch.long))


class TestMergeEmbeddings:
    def test_vision_tokens_stand_at_their_places_and_words_elsewhere(self, tiny: Any) -> None:
        ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
        tokens = torch.randn(2, 2, 32)
        spliced = tiny.model.merge_embeddings(ids, placed([1, 5, 3], [3, 0, 0]), tokens=tokens).flatten(0, 1)
        words = tiny.model.get_input_embeddings()(ids).flatten(0, 1)
        assert torch.equal(spliced[[1, 5, 3]], tokens.flatten(0, 1)[[3, 0, 0]])
        assert torch.equal(spliced[[0, 2, 4]], words[[0, 2, 4]])

    def test_text_alone_is_embedded_as_it_is(self, tiny: Any) -> None:
        ids = torch.tensor([[5, 6, 7]])
        assert torch.equal(tiny.model.merge_embeddings(ids), tiny.model.get_input_embeddings()(ids))

    @pytest.mark.parametrize(("places", "vision", "counts"), [([1, 2], [0], "2 .* 1"), ([], [0], "0 .* 1"), ([1], [], "1 .* 0")])
    def test_places_and_tokens_must_be_equally_many(self, tiny: Any, places: Any, vision: Any, counts: str) -> None:
        numbers = counts.split(" .* ")
        with pytest.raises(
            ValueError, match=rf"{numbers[0]} placeholders in the text, {numbers[1]} vision tokens to fill them; .*processor of the model"
        ):
            tiny.model.merge_embeddings(torch.tensor([[5, 6, 7]]), placed(places, vision), tokens=torch.randn(1, 2, 32))


def test_images_that_are_given_field_by_field_are_refused(tiny: Any) -> None:
    with pytest.raises(TypeError, match=r"inputs tiles are read by nothing\. Give them together: vision=VisionInputs"):
        tiny.model(torch.tensor([[5, 6, 7]]), tiles=torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


class TestRows:
    """How samples lie in rows makes no difference to them."""

    @pytest.fixture
    def samples(self, any_tiny: Any, make_scenes: Callable[..., Any], square_mask: np.ndarray) -> list[Sample]:
        encode = any_tiny.processor.encode
        return [
            encode(
                make_scenes("rgb", "sar"),
                [("user", "<image>\nsegment it"), ("assistant", "Sure, [SEG] and [SEG]")],
                masks=[square_mask] * 2,
            ),
            encode({}, [("user", "Hello"), ("assistant", "water and more of it")]),
            encode(
                make_scenes("multispectral", seed=3),
                [("user", "<image>\n<region>?"), ("assistant", "[SEG]")],
                regions=[square_mask],
                masks=[square_mask],
            ),
        ]

    def test_packed_rows_give_the_states_of_single_samples(self, any_tiny: Any, samples: list[Sample]) -> None:
        collate = any_tiny.processor.collate
        lengths = [len(sample.input_ids) for sample in samples]
        for row_length in (None, max(lengths) + 30, sum(lengths)):
            batch = collate(samples, row_length=row_length)
            states = read(any_tiny.model, batch)
            alone = [(single, read(any_tiny.model, single)) for single in (collate([sample]) for sample in samples)]
            for name in ("supervised", "segments"):
                parts = [(getattr(single, name), hidden) for single, hidden in alone]
                expected = torch.cat([hidden[part.positions] for part, hidden in parts if part is not None])
                torch.testing.assert_close(states[getattr(batch, name).positions], expected, **ACROSS_LAYOUTS.close)

    def test_padding_in_front_gives_the_logits_of_the_prompt_alone(self, any_tiny: Any, samples: list[Sample]) -> None:
        batch = any_tiny.processor.collate(samples, left_pad=True)
        positions = (batch.attention_mask.cumsum(1) - 1).clamp(min=0)
        together = any_tiny.model(**prompt_inputs(batch), position_ids=positions, logits_to_keep=1).logits
        for number, sample in enumerate(samples):
            alone = any_tiny.model(**prompt_inputs(any_tiny.processor.collate([sample])), logits_to_keep=1).logits
            torch.testing.assert_close(together[number], alone[0], **ACROSS_LAYOUTS.close)

    def test_forward_gives_the_logits_and_loss_of_the_steps(self, any_tiny: Any, samples: list[Sample]) -> None:
        batch = any_tiny.processor.collate(samples[:1])
        logits = any_tiny.model.get_output_embeddings()(read(any_tiny.model, batch))
        outputs = any_tiny.model(**prompt_inputs(batch), labels=batch.labels)
        torch.testing.assert_close(outputs.logits[0], logits, **ACROSS_LAYOUTS.close)
        expected = torch.nn.functional.cross_entropy(logits[batch.supervised.positions], batch.supervised.targets)
        torch.testing.assert_close(outputs.loss, expected, **ACROSS_LAYOUTS.close)


class TestGeneration:
    def test_it_writes_the_likeliest_token_after_what_forward_reads(self, any_tiny: Any, make_scenes: Callable[..., Any]) -> None:
        sample = any_tiny.processor.encode(make_scenes("rgb", "sar"), [("user", "<image>\nWhat?")], for_generation=True)
        batch = any_tiny.processor.collate([sample], left_pad=True)
        written = any_tiny.model.generate(**prompt_inputs(batch), max_new_tokens=6, do_sample=False, eos_token_id=None)
        ids = batch.input_ids
        for _ in range(6):
            inputs = {**prompt_inputs(batch), "input_ids": ids, "attention_mask": torch.ones_like(ids)}
            ids = torch.cat([ids, any_tiny.model(**inputs).logits[:, -1:].argmax(-1)], dim=1)
        assert written.tolist() == ids.tolist()

    def test_without_a_cache_the_image_would_be_forgotten(self, tiny: Any, make_scenes: Callable[..., Any]) -> None:
        batch = tiny.processor.collate(
            [tiny.processor.encode(make_scenes("rgb"), [("user", "<image>\nWhat?")], for_generation=True)], left_pad=True
        )
        with pytest.raises(ValueError, match=r"use_cache=False: .* the images would be forgotten after the first token"):
            tiny.model.generate(**prompt_inputs(batch), max_new_tokens=2, use_cache=False)

    def test_masks_of_answers_are_those_training_draws(
        self, any_tiny: Any, make_scenes: Callable[..., Any], square_mask: np.ndarray
    ) -> None:
        """The state of a [SEG] that is written equals that of a [SEG] that is read, and so do the masks; in a batch of unequal prompts."""
        processor, model = any_tiny.processor, any_tiny.model
        asked = [
            (make_scenes("rgb", "sar"), "<image>\nsegment the water in this image.", "Sure, [SEG] and [SEG]."),
            (make_scenes("sar", seed=2), "<image>\nWhat?", "water"),
            ({}, "Hello", "[SEG]"),
            (make_scenes("multispectral", seed=3), "<image>\nsegment", "[SEG]"),
        ]
        prompts = [processor.encode(scenes, [("user", question)], for_generation=True) for scenes, question, _ in asked]
        answers = model.answer(
            processor.collate(prompts, left_pad=True),
            processor,
            sizes=[(48, 48)] * 4,
            max_new_tokens=40,
            logits_processor=dictated(any_tiny, [answer for _, _, answer in asked]),
        )
        assert [answer.text for answer in answers] == [answer for _, _, answer in asked]
        assert [answer.masks.shape for answer in answers] == [(2, 48, 48), (0, 48, 48), (0, 48, 48), (1, 48, 48)]
        assert (answers[0].mask_logits[0] - answers[0].mask_logits[1]).abs().max() > 0.01, "the two masks differ by more than the tolerance"
        for (scenes, question, text), answer in zip(asked, answers, strict=True):
            if not scenes or not len(answer.masks):
                continue
            trained = processor.collate(
                [processor.encode(scenes, [("user", question), ("assistant", text)], masks=[square_mask] * len(answer.masks))]
            )
            drawn = model(batch=trained).masks.chosen
            torch.testing.assert_close(answer.mask_logits, drawn, **ACROSS_DECODING.close)
            assert (answer.masks != processor.post_process_masks(drawn, (48, 48))).mean() <= MASK_PIXELS

    @pytest.mark.parametrize(("length", "count"), [(1, 1), (2, 2), (3, 2)])
    def test_a_seg_at_the_very_end_is_drawn_and_one_beyond_is_not(
        self, tiny: Any, make_scenes: Callable[..., Any], length: int, count: int
    ) -> None:
        batch = tiny.processor.collate(
            [tiny.processor.encode(make_scenes("rgb"), [("user", "<image>\nWhat?")], for_generation=True)], left_pad=True
        )
        forced = LogitsProcessorList([Dictation([[tiny.processor.seg_token_id] * 2 + tiny.tokenizer("a").input_ids])])
        (answer,) = tiny.model.answer(batch, tiny.processor, sizes=[(10, 20)], max_new_tokens=length, logits_processor=forced)
        assert answer.text.count("[SEG]") == count
        assert answer.masks.shape == (count, 10, 20)

    @pytest.mark.parametrize("name", ["num_beams", "num_return_sequences"])
    def test_several_answers_to_one_question_are_refused(self, tiny: Any, name: str) -> None:
        batch = tiny.processor.collate([tiny.processor.encode({}, [("user", "Hello")], for_generation=True)], left_pad=True)
        with pytest.raises(ValueError, match=f"{name}=2: masks belong to one answer a sample"):
            tiny.model.answer(batch, tiny.processor, sizes=[(1, 1)], **{name: 2})

    def test_after_an_answer_nothing_is_kept(self, tiny: Any, make_scenes: Callable[..., Any]) -> None:
        before = {name: id(value) for name, value in vars(tiny.model).items()}
        batch = tiny.processor.collate(
            [tiny.processor.encode(make_scenes("rgb"), [("user", "<image>\nWhat?")], for_generation=True)], left_pad=True
        )
        tiny.model.answer(batch, tiny.processor, sizes=[(1, 1)], max_new_tokens=2)
        assert {name: id(value) for name, value in vars(tiny.model).items()} == before


class TestSavedModel:
    @pytest.mark.parametrize(("text", "tie"), [("qwen2", True), ("qwen3", False), ("llama", True)])
    def test_every_weight_comes_back_and_gives_the_same_logits(
        self, make_tiny: Callable[..., Any], make_scenes: Callable[..., Any], tmp_path: Any, text: str, tie: bool
    ) -> None:
        made = make_tiny(text=text, tie=tie, grounding_fusion="gated", num_channels=4, pixel_mean=[0.1, 0.2, 0.3, 0.4])
        made.model.save_pretrained(tmp_path)
        loaded = EarthMindForConditionalGeneration.from_pretrained(tmp_path).eval()
        stored = load_file(tmp_path / "model.safetensors")
        assert {"fusion.queries", "seg_head.gate.weight", "seg_head.gate.bias"} <= set(stored)
        expected = made.model.state_dict()
        assert set(loaded.state_dict()) == set(expected)
        for name, weight in loaded.state_dict().items():
            assert torch.equal(weight, expected[name]), name
        for name, buffer in made.model.named_buffers():
            assert torch.equal(loaded.get_buffer(name), buffer), name
        batch = made.processor.collate([made.processor.encode(make_scenes("rgb"), [("user", "<image>\nWhat?")])])
        torch.testing.assert_close(loaded(**prompt_inputs(batch)).logits, made.model(**prompt_inputs(batch)).logits, **ACROSS_LAYOUTS.close)

    def test_changed_queries_change_the_answer_of_a_pair_and_of_nothing_else(
        self, make_tiny: Callable[..., Any], make_scenes: Callable[..., Any]
    ) -> None:
        made = make_tiny()
        pair, single = (
            prompt_inputs(made.processor.collate([made.processor.encode(make_scenes(*names), [("user", "<image>\nWhat?")])]))
            for names in (("rgb", "sar"), ("rgb",))
        )
        before = [made.model(**inputs).logits for inputs in (pair, single)]
        made.model.fusion.queries.mul_(-1)
        after = [made.model(**inputs).logits for inputs in (pair, single)]
        assert not torch.allclose(before[0], after[0], atol=1e-3)
        assert torch.equal(before[1], after[1])
