"""Series in samples, batches and answers: prompts, tiles, regions, and the image each [SEG] is drawn on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import torch
from earthmind_models import Dictation
from tolerances import ACROSS_DECODING

from earthmind.datasets.preparation import SamplePreparer
from earthmind.datasets.sizes import SampleMeasurer
from earthmind.model.predicting import Question
from earthmind.model.processing_earthmind import EarthMindProcessor
from eocore.data.io.readers import SceneHeader
from eocore.data.records import ImageRef, MaskRef, Record
from eocore.errors import AlignmentError
from eocore.portable.band_rendering import SceneArray
from eocore.portable.messages import read_turns
from eocore.portable.series import Moment
from eocore.portable.vision_layout import SampleError
from eocore.sensors.scene import Scene

TOKENS = 16
FIRST, SECOND = "2021-03-04", "2021-06-01"
ASKED = [("user", "<image>\nWhat changed?"), ("assistant", "water.")]


def flat(value: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def series(*values: int, times: tuple[str, ...] = (FIRST, SECOND, "2021-08-15")) -> list[Moment]:
    return [Moment(time, {"rgb": flat(value)}) for time, value in zip(times, values, strict=False)]


def half(side: str) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[:, slice(0, 16) if side == "left" else slice(16, 32)] = True
    return mask


def words(processor: EarthMindProcessor, ids: Any) -> str:
    return processor.tokenizer.decode(ids).replace("<IMG_CONTEXT>", "")


class TestGivenImages:
    @pytest.mark.parametrize(
        ("images", "found"),
        [
            ([flat(0), flat(1)], "a ndarray"),
            ([{"rgb": flat(0)}], "a dict"),
            (iter([Moment(FIRST, {"rgb": flat(0)})]), "a list_iterator"),
            ([Moment(date(2021, 3, 4), {"rgb": flat(0)})], r"a moment of the time datetime\.date\(2021, 3, 4\)"),  # type: ignore[arg-type]
            ([Moment(FIRST, flat(0))], "a moment of the time '2021-03-04'"),  # type: ignore[arg-type]
        ],
    )
    def test_what_is_neither_images_nor_moments_is_refused(self, tiny: Any, images: Any, found: str) -> None:
        with pytest.raises(TypeError, match=rf"images: found {found}, expected a dict of images by modality.*or a list of Moment\(time"):
            tiny.processor.encode(images, ASKED)

    def test_shapes_that_cannot_be_one_place_are_refused(self, tiny: Any) -> None:
        wide = flat(0, (16, 34))
        message = (
            r"the image '2021-03-04 rgb' is 32 x 32 px \(height x width\), '2021-06-01 rgb' 16 x 34: shapes that cannot show one place"
        )
        with pytest.raises(SampleError, match=message):
            tiny.processor.encode([Moment(FIRST, {"rgb": flat(0)}), Moment(SECOND, {"rgb": wide})], ASKED)
        tiny.processor.encode([Moment(FIRST, {"rgb": flat(0)}), Moment(SECOND, {"rgb": flat(0, (16, 17))})], ASKED)

    def test_no_moment_is_no_image(self, tiny: Any) -> None:
        nothing, empty = (tiny.model.predict(images, "Hello?", processor=tiny.processor, max_new_tokens=2) for images in ([], {}))
        assert nothing.text == empty.text and nothing.masks.shape == empty.masks.shape


class TestPrompt:
    def test_each_image_is_named_by_date_and_sensor(self, tiny: Any) -> None:
        sample = tiny.processor.encode(series(1, 2), ASKED)
        text = words(tiny.processor, sample.input_ids)
        assert text.startswith(f"<|user|>\n{FIRST} rgb: <img></img>\n{SECOND} rgb: <img></img>\nWhat changed?")

    def test_with_blocks_of_sensors_each_block_has_the_date(self, make_tiny: Callable[..., Any]) -> None:
        processor = make_tiny(processor={"token_order": "modality"}).processor
        moments = [Moment(FIRST, {"rgb": flat(1), "sar": flat(2)}), Moment(SECOND, {"rgb": flat(3)})]
        text = words(processor, processor.encode(moments, ASKED).input_ids)
        assert f"{FIRST} sar: <img></img>{FIRST} rgb: <img></img>\n{SECOND} rgb: <img></img>" in text

    def test_sensors_are_fused_within_a_date_alone(self, tiny: Any) -> None:
        moments = [Moment(FIRST, {"rgb": flat(1), "sar": flat(2)}), Moment(SECOND, {"rgb": flat(3)})]
        sample = tiny.processor.encode(moments, ASKED)
        assert sample.tiles[:, 0, 0, 0].tolist() == [2, 1, 3]
        assert sample.tile_group.tolist() == [[0, 0, 1], [0, 1, 2]]
        assert sample.vision_index.tolist() == list(range(3 * TOKENS))

    def test_an_image_of_a_series_has_one_tile_unless_more_are_asked_for(self, make_tiny: Callable[..., Any]) -> None:
        wide = [Moment(time, {"rgb": flat(1, (32, 64))}) for time in (FIRST, SECOND)]
        assert len(make_tiny(processor={"max_tiles": 2}).processor.encode(wide, ASKED).tiles) == 2
        assert len(make_tiny(processor={"max_tiles": 2, "series_tiles": 2}).processor.encode(wide, ASKED).tiles) == 6

    def test_a_series_of_one_is_a_single_image(self, tiny: Any) -> None:
        alone, single = tiny.processor.encode(series(1), ASKED), tiny.processor.encode({"rgb": flat(1)}, ASKED)
        assert torch.equal(alone.input_ids, single.input_ids) and torch.equal(alone.tiles, single.tiles)

    def test_moments_out_of_order_and_without_images_are_refused(self, tiny: Any) -> None:
        with pytest.raises(SampleError, match=rf"{FIRST} is earlier than the image before it"):
            tiny.processor.encode(series(1, 2, times=(SECOND, FIRST)), ASKED, sample_id="a")
        with pytest.raises(SampleError, match=rf"a: the moment '{SECOND}' has no image"):
            tiny.processor.encode([Moment(FIRST, {"rgb": flat(1)}), Moment(SECOND, {})], ASKED, sample_id="a")


class TestRegions:
    TURNS = (("user", "<image>\nWhat is region1<region>?"), ("assistant", "water."))

    def test_a_region_reads_its_own_image_and_names_it(self, tiny: Any) -> None:
        sample = tiny.processor.encode(series(1, 2), self.TURNS, regions=[half("left")], region_moments=[1])
        shown = sample.vision_index[2 * TOKENS :]
        assert len(shown) == TOKENS // 2 and set((shown // TOKENS).tolist()) == {1}
        assert f"region1{SECOND} <" in words(tiny.processor, sample.input_ids)

    @pytest.mark.parametrize("moments", [None, [2], [0, 1]])
    def test_a_region_of_a_series_says_on_which_image_it_lies(self, tiny: Any, moments: list[int] | None) -> None:
        with pytest.raises(SampleError, match=r"1 regions in a series of 2 moments, but .* on whose image each lies"):
            tiny.processor.encode(series(1, 2), self.TURNS, regions=[half("left")], region_moments=moments)


class TestMasks:
    def turns(self, question: str, answer: str) -> list[tuple[str, str]]:
        return [("user", f"<image>\n{question}"), ("assistant", answer)]

    def test_a_seg_is_drawn_on_the_image_it_names(self, tiny: Any) -> None:
        turns = self.turns(f"Segment it on {FIRST}.", f"[SEG]. On {SECOND}: [SEG] [SEG].")
        masks = [half("left"), half("right"), half("right")]
        sample = tiny.processor.encode(series(10, 20), turns, masks=masks, mask_moments=[0, 1, 1])
        assert sample.seg_moment.tolist() == [0, 1, 1]
        assert sample.grounding_images[:, 0, 0, 0].tolist() == [10, 20] and sample.grounding_moment.tolist() == [0, 1]
        batch = tiny.processor.collate([sample, tiny.processor.encode({"rgb": flat(5)}, self.turns("a", "[SEG]"), masks=[half("left")])])
        assert batch.grounding.num_samples == 3 and batch.grounding.owner.tolist() == [0, 1, 2]
        assert batch.segments.sample.tolist() == [0, 1, 1, 2] and batch.segments.slot.tolist() == [0, 0, 1, 0]
        assert batch.segments.counts == [3, 1]

    def test_attention_is_supervised_on_the_tokens_of_that_image(self, tiny: Any) -> None:
        sample = tiny.processor.encode(series(10, 20), self.turns("Segment what changed.", "[SEG]"), masks=[half("left")])
        columns = tiny.processor.collate([sample]).segments.columns[0]
        assert columns.tolist() == sample.placeholder_index[TOKENS:].tolist()

    def test_only_images_with_masks_go_to_sam(self, tiny: Any) -> None:
        sample = tiny.processor.encode(series(10, 20, 30), self.turns("Segment what changed.", "[SEG]"), masks=[half("left")])
        assert sample.grounding_images[:, 0, 0, 0].tolist() == [30]

    def test_a_mask_on_another_image_than_the_text_names_is_refused(self, tiny: Any) -> None:
        with pytest.raises(
            SampleError, match=rf"mask 0 lies on the image of {FIRST}, but by the text its \[SEG\] is drawn on that of {SECOND}"
        ):
            tiny.processor.encode(series(1, 2), self.turns("Segment it.", "[SEG]"), masks=[half("left")], mask_moments=[0])

    def test_losses_and_logits_are_those_of_single_samples_of_a_batch(self, tiny: Any) -> None:
        made = [tiny.processor.encode(series(10, 200), self.turns(f"On {day}?", "[SEG]"), masks=[half("left")]) for day in (FIRST, SECOND)]
        with torch.no_grad():
            both = tiny.model(batch=tiny.processor.collate(made))
            alone = [tiny.model(batch=tiny.processor.collate([one])) for one in made]
        joined = torch.cat([one.masks.chosen for one in alone])
        torch.testing.assert_close(both.masks.chosen, joined, **ACROSS_DECODING.close)
        assert not torch.allclose(joined[0], joined[1])


def test_hca_weighs_the_sensors_of_each_date_by_themselves(make_tiny: Callable[..., Any]) -> None:
    made = make_tiny(fusion="hca")
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (32, 32, 3)).astype(np.uint8) for _ in range(3)]
    pair = {"sar": noise[0], "rgb": noise[1]}
    moments = [Moment(FIRST, pair), Moment(SECOND, {"rgb": noise[2]})]

    def tokens(images: Any) -> torch.Tensor:
        batch = made.processor.collate([made.processor.encode(images, ASKED)])
        with torch.no_grad():
            return made.model.embed(batch.input_ids, batch.vision)[1].tokens

    assert torch.allclose(tokens(moments)[0], tokens(pair)[0], atol=1e-5)


class TestAnswers:
    def test_masks_of_an_answer_lie_on_the_images_it_names(self, tiny: Any) -> None:
        asked = Question(series(10, 200), f"Segment it on {FIRST}.")
        ids = tiny.tokenizer(f"[SEG] and on {SECOND} [SEG]", add_special_tokens=False).input_ids
        ending = tiny.processor.stop_settings()
        rows = [[*ids, *tiny.tokenizer("<|end|>", add_special_tokens=False).input_ids]]
        answer = tiny.model.predict_batch(
            [asked], processor=tiny.processor, max_new_tokens=40, generation={"logits_processor": [Dictation(rows)]}
        )[0]
        assert ending and answer.text == f"[SEG] and on {SECOND} [SEG]"
        assert list(answer.mask_moments) == [0, 1] and answer.masks.shape == (2, 32, 32)
        first, second = answer.mask_logits
        assert not torch.allclose(first, second)


class TestRecords:
    def record(self, *, mask_image: int = 1) -> Record:
        refs = tuple(ImageRef("rgb", "rgb_uint8", (f"{time}.png",), time=time) for time in (FIRST, SECOND))
        mask = MaskRef("box", [0, 0, 16, 32], image=mask_image)
        turns = read_turns(["<image>\nSegment what changed.", "[SEG]"])
        return Record("a", refs, turns, (mask,), source="f#1")

    def scenes(self) -> tuple[Scene, ...]:
        pixels = np.zeros((3, 32, 32), np.float32)
        return tuple(
            Scene(pixels + value, ("red", "green", "blue"), "rgb_uint8", "uint8", role="rgb", time=time)
            for value, time in ((10, FIRST), (20, SECOND))
        )

    def test_a_record_of_a_series_is_prepared_and_measured_alike(self, tiny: Any) -> None:
        record = self.record()
        sample = SamplePreparer(tiny.processor, max_length=1024)(record, self.scenes(), rng=np.random.default_rng(0))
        headers = [SceneHeader(32, 32, ("red", "green", "blue"), "uint8", "rgb", time=time) for time in (FIRST, SECOND)]
        found = SampleMeasurer(tiny.processor, max_length=1024)(record, headers)
        assert found["tokens"] == len(sample.input_ids) and found["tiles"] == 2
        assert (found["mask_images"], found["masks"]) == (1, 1) == (len(sample.grounding_images), len(sample.masks))
        assert sample.grounding_images[0, 0, 0, 0] == 20

    def test_a_mask_on_no_image_is_refused(self, tiny: Any) -> None:
        with pytest.raises(AlignmentError, match=r"a mask lies on image 2, but the record has 2 images"):
            SamplePreparer(tiny.processor, max_length=1024)(self.record(mask_image=2), self.scenes(), rng=np.random.default_rng(0))

    def test_dates_out_of_order_name_the_entry(self, tiny: Any) -> None:
        record = self.record()
        turned = replace(record, images=record.images[::-1])
        with pytest.raises(AlignmentError, match=r"f#1: .*is earlier than the image before it"):
            SamplePreparer(tiny.processor, max_length=1024)(turned, self.scenes()[::-1], rng=np.random.default_rng(0))


def test_scenes_may_be_measured_bands(tiny: Any) -> None:
    bands = SceneArray(np.full((3, 32, 32), 0.1, np.float32), ("B04", "B03", "B02"), "reflectance")
    moments = [Moment(FIRST, {"multispectral": bands}), Moment(SECOND, {"rgb": flat(3)})]
    assert f"{FIRST} multispectral: " in words(tiny.processor, tiny.processor.encode(moments, ASKED).input_ids)
