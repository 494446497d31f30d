"""A model with fusion="hca": one tile's tokens a location, which depend on the question; alone, in a batch, in a pack, and in answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tolerances import ACROSS_DECODING
from torch import Tensor
from torch.testing import assert_close

from earthmind.model.hca_fusion import FusionWords
from eocore.portable.duplicates import find_duplicates
from eocore.portable.packed_attention import use_packed_attention
from eocore.portable.row_inputs import ROW_INPUTS, TEXT_INPUTS
from eocore.portable.shared_prefix import plan_prefixes
from eocore.portable.vision_layout import SampleError

SMALL, LARGE = (48, 48), (64, 96)
QUESTION = "<image>\nSegment the water."
CHAT = [("user", QUESTION), ("assistant", "Sure, it is here."), ("user", "What is the area used for?"), ("assistant", "Water.")]
ASKED = [("user", QUESTION), ("assistant", "It is [SEG]."), ("user", "\nWhat is it?"), ("assistant", "Water [SEG]."), ("user", "\nWhere?")]


@pytest.fixture(scope="module")
def hca(make_tiny: Callable[..., Any]) -> Any:
    """Corrected mode."""
    return make_tiny(fusion="hca", processor={"max_tiles": 4})


@pytest.fixture(scope="module")
def by_tile(make_tiny: Callable[..., Any]) -> Any:
    """Corrected mode with a range of qualities for each tile."""
    return make_tiny(fusion="hca", hca={"range_over": "tile"}, processor={"max_tiles": 4})


@pytest.fixture(scope="module")
def parity(make_tiny: Callable[..., Any]) -> Any:
    """As released."""
    return make_tiny(fusion="hca", hca={"text_span": "upstream", "average_views": False}, processor={"max_tiles": 4})


def fused(made: Any, samples: list[Any], **layout: Any) -> list[Tensor]:
    """(I, D) vision tokens of each sample in the order of its placeholders."""
    batch = made.processor.collate(samples, **layout)
    with torch.no_grad():
        tokens = made.model.embed(batch.input_ids, batch.vision)[1].tokens
    return list(tokens.flatten(0, 1)[batch.vision.vision_index].split([len(sample.vision_index) for sample in samples]))


def words(made: Any, sample: Any) -> str:
    return str(made.tokenizer.decode(sample.input_ids[sample.fusion_text.positions]))


class TestSizes:
    def test_a_location_has_one_tile_s_tokens_whatever_the_sensors(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        per_tile = hca.model.config.tokens_per_tile
        for names in (("rgb",), ("rgb", "sar"), ("rgb", "sar", "multispectral")):
            scenes = make_scenes(*names, size=LARGE)
            sample = hca.processor.encode(scenes, CHAT)
            locations = int(sample.tile_group[0].max()) + 1
            assert locations > 1 and len(sample.tiles) == locations * len(names)
            assert len(sample.placeholder_index) == locations * per_tile
            assert sample.attention_columns.shape == (1, per_tile)
            shapes = {name: _shape(scene) for name, scene in scenes.items()}
            measured = hca.processor.measure(shapes, CHAT)
            assert (measured["tokens"], measured["tiles"]) == (len(sample.input_ids), len(sample.tiles))

    def test_one_sensor_alone_is_what_it_is_without_fusion(self, hca: Any, make_tiny: Callable[..., Any], make_scenes: Any) -> None:
        plain = make_tiny(fusion="concat", processor={"max_tiles": 4})
        scenes = make_scenes("sar", size=LARGE)
        ours, theirs = (made.processor.encode(scenes, CHAT) for made in (hca, plain))
        assert torch.equal(ours.input_ids, theirs.input_ids)
        assert torch.equal(fused(hca, [ours])[0], fused(plain, [theirs])[0])

    def test_grids_that_do_not_agree_are_an_error(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        scenes = {**make_scenes("rgb", size=(64, 32)), **make_scenes("sar", size=(32, 64))}
        with pytest.raises(SampleError, match=r"tile grids do not agree \(sar 32 x 64 px: 1 x 2, rgb 64 x 32 px: 2 x 1; .* Crop"):
            hca.processor.encode(scenes, CHAT)
        assert len(hca.processor.encode(make_scenes("rgb", "sar", size=(64, 32)), CHAT).tiles) == 6

    def test_blocks_of_each_sensor_cannot_be(self, make_tiny: Callable[..., Any]) -> None:
        with pytest.raises(ValueError, match=r"token_order='modality' gives each sensor a block .* Set token_order='place'"):
            make_tiny(fusion="hca", processor={"token_order": "modality"})

    def test_several_views_are_averaged_only_where_it_says_so(self, hca: Any, parity: Any, make_tiny: Any, make_scenes: Any) -> None:
        views = {
            "multispectral": {"views": [["B04", "B03", "B02"], ["B02", "B03", "B04"]], "stretch": {"method": "range", "low": 0, "high": 1}}
        }
        scenes = make_scenes("multispectral", "sar")
        averaged = make_tiny(fusion="hca", processor={"presentation": views})
        assert len(averaged.processor.encode(scenes, CHAT).tiles) == 3
        refused = make_tiny(fusion="hca", hca={"average_views": False}, processor={"presentation": views})
        with pytest.raises(SampleError, match=r"several views .* multispectral 2; .* .hca.average_views=True"):
            refused.processor.encode(scenes, CHAT)

    def test_views_of_a_sensor_alone_keep_their_tokens_as_released(self, make_tiny: Callable[..., Any], make_scenes: Any) -> None:
        rules = [["B04", "B03", "B02"], ["B02", "B03", "B04"]]
        views = {"multispectral": {"views": rules, "stretch": {"method": "range", "low": 0, "high": 1}}}
        choices = {"processor": {"max_tiles": 4, "presentation": views}}
        released = make_tiny(fusion="hca", hca={"average_views": False}, **choices)
        plain, averaged = make_tiny(fusion="concat", **choices), make_tiny(fusion="hca", **choices)
        scenes = make_scenes("multispectral", size=LARGE)
        ours, theirs, fewer = (made.processor.encode(scenes, CHAT) for made in (released, plain, averaged))
        assert torch.equal(ours.input_ids, theirs.input_ids) and len(fewer.placeholder_index) * 2 == len(ours.placeholder_index)
        pair = released.processor.encode(make_scenes("rgb", "sar", seed=5), CHAT)
        together = fused(released, [pair, ours])
        torch.testing.assert_close(together[1], fused(plain, [theirs])[0], rtol=0, atol=1e-6)
        torch.testing.assert_close(together[0], fused(released, [pair])[0], rtol=0, atol=1e-5)
        measured = released.processor.measure({"multispectral": _shape(scenes["multispectral"])}, CHAT)
        assert measured["tokens"] == len(ours.input_ids)


def _shape(scene: Any) -> Any:
    from eocore.portable.band_rendering import SceneShape

    return SceneShape(scene.pixels.shape[1], scene.pixels.shape[2], scene.bands, scene.unit)


class TestText:
    def test_corrected_reads_the_user_s_words_alone(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        scenes = make_scenes("rgb", "sar")
        trained = hca.processor.encode(scenes, CHAT)
        asked = hca.processor.encode(scenes, CHAT[:-1], for_generation=True)
        assert words(hca, trained) == "\nSegment the water.What is the area used for?" == words(hca, asked)
        assert torch.equal(fused(hca, [trained])[0], fused(hca, [asked])[0])
        other = [CHAT[0], ("assistant", "No."), *CHAT[2:]]
        assert torch.equal(fused(hca, [trained])[0], fused(hca, [hca.processor.encode(scenes, other)])[0])

    def test_upstream_reads_from_the_images_to_the_end(self, parity: Any, make_scenes: Callable[..., Any]) -> None:
        scenes = make_scenes("rgb", "sar")
        trained = parity.processor.encode(scenes, CHAT[:2])
        asked = parity.processor.encode(scenes, CHAT[:1], for_generation=True)
        assert words(parity, asked) == "\nSegment the water.<|end|>\n<|assistant|>\n"
        assert words(parity, trained).startswith(words(parity, asked) + "Sure, it is here.<|end|>")
        assert int(trained.fusion_text.positions[-1]) == len(trained.input_ids) - 1
        assert not torch.equal(fused(parity, [trained])[0], fused(parity, [asked])[0])

    def test_the_question_decides_the_tokens(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        scenes = make_scenes("rgb", "sar")
        first, other = (hca.processor.encode(scenes, [("user", f"<image>\n{text}")]) for text in ("Segment the water.", "Sure area is?"))
        assert (fused(hca, [first])[0] - fused(hca, [other])[0]).abs().max() > 1e-4

    def test_images_laid_out_for_another_fusion_are_refused(self, hca: Any, tiny: Any, make_scenes: Callable[..., Any]) -> None:
        scenes = make_scenes("rgb", "sar")
        plain = tiny.processor.collate([tiny.processor.encode(scenes, CHAT)])
        with pytest.raises(ValueError, match=r"the model has fusion='hca', but the images were laid out for another fusion"):
            hca.model(batch=plain)
        with pytest.raises(ValueError, match=r"the model has fusion='mutual_attention', but .* laid out for fusion='hca'"):
            tiny.model(batch=hca.processor.collate([hca.processor.encode(scenes, CHAT)]))


class TestCompany:
    @pytest.mark.parametrize("mode", ["hca", "parity", "by_tile"])
    def test_alone_in_a_batch_and_in_a_pack(self, mode: str, request: Any, make_scenes: Callable[..., Any]) -> None:
        made = request.getfixturevalue(mode)
        samples = [
            made.processor.encode(make_scenes("rgb", "sar", size=LARGE), CHAT),
            made.processor.encode({}, [("user", "What is it?"), ("assistant", "Water.")]),
            made.processor.encode(make_scenes("sar", seed=3), CHAT[:2]),
            made.processor.encode(make_scenes("rgb", "sar", "multispectral", seed=4), CHAT[:2]),
            made.processor.encode(make_scenes("rgb", "sar", seed=5), [("user", "<image>"), ("assistant", "Water.")]),
        ]
        assert mode == "parity" or samples[-1].fusion_text.num_words == [0]
        shown = [sample for sample in samples if len(sample.tiles)]
        alone = [fused(made, [sample])[0] for sample in shown]
        for layout in ({}, {"left_pad": True}, {"row_length": 400}):
            for one, together in zip(alone, [part for part in fused(made, samples, **layout) if len(part)], strict=True):
                torch.testing.assert_close(together, one, rtol=0, atol=1e-5)

    def test_a_question_without_words_leaves_the_choice_to_quality(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        sample = hca.processor.encode(make_scenes("rgb", "sar"), [("user", "<image>")], for_generation=True)
        batch = hca.processor.collate([sample], left_pad=True)
        with torch.no_grad():
            importance = hca.model.embed(batch.input_ids, batch.vision)[1].importance
        pairs = importance.unflatten(0, (-1, 2))  # location, sensor
        assert_close(pairs.sum(1), torch.ones_like(pairs[:, 0]))
        most = 0.3 * (torch.tensor(1.0).sigmoid() - 0.5)
        assert 0 < (importance - 0.5).abs().max() <= most + 1e-6
        assert len(hca.model.answer(batch, hca.processor, sizes=[SMALL], max_new_tokens=2)) == 1

    @pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
    def test_the_formula_is_float32_whatever_the_model_is(self, hca: Any, make_scenes: Any, precision: torch.dtype) -> None:
        """What differs is the rounding of the tokens it is given."""
        batch = hca.processor.collate([hca.processor.encode(make_scenes("rgb", "sar"), CHAT)])
        with torch.no_grad():
            embeddings, exact = hca.model.embed(batch.input_ids, batch.vision)
            words = hca.model.get_input_embeddings()(batch.input_ids).flatten(0, 1)[batch.vision.fusion.positions].to(precision)
            tokens, group = exact.before.to(precision), batch.vision.tile_group
            with torch.autocast("cpu", torch.bfloat16):
                low = hca.model.fusion(tokens, group, words=FusionWords(words, batch.vision.fusion))
            high = hca.model.fusion(tokens.float(), group, words=FusionWords(words.float(), batch.vision.fusion))
        assert low.tokens.dtype == precision and embeddings.dtype == torch.float32
        assert torch.equal(low.importance, high.importance)
        assert_close(low.importance, exact.importance, rtol=0, atol=0.02)

    def test_kept_states_of_the_vision_tower_serve(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        """They are those before the projector, whatever the question."""
        scenes = make_scenes("rgb", "sar", size=LARGE)
        first, other = (hca.processor.encode(scenes, [("user", f"<image>\n{text}")]) for text in ("Segment the water.", "Sure area is?"))
        with torch.no_grad():
            kept = hca.model.patch_states(hca.processor.collate([first]).vision.tiles)
            for sample in (first, other):
                batch = hca.processor.collate([sample])
                tokens = hca.model.embed(batch.input_ids, batch.vision, patch_states=kept)[1].tokens
                assert_close(tokens.flatten(0, 1)[batch.vision.vision_index], fused(hca, [sample])[0])

    @pytest.mark.parametrize("span", ["question", "upstream"])
    def test_independent_questions_have_tokens_of_their_own(self, span: str, make_tiny: Any, make_scenes: Any, square_mask: Any) -> None:
        made = make_tiny(fusion="hca", hca={"text_span": span})
        use_packed_attention(made.model.language_model)
        scenes = make_scenes("rgb", "sar")
        turns = [*ASKED[:4]]
        sample = made.processor.encode(scenes, turns, masks=[square_mask] * 2, independent=True)
        # in training text after an image is the question's; a question alone begins with the image
        alone = [
            made.processor.encode(scenes, [("user", text if "<image>" in text else f"<image>{text}"), answer], masks=[square_mask])
            for (_, text), answer in zip(turns[::2], turns[1::2], strict=True)
        ]
        assert len(sample.question_starts) == 2 and len(sample.tiles) == len(alone[0].tiles)
        assert len(sample.input_ids) == sum(len(one.input_ids) for one in alone) - sample.question_starts[0]
        own = torch.cat([fused(made, [one])[0] for one in alone])
        torch.testing.assert_close(fused(made, [sample])[0], own, rtol=0, atol=1e-5)
        with torch.no_grad():
            together = made.model(batch=made.processor.collate([sample]))
            apart = [made.model(batch=made.processor.collate([one])) for one in alone]
        torch.testing.assert_close(together.logits, torch.cat([one.logits for one in apart]), **ACROSS_DECODING.close)
        batch = made.processor.collate([sample])
        seen = together.seg_attention.gather(1, batch.segments.columns)
        own_seen = torch.cat(
            [one.seg_attention.gather(1, made.processor.collate([part]).segments.columns) for one, part in zip(apart, alone, strict=True)]
        )
        torch.testing.assert_close(seen, own_seen, **ACROSS_DECODING.close)

    def test_gradients_reach_projector_and_embeddings(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        batch = hca.processor.collate([hca.processor.encode(make_scenes("rgb", "sar"), CHAT)])
        hca.model.zero_grad()
        tokens = hca.model.embed(batch.input_ids, batch.vision)[1].tokens
        tokens.square().sum().backward()
        table = hca.model.get_input_embeddings().weight.grad
        asked = batch.input_ids.flatten()[batch.vision.fusion.positions].unique()
        assert table[asked].any() and not np.setdiff1d(table.any(1).nonzero().flatten().tolist(), asked.tolist()).size
        assert all(parameter.grad.any() for parameter in hca.model.projector.parameters())
        hca.model.zero_grad()


class TestAnswers:
    def test_prompts_share_their_images_only_where_the_question_is_the_same(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        scenes = make_scenes("rgb", "sar", size=LARGE)
        texts = ["Segment it.", "What is it?", "Segment it.", "Segment it."]
        samples = [hca.processor.encode(scenes, [("user", f"<image>\n{text}")], for_generation=True) for text in texts]
        batch = hca.processor.collate(samples, left_pad=True)
        content = find_duplicates(batch.vision.tiles)[1]
        plan = plan_prefixes(batch.input_ids, batch.attention_mask, vision=batch.vision, content=content)
        assert plan is not None and plan.group.tolist() == [0, 1, 0, 0]
        together = hca.model.answer(batch, hca.processor, sizes=[LARGE] * 4, max_new_tokens=4)
        for sample, one in zip(samples, together, strict=True):
            alone = hca.model.answer(hca.processor.collate([sample], left_pad=True), hca.processor, sizes=[LARGE], max_new_tokens=4)
            assert alone[0].text == one.text

    def test_rows_of_the_processor_s_call_are_what_a_batch_is(self, hca: Any, make_scenes: Callable[..., Any]) -> None:
        pair, one = make_scenes("rgb", "sar", size=LARGE), make_scenes("sar", seed=2)
        asked = [(pair, QUESTION), ({}, "What is it?"), (one, "<image>\nWhat is the area used for?")]
        prompts = [hca.processor.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True) for _, text in asked]
        inputs = hca.processor([images for images, _ in asked], prompts)
        assert {*ROW_INPUTS, *TEXT_INPUTS} <= set(inputs)
        samples = [hca.processor.encode(images, [("user", text)], for_generation=True) for images, text in asked]
        batch = hca.processor.collate(samples, left_pad=True)
        assert torch.equal(inputs["input_ids"], batch.input_ids)
        found = hca.model._from_rows(inputs["input_ids"], inputs["attention_mask"], given=inputs)
        with torch.no_grad():
            ours, theirs = (hca.model.embed(batch.input_ids, vision)[0] for vision in (found, batch.vision))
        torch.testing.assert_close(ours, theirs)
