"""The upstream calls with all their arguments, on a small model that writes what a test tells it."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from earthmind_models import Dictation
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList

from earthmind.export import pack
from earthmind.model.hca_fusion import UPSTREAM
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.export.hf import write_checkpoint
from eocore.portable.position_limit import SampleTooLongError
from eocore.portable.vision_layout import SampleError

QUESTION = "<image>\nPlease segment the water."
DIALOGUE = "<|user|>\n<image>\nWhat is it?<|end|>\n<|assistant|>\nA lake [SEG].<|end|>\n"


def picture(seed: int, size: tuple[int, int] = (40, 60)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


FRAMES = [picture(seed) for seed in range(7)]


@pytest.fixture(scope="module")
def loaded(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> EarthMindForConditionalGeneration:
    """A model loaded from a folder that holds its processor; large images are cut into up to four tiles."""
    made, folder = make_tiny(processor={"max_tiles": 4}), tmp_path_factory.mktemp("model")
    made.model.save_pretrained(folder)
    made.processor.save_pretrained(folder)
    return EarthMindForConditionalGeneration.from_pretrained(folder).eval()


def test_texts_beyond_the_positions_are_refused_whichever_call_is_made(
    loaded: EarthMindForConditionalGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.config.text_config, "max_position_embeddings", 300)
    long, beyond = "water " * 400, r"tokens.*, but the model has positions for 299 and an answer; further ones mean nothing to it"
    calls: list[Callable[[], Any]] = [
        lambda: loaded.predict_forward(image=FRAMES[0], text=long),
        lambda: loaded.predict_forward_multi(image=FRAMES[0], rgb_image=FRAMES[1], text=long),
        lambda: loaded.predict_forward(video=FRAMES[:2], text=long),
        lambda: loaded.predict_forward(text="What?", past_text=DIALOGUE.replace("<image>", long)),
        lambda: loaded.predict({"rgb": FRAMES[0]}, long),
        lambda: loaded.generate(**loaded.processor(images=FRAMES[0], text=long), max_new_tokens=4),
    ]
    for call in calls:
        with pytest.raises(SampleTooLongError, match=beyond):
            call()
    assert loaded.predict_forward(image=FRAMES[0], text="What?", max_new_tokens=2)["prediction"] is not None


class Told:
    """A model that writes a given answer, and keeps the inputs of its last generation."""

    def __init__(self, model: EarthMindForConditionalGeneration, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model, self.inputs = model, dict[str, Any]()
        ids = model.processor.tokenizer(answer + model.processor.end_of_turn, add_special_tokens=False).input_ids
        answer_batch = model.answer

        def keep(batch: Any, *given: Any, **named: Any) -> Any:
            self.inputs = batch
            return answer_batch(batch, *given, **named, logits_processor=LogitsProcessorList([Dictation([ids])]))

        monkeypatch.setattr(model, "answer", keep)

    def text(self) -> str:
        return self.model.processor.tokenizer.decode(self.inputs.input_ids[0]).replace("<IMG_CONTEXT>", "#")


def test_answers_stop_at_the_last_position(loaded: EarthMindForConditionalGeneration, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(loaded, "water " * 40, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = loaded.predict_forward(image=FRAMES[0], text="What?", max_new_tokens=20)["prediction"]
    prompt = told.inputs.input_ids.shape[1]
    monkeypatch.setattr(loaded.config.text_config, "max_position_embeddings", prompt + 20)
    with pytest.warns(UserWarning, match=rf"1 of 1 answers stopped unfinished at the model's last position \({prompt + 20} tokens"):
        assert loaded.predict_forward(image=FRAMES[0], text="What?", max_new_tokens=60)["prediction"] == whole


@pytest.fixture
def tell(loaded: EarthMindForConditionalGeneration, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Told]]:
    yield lambda answer: Told(loaded, answer, monkeypatch)


def test_one_image(tell: Callable[[str], Told]) -> None:
    model = tell("Sure, [SEG] and [SEG].").model
    found = model.predict_forward(picture(0), None, "<image>\nsegment", "", None, model.processor.tokenizer)
    assert found["prediction"] == "Sure, [SEG] and [SEG]."
    assert [mask.shape for mask in found["prediction_masks"]] == [(1, 40, 60)] * 2
    assert all(mask.dtype == bool for mask in found["prediction_masks"])


def test_sar_and_rgb(tell: Callable[[str], Told]) -> None:
    model = tell("[SEG]").model
    found = model.predict_forward_multi(picture(1), picture(0), text="segment")
    meant = model.predict({"sar": picture(1), "rgb": picture(0)}, "<image>\nsegment")
    assert [mask.shape for mask in found["prediction_masks"]] == [(1, 40, 60)]
    assert np.array_equal(found["prediction_masks"][0][0], meant.masks[0])


def test_text_alone(loaded: EarthMindForConditionalGeneration) -> None:
    found = loaded.predict_forward(text="Hello", max_new_tokens=3)
    assert isinstance(found["prediction"], str)
    assert found["prediction_masks"] == []


class TestVideo:
    def test_the_first_five_frames_are_shown_one_tile_each(self, tell: Callable[[str], Told]) -> None:
        told = tell("[SEG]")
        told.model.predict_forward(video=FRAMES, text=QUESTION)
        block = f"<img>{'#' * told.model.config.tokens_per_tile}</img>"
        blocks = "\n".join([block] * 5)
        assert told.text() == f"<|user|>\n{blocks}\nPlease segment the water.<|end|>\n<|assistant|>\n"
        assert len(told.inputs.vision.tiles) == 5
        side = told.model.processor.options.tile_size
        expected = np.asarray(FRAMES[4].resize((side, side), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        assert np.array_equal(told.inputs.vision.tiles[4], expected)

    @pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow), 7])
    def test_every_frame_is_drawn_from_the_prompt(self, tell: Callable[[str], Told], count: int) -> None:
        """Each frame's mask is what the same [SEG] states draw on that frame alone."""
        told = tell("one [SEG], two [SEG]")
        frames = FRAMES[:count]
        found = told.model.predict_forward(video=frames, text=QUESTION)
        assert [mask.shape for mask in found["prediction_masks"]] == [(count, 40, 60)] * 2
        assert found["prediction_masks"][0].dtype == bool
        (answer,) = told.model.answer(told.inputs, told.model.processor, sizes=[(40, 60)])
        head, processor = told.model.seg_head, told.model.processor
        with torch.no_grad():
            prompts = head.project_seg(torch.stack(list(answer.seg_states)))
            for number, frame in enumerate(frames):
                features = head.encode(processor.encode({"rgb": frame}, [("user", QUESTION)]).grounding_images)
                sample, slot = torch.zeros(2, dtype=torch.long), torch.arange(2)
                drawn = head.decode_masks(prompts, features, sample=sample, slot=slot, num_slots=2).chosen
                alone = processor.post_process_masks(drawn, (40, 60))
                assert all(np.array_equal(found["prediction_masks"][k][number], alone[k]) for k in range(2))

    def test_a_frame_changes_the_masks_of_no_other(self, tell: Callable[[str], Told]) -> None:
        model = tell("[SEG]").model
        one, other = ([*FRAMES[:6], last] for last in (FRAMES[6], picture(99)))
        first, second = (model.predict_forward(video=frames, text=QUESTION)["prediction_masks"][0] for frames in (one, other))
        assert np.array_equal(first[:6], second[:6])
        assert not np.array_equal(first[6], second[6])

    def test_one_frame_is_one_tile_where_an_image_is_several(self, tell: Callable[[str], Told]) -> None:
        told, wide = tell("yes"), picture(3, (64, 128))
        told.model.predict_forward(video=[wide], text=QUESTION)
        assert len(told.inputs.vision.tiles) == 1
        told.model.predict_forward(image=wide, text=QUESTION)
        assert len(told.inputs.vision.tiles) > 1

    def test_an_answer_without_seg_draws_nothing(self, tell: Callable[[str], Told]) -> None:
        model = tell("There is none.").model
        assert model.predict_forward(video=FRAMES, text="Water?") == {"prediction": "There is none.", "prediction_masks": []}
        assert model.predict_forward_multi(video=FRAMES, text="Water?")["prediction"] == "There is none."

    def test_frames_of_another_size_are_named(self, loaded: EarthMindForConditionalGeneration) -> None:
        frames = [picture(0), picture(1), picture(2, (40, 50))]
        with pytest.raises(ValueError, match=r"frame 2 of the video is \(40, 50\) px \(height, width\), the first \(40, 60\).*Resize"):
            loaded.predict_forward(video=frames, text=QUESTION)

    def test_no_frames_are_an_error(self, loaded: EarthMindForConditionalGeneration) -> None:
        with pytest.raises(ValueError, match="the video has no frames"):
            loaded.predict_forward(video=[], text=QUESTION)

    @pytest.mark.parametrize("extra", [{"image": picture(0)}, {"mask_prompts": [[np.ones((40, 60))]]}])
    def test_what_does_not_go_with_a_video_is_refused(self, loaded: EarthMindForConditionalGeneration, extra: Mapping[str, Any]) -> None:
        with pytest.raises(ValueError, match="video goes with neither an image nor mask_prompts"):
            loaded.predict_forward(video=FRAMES, text=QUESTION, **extra)


class TestPastText:
    @pytest.mark.parametrize("past", [DIALOGUE, DIALOGUE.rstrip(), DIALOGUE.removesuffix("<|end|>\n")])
    def test_it_stands_before_the_prompt_and_is_not_drawn_again(self, tell: Callable[[str], Told], past: str) -> None:
        told = tell("Here: [SEG]")
        found = told.model.predict_forward(picture(0, (32, 32)), text="And the road?", past_text=past)
        image = f"<img>{'#' * told.model.config.tokens_per_tile}</img>"
        before = DIALOGUE.replace("<image>", image)
        assert told.text() == f"{before}<|user|>\nAnd the road?<|end|>\n<|assistant|>\n"
        assert len(found["prediction_masks"]) == 1

    def test_its_first_question_gets_the_image_where_no_text_holds_it(self, tell: Callable[[str], Told]) -> None:
        told = tell("yes")
        told.model.predict_forward(picture(0), text="And?", past_text=DIALOGUE.replace("<image>\n", ""))
        assert told.text().startswith("<|user|>\n<img>#")
        assert told.text().count("<img>") == 1

    def test_it_goes_with_a_video(self, tell: Callable[[str], Told]) -> None:
        told = tell("[SEG]")
        found = told.model.predict_forward(video=FRAMES[:2], text="And?", past_text=DIALOGUE)
        assert told.text().count("<img>") == 2
        assert found["prediction_masks"][0].shape == (2, 40, 60)

    @pytest.mark.parametrize(
        "past",
        ["What is it? A lake.", "<|user|>\nWhat is it?<|end|>\n", "<|assistant|>\nA lake.<|end|>\n", f"{DIALOGUE}<|user|>\nAnd"],
    )
    def test_what_is_no_finished_dialogue_is_refused(self, loaded: EarthMindForConditionalGeneration, past: str) -> None:
        with pytest.raises(ValueError, match=r"past_text: expected a finished dialogue, '<\|user\|>.*found '"):
            loaded.predict_forward(picture(0), text="And?", past_text=past)

    def test_an_image_in_both_is_refused(self, loaded: EarthMindForConditionalGeneration) -> None:
        with pytest.raises(ValueError, match="the user text holds 2 <image>"):
            loaded.predict_forward(picture(0), text=QUESTION, past_text=DIALOGUE)


class TestMaskPrompts:
    LEFT, RIGHT = np.zeros((40, 60), np.float32), np.zeros((40, 60), np.float32)
    LEFT[5:30, :25] = 1
    RIGHT[2:4, 50:52] = 1

    def test_regions_are_named_and_marked_as_upstream_words_it(self, tell: Callable[[str], Told]) -> None:
        told = tell("a lake")
        model, image = told.model, picture(0, (32, 32))
        regions = [np.eye(32, dtype=bool), np.pad(np.ones((1, 1), bool), ((0, 31), (31, 0)))]
        model.predict_forward(image, text="<image>\nWhat is region1?", mask_prompts=[regions])
        tokens = model.config.tokens_per_tile
        marked = [int(part.count("#")) for part in told.text().split("<vp>")[1:]]
        assert told.text() == (
            f"<|user|>\n<img>{'#' * tokens}</img>\nThere are 2 part regions in the picture: region1<vp>{'#' * marked[0]}</vp>, "
            f"region2<vp>{'#' * marked[1]}</vp>.\n\nWhat is region1?<|end|>\n<|assistant|>\n"
        )
        rows, columns = model.config.tile_grid
        assert marked == [min(rows, columns), 1]

    @pytest.mark.parametrize("make", [list, np.stack, lambda masks: torch.tensor(np.stack(masks))])
    def test_masks_may_be_lists_arrays_or_tensors(self, tell: Callable[[str], Told], make: Callable[[Any], Any]) -> None:
        told = tell("a lake")
        told.model.predict_forward(picture(0), text=QUESTION, mask_prompts=[make([self.LEFT, self.RIGHT])])
        text = told.text()
        told.model.predict_forward(picture(0), text=QUESTION, mask_prompts=[[self.LEFT > 0, self.RIGHT > 0]])
        assert text == told.text() and "region2<vp>#</vp>" in text

    def test_without_a_placeholder_image_and_regions_go_in_front(self, tell: Callable[[str], Told]) -> None:
        told = tell("a lake")
        told.model.predict_forward(picture(0), text="What is region1?", mask_prompts=[[self.LEFT]])
        assert "</vp>.\nWhat is region1?" in told.text() and told.text().startswith("<|user|>\n<img>#")

    def test_a_pair_has_regions_too(self, tell: Callable[[str], Told]) -> None:
        told = tell("a lake")
        told.model.predict_forward_multi(picture(1), picture(0), text=QUESTION, mask_prompts=[[self.LEFT]])
        assert "region1<vp>#" in told.text()

    @pytest.mark.parametrize("masks", [[], [[]], [[LEFT], [RIGHT]]])
    def test_other_numbers_of_masks_are_refused(self, loaded: EarthMindForConditionalGeneration, masks: Any) -> None:
        with pytest.raises(ValueError, match=r"mask_prompts holds \d lists of masks, expected one"):
            loaded.predict_forward(picture(0), text=QUESTION, mask_prompts=masks)

    def test_a_mask_of_another_size_is_refused(self, loaded: EarthMindForConditionalGeneration) -> None:
        with pytest.raises(ValueError, match=r"a region is \(16, 16\) px but the images are \[\(40, 60\)\] px"):
            loaded.predict_forward(picture(0), text=QUESTION, mask_prompts=[[np.ones((16, 16))]])

    def test_without_an_image_they_are_refused(self, loaded: EarthMindForConditionalGeneration) -> None:
        with pytest.raises(ValueError, match="mask_prompts mark regions of an image, but no image is given"):
            loaded.predict_forward(text="What is region1?", mask_prompts=[[self.LEFT]])


class TestSecondRelease:
    """A pair that fusion="hca" joins returns its weights and its grid, too."""

    @pytest.fixture
    def fused(self, make_tiny: Callable[..., Any]) -> Callable[..., EarthMindForConditionalGeneration]:
        def load(**hca: Any) -> EarthMindForConditionalGeneration:
            made = make_tiny(fusion="hca", hca=hca, processor={"max_tiles": 4})
            made.model._processor = made.processor
            return made.model.eval()

        return load

    def test_weights_and_grid_of_a_pair(self, fused: Any) -> None:
        model = fused(**UPSTREAM)
        sar, rgb = picture(1, (32, 96)), picture(0, (32, 96))
        found = model.predict_forward_multi(sar, rgb, text=QUESTION, max_new_tokens=2)
        assert found["sta"] == (3, 1)
        of_rgb, of_sar = found["vis_weight"]
        assert of_rgb.shape == of_sar.shape == (4, model.config.tokens_per_tile, 1)
        torch.testing.assert_close(of_rgb + of_sar, torch.ones_like(of_rgb))
        swapped = model.predict_forward_multi(rgb, sar, text=QUESTION, max_new_tokens=2)["vis_weight"]
        torch.testing.assert_close(swapped[0], of_sar)
        assert (of_rgb - of_sar).abs().max() > 0.01

    def test_nothing_more_is_returned_of_one_image_or_none(self, fused: Any) -> None:
        model = fused()
        keys = {"prediction", "prediction_masks"}
        for given in ({"rgb_image": FRAMES[0]}, {"image": FRAMES[0]}, {}, {"video": FRAMES[:2]}):
            assert model.predict_forward_multi(text="What is it?", max_new_tokens=2, **given).keys() == keys
        assert model.predict_forward(FRAMES[0], text="What is it?", max_new_tokens=2).keys() == keys

    def test_composites_are_averaged_where_it_is_asked_for(self, fused: Any) -> None:
        composites = [picture(number) for number in range(4)]
        found = fused().predict_forward_multi(picture(7), composites, text=QUESTION, max_new_tokens=2)
        of_rgb, of_sar = found["vis_weight"]
        torch.testing.assert_close(of_rgb + of_sar, torch.ones_like(of_rgb))
        with pytest.raises(SampleError, match=r"several views .* multispectral 4; .*hca.average_views=True"):
            fused(**UPSTREAM).predict_forward_multi(picture(7), composites, text=QUESTION)
        for wrong in ([], [picture(0), picture(1, (20, 60))], [np.zeros((4, 4), np.uint8)]):
            with pytest.raises(SampleError, match=r"rgb_image is a list of \d: .* Composites of one multispectral image"):
                fused().predict_forward_multi(picture(7), wrong, text=QUESTION)

    def test_images_of_other_ground_are_refused(self, fused: Any) -> None:
        with pytest.raises(SampleError, match="tile grids do not agree"):
            fused().predict_forward_multi(picture(1, (32, 96)), picture(0, (96, 32)), text=QUESTION)


def test_a_question_must_be_given(loaded: EarthMindForConditionalGeneration) -> None:
    with pytest.raises(TypeError, match="text is missing"):
        loaded.predict_forward(picture(0))


def test_an_image_placeholder_without_an_image_is_refused(loaded: EarthMindForConditionalGeneration) -> None:
    with pytest.raises(ValueError, match=r"the user text holds 1 <image> .* but there are 0 image blocks"):
        loaded.predict_forward(text=QUESTION)


def test_a_tokenizer_of_another_model_is_refused(loaded: EarthMindForConditionalGeneration, make_tokenizer: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"the tokenizer has \d+ tokens, the one saved with the model \d+: ids would mean other words"):
        loaded.predict_forward(text="Hello", tokenizer=make_tokenizer(special=()))


def test_a_model_of_no_folder_has_no_processor(tiny: Any) -> None:
    with pytest.raises(ValueError, match="not loaded from a folder, so no processor was saved beside it"):
        tiny.model.predict({}, "Hello")


class TestQuickStart:
    """How upstream's quick start loads a model: the code that the folder ships, the type it was saved in, placed by transformers."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
        made = make_tiny()
        made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 1e4]]
        made.model.generation_config.stop_strings = ["[SEG]"]
        made.model.bfloat16()
        out = tmp_path_factory.mktemp("converted") / "quick_start"
        write_checkpoint(pack(SimpleNamespace(model=made.model, processor=made.processor)), out, card="# tiny\n")
        return out

    @pytest.mark.parametrize("device_map", ["cpu", "auto", pytest.param("cuda:0", marks=pytest.mark.gpu)])
    def test_it_answers_where_it_was_placed(self, folder: Path, device_map: str) -> None:
        model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype="auto", device_map=device_map, trust_remote_code=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
        assert model.dtype == torch.bfloat16
        if device_map != "auto":
            assert {str(value.device) for value in model.parameters()} == {device_map}
        for given, count in (({"image": FRAMES[0]}, 1), ({"video": FRAMES}, 7)):
            found = model.predict_forward(**given, text="<image>Please segment the left chimney.", tokenizer=tokenizer)
            assert found["prediction"] == "[SEG]"
            assert [mask.shape for mask in found["prediction_masks"]] == [(count, 40, 60)]
