import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.processor_options import ProcessorOptions
from eocore.portable.band_rendering import SceneArray
from eocore.portable.position_limit import SampleTooLongError
from eocore.portable.row_packing import IGNORE
from eocore.portable.vision_layout import SampleError

QUESTION = [("user", "<image>\nWhat is this?"), ("assistant", "water.")]
SEGMENT = [("user", "<image>\nsegment the water"), ("assistant", "Sure, [SEG].")]
TOKENS = 64 // 4
"""Vision tokens of a tile: 8 x 8 patches, 2 x 2 joined to one token."""


@pytest.fixture
def processor(tiny: Any) -> EarthMindProcessor:
    return tiny.processor


@pytest.fixture
def make_processor(make_tiny: Callable[..., Any]) -> Callable[..., EarthMindProcessor]:
    def build(template: str = "phi3_chat", **choices: Any) -> EarthMindProcessor:
        return make_tiny(template=template, processor=choices).processor

    return build


def flat(value: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    """A display image of one colour."""
    return np.full((*size, 3), value, np.uint8)


class TestOrderOfSensors:
    PAIR = {"rgb": flat(10, (32, 64)), "sar": flat(20, (32, 64))}  # noqa: RUF012 (read alone)

    def test_published_order_is_place_by_place_sar_before_rgb(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        sample = make_processor(max_tiles=2).encode(self.PAIR, QUESTION)
        assert sample.tiles[:, 0, 0, 0].tolist() == [20, 10] * 3  # two tiles and the thumbnail
        assert sample.tile_group.tolist() == [[0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5]]
        assert sample.vision_index.tolist() == list(range(6 * TOKENS))

    def test_order_of_the_mapping_makes_no_difference(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        processor = make_processor(max_tiles=2)
        turned = processor.encode(dict(reversed(self.PAIR.items())), QUESTION)
        assert torch.equal(turned.tiles, processor.encode(self.PAIR, QUESTION).tiles)

    def test_order_is_a_choice(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        sample = make_processor(max_tiles=2, modality_order=("rgb", "sar", "multispectral")).encode(self.PAIR, QUESTION)
        assert sample.tiles[:, 0, 0, 0].tolist() == [10, 20] * 3

    @pytest.mark.parametrize("order", [("sar", "rgb"), ("sar", "rgb", "rgb"), ("sar", "rgb", "lidar")])
    def test_an_order_names_each_modality_once(self, make_processor: Callable[..., EarthMindProcessor], order: tuple[str, ...]) -> None:
        with pytest.raises(ValueError, match=r"modality_order=.* must name each modality once: rgb, multispectral, sar"):
            make_processor(modality_order=order)

    def test_by_modality_each_sensor_has_a_named_block(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        processor = make_processor(max_tiles=2, token_order="modality")
        sample = processor.encode(self.PAIR, QUESTION)
        text = processor.tokenizer.decode(sample.input_ids).replace("<IMG_CONTEXT>", "")
        assert text.startswith("<|user|>\nsar: <img></img>rgb: <img></img>\nWhat is this?")
        shown = sample.tiles[:, 0, 0, 0][sample.vision_index // TOKENS]
        assert shown.tolist() == [20] * 3 * TOKENS + [10] * 3 * TOKENS

    def test_several_views_of_a_sensor_share_its_group(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        images = {"multispectral": SceneArray(np.zeros((6, 32, 64), np.float32), tuple("abcdef"), "uint8"), "sar": flat(20, (32, 64))}
        sample = make_processor(max_tiles=2).encode(images, QUESTION)
        assert sample.tile_group.tolist() == [[0] * 3 + [1] * 3 + [2] * 3, [0, 1, 1, 2, 3, 3, 4, 5, 5]]

    def test_sensors_of_different_size_are_cut_alike(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        sample = make_processor(max_tiles=4).encode({"rgb": flat(10, (64, 64)), "sar": flat(20, (16, 16))}, QUESTION)
        assert sample.tiles[:, 0, 0, 0].tolist() == [20, 10] * 5


class TestText:
    def test_only_answers_and_their_end_are_scored(self, processor: EarthMindProcessor) -> None:
        turns = [*QUESTION, ("user", "And here?"), ("assistant", "road")]
        sample = processor.encode({"rgb": flat(1)}, turns)
        scored = sample.labels != IGNORE
        assert torch.equal(sample.labels[scored], sample.input_ids[scored])
        assert processor.tokenizer.decode(sample.labels[scored]) == "water.<|end|>road<|end|>"

    @pytest.mark.parametrize("template", ["phi3_chat", "chatml"])
    def test_prompts_of_training_prediction_and_chat_templates_are_the_same_tokens(
        self, make_processor: Callable[..., EarthMindProcessor], template: str
    ) -> None:
        processor = make_processor(template)
        ours = processor.encode({"rgb": flat(1)}, QUESTION[:1], for_generation=True).input_ids
        trained = processor.encode({"rgb": flat(1)}, QUESTION)
        content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
        called = processor(images=Image.fromarray(flat(1)), text=prompt)
        assert called["input_ids"][0].tolist() == ours.tolist()
        assert trained.input_ids[: len(ours)].tolist() == ours.tolist()
        assert (trained.labels[: len(ours)] == IGNORE).all()
        assert trained.labels[len(ours)] != IGNORE

    def test_decoding_gives_the_answer_back(self, processor: EarthMindProcessor) -> None:
        answer = "Sure, <p> it is </p> [SEG] , and [SEG][SEG]."
        sample = processor.encode({}, [("user", "Hi"), ("assistant", answer)])
        ids = sample.input_ids[sample.labels != IGNORE]
        padded = torch.cat([ids, torch.full((3,), processor.tokenizer.pad_token_id)])
        assert processor.decode_answer(padded) == answer

    @pytest.mark.parametrize("word", ["[SEG]", "<IMG_CONTEXT>", "<|end|>", "<|assistant|>", "<vp>"])
    def test_user_text_holds_no_special_token(self, processor: EarthMindProcessor, word: str) -> None:
        special = processor.tokenizer.convert_tokens_to_ids(word)
        usual = processor.encode({}, [("user", "mark  it")], for_generation=True).input_ids
        sample = processor.encode({}, [("user", f"mark {word} it")], for_generation=True)
        assert (sample.input_ids == special).sum() == (usual == special).sum()
        assert processor.tokenizer.decode(sample.input_ids) == f"<|user|>\nmark {word} it<|end|>\n<|assistant|>\n"
        assert not len(sample.seg_index)
        assert not len(sample.placeholder_index)

    def test_an_answer_cannot_hold_the_image_token(self, processor: EarthMindProcessor) -> None:
        with pytest.raises(SampleError, match="a7: the text itself holds <IMG_CONTEXT>"):
            processor.encode({"rgb": flat(1)}, [QUESTION[0], ("assistant", "<IMG_CONTEXT>")], sample_id="a7")

    def test_placeholders_in_an_answer_are_words(self, processor: EarthMindProcessor) -> None:
        sample = processor.encode({"rgb": flat(1)}, [QUESTION[0], ("assistant", "an <image> of a <region>")])
        assert len(sample.placeholder_index) == TOKENS

    @pytest.mark.parametrize("turns", [[("user", "What?")], [("user", "<image> <image> What?")]])
    def test_image_placeholders_must_fit_the_images(self, processor: EarthMindProcessor, turns: list[tuple[str, str]]) -> None:
        with pytest.raises(SampleError, match=r"a7: the user text holds \d <image> and 0 <region>, but there are 1 image blocks"):
            processor.encode({"rgb": flat(1)}, turns, sample_id="a7")

    def test_a_placeholder_without_images_is_an_error(self, processor: EarthMindProcessor) -> None:
        with pytest.raises(SampleError, match=r"holds 1 <image> .* there are 0 image blocks"):
            processor.encode({}, QUESTION)

    def test_too_long_is_an_error_and_nothing_is_cut(self, processor: EarthMindProcessor) -> None:
        length = len(processor.encode({"rgb": flat(1)}, QUESTION).input_ids)
        assert len(processor.encode({"rgb": flat(1)}, QUESTION, max_length=length).input_ids) == length
        with pytest.raises(
            SampleTooLongError, match=rf"a7: {length} tokens \(1 tiles of 16 vision tokens\), at most {length - 1} are allowed"
        ):
            processor.encode({"rgb": flat(1)}, QUESTION, max_length=length - 1, sample_id="a7")

    def test_an_unknown_modality_is_named(self, processor: EarthMindProcessor) -> None:
        with pytest.raises(SampleError, match=r"a7: modalities \['lidar'\] are unknown; choices: rgb, multispectral, sar"):
            processor.encode({"lidar": flat(1)}, QUESTION, sample_id="a7")
        with pytest.raises(SampleError, match=r"modalities \['lidar'\] are unknown"):
            processor(images={"lidar": flat(1)}, text="<image>\nWhat?")


class TestRegions:
    ASK = [("user", "<image>\nWhat is <region>?"), ("assistant", "a road")]  # noqa: RUF012 (read alone)

    def region_tokens(self, processor: EarthMindProcessor, images: dict[str, Any], *regions: np.ndarray) -> list[list[int]]:
        """Vision tokens of each region, read back from between the region marks."""
        question = "<image>\nCompare" + " <region>" * len(regions)
        sample = processor.encode(images, [("user", question), ("assistant", "same")], regions=regions)
        start, end = (processor.tokenizer.convert_tokens_to_ids(mark) for mark in ("<vp>", "</vp>"))
        places, found, inside = sample.placeholder_index.tolist(), [], None
        for place, token in enumerate(sample.input_ids.tolist()):
            if token == start:
                inside = []
            elif token == end:
                found.append(inside)
                inside = None
            elif inside is not None:
                inside.append(int(sample.vision_index[places.index(place)]))
        return found

    def test_a_region_becomes_the_tokens_it_covers(self, processor: EarthMindProcessor) -> None:
        region = np.zeros((32, 32), bool)
        region[8:16, 16:32] = True  # second of four token rows, right half
        assert self.region_tokens(processor, {"rgb": flat(1)}, region) == [[6, 7]]

    def test_one_pixel_of_a_million_keeps_a_token(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        region = np.zeros((1000, 1000), bool)
        region[999, 0] = True
        assert self.region_tokens(make_processor(), {"rgb": flat(1, (1000, 1000))}, region) == [[12]]

    def test_tokens_come_from_the_thumbnail_of_every_sensor(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        region = np.zeros((64, 64), bool)
        region[:16, :16] = True
        images = {"rgb": flat(1, (64, 64)), "sar": flat(2, (64, 64))}
        first_of_sar, first_of_rgb = 8 * TOKENS, 9 * TOKENS  # four places of two tiles stand before the thumbnail's two
        assert self.region_tokens(make_processor(max_tiles=4), images, region) == [[first_of_sar, first_of_rgb]]

    def test_several_regions_keep_their_order(self, processor: EarthMindProcessor) -> None:
        first, second = np.zeros((32, 32), bool), np.zeros((32, 32), bool)
        first[31, 31] = second[0, 0] = True
        assert self.region_tokens(processor, {"rgb": flat(1)}, first, second) == [[15], [0]]

    def test_an_empty_region_is_an_error(self, processor: EarthMindProcessor) -> None:
        with pytest.raises(SampleError, match="a7: a region mask is empty"):
            processor.encode({"rgb": flat(1)}, self.ASK, regions=[np.zeros((32, 32), bool)], sample_id="a7")

    def test_a_region_of_another_size_is_an_error(self, processor: EarthMindProcessor) -> None:
        with pytest.raises(SampleError, match=r"a7: a region is \(16, 32\) px but the images are \[\(32, 32\)\] px"):
            processor.encode({"rgb": flat(1)}, self.ASK, regions=[np.ones((16, 32), bool)], sample_id="a7")

    @pytest.mark.parametrize("count", [0, 2])
    def test_region_places_must_fit_the_regions(self, processor: EarthMindProcessor, count: int) -> None:
        with pytest.raises(SampleError, match=f"holds 1 <image> and 1 <region>, but there are 1 image blocks .* and {count} regions"):
            processor.encode({"rgb": flat(1)}, self.ASK, regions=[np.ones((32, 32), bool)] * count)

    def test_without_a_view_of_the_whole_image_they_are_an_error(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        processor = make_processor(max_tiles=4, use_thumbnail=False)
        assert processor.encode({"rgb": flat(1, (64, 64))}, QUESTION).attention_columns.shape == (1, 0)
        with pytest.raises(SampleError, match=r"cut into tiles and use_thumbnail=False .* Set use_thumbnail=True or max_tiles=1"):
            processor.encode({"rgb": flat(1, (64, 64))}, self.ASK, regions=[np.ones((64, 64), bool)])


class TestMasks:
    def test_masks_go_to_the_grounding_size_without_new_values(self, processor: EarthMindProcessor, square_mask: np.ndarray) -> None:
        sample = processor.encode({"rgb": flat(1, (48, 48))}, SEGMENT, masks=[square_mask])
        assert sample.masks.shape == (1, 64, 64)
        assert set(sample.masks.unique().tolist()) == {0, 1}
        assert abs(sample.masks.float().mean().item() - square_mask.mean()) < 0.02
        assert sample.input_ids[sample.seg_index].tolist() == [processor.seg_token_id]

    @pytest.mark.parametrize("count", [0, 2])
    def test_each_seg_needs_one_mask(self, processor: EarthMindProcessor, square_mask: np.ndarray, count: int) -> None:
        with pytest.raises(SampleError, match=rf"a7: the answers hold 1 \[SEG\] but there are {count} masks; .* one mask per token"):
            processor.encode({"rgb": flat(1, (48, 48))}, SEGMENT, masks=[square_mask] * count, sample_id="a7")

    def test_independent_questions_share_one_image_and_are_for_training(self, processor: EarthMindProcessor) -> None:
        turns = [("user", "<image>\nWhat?"), ("assistant", "It is."), ("user", "<image>\nWhere?"), ("assistant", "There.")]
        with pytest.raises(SampleError, match=r"a7: the user text holds 2 <image> .* there are 1 image blocks"):
            processor.encode({"rgb": flat(1)}, turns, masks=[], independent=True, sample_id="a7")
        with pytest.raises(SampleError, match="independent questions are for training; ask each by itself for an answer"):
            processor.encode({"rgb": flat(1)}, turns[:2], independent=True, for_generation=True)

    def test_a_mask_of_another_size_is_an_error(self, processor: EarthMindProcessor, square_mask: np.ndarray) -> None:
        with pytest.raises(SampleError, match=r"a7: a mask is \(48, 48\) px but the images are \[\(32, 32\)\] px \(height, width\)"):
            processor.encode({"rgb": flat(1)}, SEGMENT, masks=[square_mask], sample_id="a7")

    def test_columns_are_the_places_of_the_whole_view_s_tokens(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        images = {"rgb": flat(1, (32, 64)), "sar": flat(2, (32, 64))}
        for order in ("place", "modality"):
            sample = make_processor(max_tiles=2, token_order=order).encode(images, SEGMENT, masks=[np.ones((32, 64), bool)])
            places = sample.placeholder_index.tolist()
            tokens = [int(sample.vision_index[places.index(column)]) for column in sample.attention_columns[0].tolist()]
            assert tokens == list(range(4 * TOKENS, 6 * TOKENS))

    def test_columns_stay_with_the_image_when_a_region_comes_first(self, processor: EarthMindProcessor) -> None:
        region = np.zeros((32, 32), bool)
        region[0, 0] = True
        sample = processor.encode(
            {"rgb": flat(1)}, [("user", "<region> in <image>"), ("assistant", "[SEG]")], regions=[region], masks=[region]
        )
        start = processor.tokenizer.convert_tokens_to_ids("<img>")
        first = sample.input_ids.tolist().index(start) + 1
        assert sample.attention_columns[0].tolist() == list(range(first, first + TOKENS))

    def test_masks_are_drawn_on_the_first_sensor_of_the_grounding_order(self, make_processor: Callable[..., EarthMindProcessor]) -> None:
        images = {"rgb": flat(10), "multispectral": flat(30)}
        sample = make_processor(grounding_order=("sar", "multispectral", "rgb")).encode(images, QUESTION)
        assert sample.grounding_images[:, 0, 0, 0].tolist() == [30]
        both = make_processor(grounding_order=("sar", "multispectral", "rgb"), grounding="all").encode(images, QUESTION)
        assert both.grounding_images[:, 0, 0, 0].tolist() == [30, 10]

    def test_no_grounding_image_where_nothing_is_drawn(self, processor: EarthMindProcessor) -> None:
        assert processor.encode({"rgb": flat(1)}, QUESTION, masks=[]).grounding_images is None
        assert processor.encode({"rgb": flat(1)}, QUESTION, with_grounding=False).grounding_images is None

    def test_masks_come_back_at_the_image_s_size(self, processor: EarthMindProcessor) -> None:
        logits = torch.full((2, 16, 16), -1.0)
        logits[1, :, 8:] = 1.0
        masks = processor.post_process_masks(logits, (30, 50))
        assert masks.shape == (2, 30, 50)
        assert masks.dtype == bool
        assert not masks[0].any()
        assert np.array_equal(masks[1], np.broadcast_to(np.arange(50) >= 25, (30, 50)))


class TestCall:
    """Prompts in the chat format, as pipelines hand them in."""

    def test_one_image_is_rgb_and_two_are_sar_and_rgb(self, processor: EarthMindProcessor) -> None:
        one = processor(images=flat(10), text="<image>\nWhat?")
        assert one["image"][:, 0, 0, 0].tolist() == [10]
        two = processor(images=[flat(20), flat(10)], text="<image>\n<image>\nWhat?")
        assert two["image"][:, 0, 0, 0].tolist() == [20, 10]
        assert two["tile_positions"].tolist() == [0, 0] and two["tile_views"].tolist() == [0, 1]
        named = processor(images={"rgb": flat(10), "sar": flat(20)}, text="<image>\nWhat?")
        assert torch.equal(two["input_ids"], named["input_ids"])
        assert torch.equal(two["image"], named["image"])

    def test_images_can_be_named(self, processor: EarthMindProcessor) -> None:
        batch = processor(images=[flat(10), flat(20)], text="<image>\nWhat?", modalities=("rgb", "multispectral"))
        assert batch["image"][:, 0, 0, 0].tolist() == [10, 20]
        with pytest.raises(SampleError, match="3 images but modalities=None; name each image"):
            processor(images=[[flat(1)] * 3], text="<image>\nWhat?")

    def test_several_prompts_are_padded_in_front(self, processor: EarthMindProcessor) -> None:
        batch = processor(images=[[flat(10)], [flat(20), flat(10)]], text=["<image>\nWhat?", "<image>\nsegment the water in this image."])
        assert batch.input_ids.shape[0] == 2
        assert batch.attention_mask[0, 0] == 0
        assert batch.attention_mask[:, -1].tolist() == [1, 1]
        assert batch["tile_counts"].tolist() == [1, 2]
        assert (batch.input_ids == processor.image_token_id).sum() == len(batch["vision_order"])

    def test_images_must_fit_the_prompts(self, processor: EarthMindProcessor) -> None:
        with pytest.raises(SampleError, match="3 images or lists of images for 2 prompts"):
            processor(images=[flat(1)] * 3, text=["<image>\na", "<image>\nb"])

    def test_a_missing_placeholder_goes_into_the_first_user_message(self, processor: EarthMindProcessor) -> None:
        prompt = "<|user|>\nWhat?<|end|>\n<|assistant|>\nwater<|end|>\n<|user|>\nWhy?<|end|>\n<|assistant|>\n"
        put = processor(images=flat(1), text=prompt)["input_ids"]
        meant = processor(images=flat(1), text=prompt.replace("<|user|>\n", "<|user|>\n<image>\n", 1))["input_ids"]
        assert torch.equal(put, meant)
        assert torch.equal(
            processor(images=flat(1), text="What?")["input_ids"], processor(images=flat(1), text="<image>\nWhat?")["input_ids"]
        )

    def test_text_alone_has_no_vision(self, processor: EarthMindProcessor) -> None:
        batch = processor(text="Hello")
        assert len(batch["image"]) == len(batch["vision_order"]) == 0 and batch["tile_counts"].tolist() == [0]


class TestChoices:
    @pytest.mark.parametrize(
        ("choice", "message"),
        [
            ({"token_order": "random"}, "token_order='random' is unknown; choices: place, modality"),
            ({"grounding": "last"}, "grounding='last' is unknown; choices: first, all"),
            ({"grounding_order": ("lidar",)}, r"modalities \['lidar'\] are unknown; choices: rgb, multispectral, sar"),
            ({"presentation": {"thermal": {}}}, r"modalities \['thermal'\] are unknown"),
        ],
    )
    def test_unknown_choices_are_named(
        self, make_processor: Callable[..., EarthMindProcessor], choice: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            make_processor(**choice)

    def test_a_tokenizer_without_the_special_tokens_is_refused(self, make_tokenizer: Callable[..., Any]) -> None:
        with pytest.raises(ValueError, match=r"the tokenizer has no token <IMG_CONTEXT>; prepare it with"):
            EarthMindProcessor(make_tokenizer(special=()))

    def test_an_answer_ends_at_the_template_s_mark(self, make_tokenizer: Callable[..., Any], processor: EarthMindProcessor) -> None:
        ends = [processor.tokenizer.convert_tokens_to_ids(token) for token in ("<eos>", "<|end|>")]
        assert processor.stop_settings() == {"pad_token_id": processor.tokenizer.pad_token_id, "eos_token_id": sorted(ends)}
        other = EarthMindProcessor(make_tokenizer(whole_marks=False), ProcessorOptions(tile_size=32, tile_tokens=(4, 4)))
        settings = other.stop_settings()
        assert settings["stop_strings"] == ["<|end|>"]
        assert settings["tokenizer"] is other.tokenizer
        assert settings["eos_token_id"] == [other.tokenizer.eos_token_id]

    def test_saved_and_loaded_it_prepares_the_same_sample(
        self, make_processor: Callable[..., EarthMindProcessor], make_scenes: Callable[..., dict[str, Any]], tmp_path: Any
    ) -> None:
        saved = make_processor(
            "chatml", max_tiles=4, token_order="modality", modality_order=("rgb", "sar", "multispectral"), grounding="all"
        )
        saved.save_pretrained(tmp_path)
        loaded = EarthMindProcessor.from_pretrained(tmp_path)
        scenes = make_scenes("rgb", "multispectral", "sar")
        one, two = (made.encode(scenes, SEGMENT, masks=[np.ones((48, 48), bool)]) for made in (saved, loaded))
        for name, value in one._asdict().items():
            other = getattr(two, name)
            assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, name
        assert loaded.chat_template == saved.chat_template


def test_options_stand_side_by_side_in_the_file_as_ever(make_processor: Callable[..., EarthMindProcessor], tmp_path: Path) -> None:
    saved = make_processor("chatml", max_tiles=4)
    saved.save_pretrained(tmp_path)
    path = tmp_path / "processor_config.json"
    content = json.loads(path.read_text())
    assert set(content) == {
        *("tile_size", "min_tiles", "max_tiles", "use_thumbnail", "tile_tokens", "num_channels", "channel_fill", "presentation"),
        *("token_order", "modality_order", "grounding_size", "grounding", "grounding_order", "grounding_channels", "grounding_fill"),
        *("template", "processor_class", "fuse_sensors", "average_views", "fusion_text", "series_tiles"),
    }
    assert EarthMindProcessor.from_pretrained(tmp_path).options == saved.options
    path.write_text(json.dumps({**content, "max_tiles": 7, "grounding": "composite", "grounding_channels": ["sar:VV"]}))
    loaded = EarthMindProcessor.from_pretrained(tmp_path, min_tiles=2).options
    assert (loaded.max_tiles, loaded.min_tiles, loaded.grounding, loaded.grounding_channels) == (7, 2, "composite", ("sar:VV",))


def test_turns_that_the_template_does_not_write_are_refused(processor: EarthMindProcessor) -> None:
    messages = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "What is water?"}]
    with pytest.raises(ValueError, match="no system turn, so that one would be lost"):
        processor.apply_chat_template(messages, add_generation_prompt=True)
    with pytest.raises(ValueError, match="no system turn, so that one would be lost"):
        processor.encode({}, [(message["role"], message["content"]) for message in messages], for_generation=True)
    template = processor.chat_format.text.replace("message['role'] == 'user'", "message['role'] in ('user', 'system')")
    kept = processor.apply_chat_template(messages, chat_template=template, add_generation_prompt=True)
    assert "Answer in one word." in kept and "What is water?" in kept
    with pytest.raises(ValueError, match="turn 0 has parts of type video"):
        processor.apply_chat_template([{"role": "user", "content": [{"type": "video", "path": "a.mp4"}]}])


def test_system_turns_of_a_folder_s_template_reach_the_model(processor: EarthMindProcessor) -> None:
    text = processor.chat_format.text.replace(
        "{%- else -%}\n    {{- raise_exception",
        "{%- elif message['role'] == 'system' -%}\n    {{- '<|system|>\\n' ~ message['content'] ~ '<|end|>\\n' -}}\n"
        "  {%- else -%}\n    {{- raise_exception",
    ).replace("if loop.first else", "if loop.first or loop.previtem['role'] == 'system' else")
    own = EarthMindProcessor(processor.tokenizer, processor.options, chat_template=text)
    turns = [("system", "Answer in one word."), ("user", "What is water?")]
    ours = own.encode({}, turns, for_generation=True).input_ids
    prompt = own.apply_chat_template([{"role": role, "content": words} for role, words in turns], add_generation_prompt=True)
    assert prompt == "<|system|>\nAnswer in one word.<|end|>\n<|user|>\nWhat is water?<|end|>\n<|assistant|>\n"
    assert own(text=prompt)["input_ids"][0].tolist() == ours.tolist()


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_pictures_of_more_than_8_bits_are_refused(processor: EarthMindProcessor, mode: str) -> None:
    ramp = np.linspace(300, 4000, 48 * 48).reshape(48, 48)
    picture = Image.fromarray(ramp.astype(np.uint16) if mode == "I;16" else ramp.astype(np.float32))
    with pytest.raises(TypeError, match=f"a picture of mode {mode} .* is not one of 8 bits"):
        processor(images=picture, text="<image>What?")
