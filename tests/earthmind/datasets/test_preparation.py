"""Records become samples by the processor that ships; what does not fit is said with the record's place."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from earthmind.datasets.preparation import SamplePreparer, read_mask
from eocore.data.io.masks import encode_rle
from eocore.data.records import MaskRef, Record
from eocore.data.sample_errors import named_after
from eocore.errors import AlignmentError, AnnotationError, BandError, LengthError
from eocore.portable.messages import read_turns
from eocore.sensors.scene import Scene

SOURCE = "notes.json#4"


def scene(bands: tuple[str, ...] = ("VV", "VH"), *, unit: str = "sigma0_db", size: tuple[int, int] = (48, 48)) -> Scene:
    pixels = np.random.default_rng(0).uniform(-20, 0, (len(bands), *size)).astype(np.float32)
    return Scene(pixels, bands, "sentinel1_grd", unit, 10.0, None, "a.tif", role="sar")


def record(question: str = "<image>\nsegment", answer: str = "[SEG]", **parts: Any) -> Record:
    return Record("s4", (), read_turns([question, answer]), source=SOURCE, **parts)


def box(*edges: int) -> MaskRef:
    return MaskRef("box", list(edges))


@pytest.fixture
def prepare(tiny: Any) -> SamplePreparer:
    return SamplePreparer(tiny.processor, max_length=100)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_masks_and_regions_are_drawn_in_the_image_s_pixels(prepare: SamplePreparer, tiny: Any) -> None:
    sample = prepare(record("<image>\n<region>?", masks=(box(0, 0, 24, 12),), regions=(box(24, 24, 48, 48),)), [scene()], rng=rng())
    mask, region = np.zeros((48, 48), bool), np.zeros((48, 48), bool)
    mask[:12, :24], region[24:, 24:] = True, True
    turns = [("user", "<image>\n<region>?"), ("assistant", "[SEG]")]
    expected = tiny.processor.encode({"sar": scene()}, turns, masks=[mask], regions=[region], sample_id="s4")
    for name, value in expected._asdict().items():
        found = getattr(sample, name)
        assert name == "seed" or (torch.equal(found, value) if isinstance(value, torch.Tensor) else found == value), name


def test_the_seed_of_its_points_is_the_sample_s_own(prepare: SamplePreparer) -> None:
    seeds = [prepare(record(masks=(box(0, 0, 9, 9),)), [scene()], rng=rng(seed)).seed for seed in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in seeds)


def test_a_text_alone_needs_no_scene(prepare: SamplePreparer) -> None:
    sample = prepare(record("What is radar?", "Waves."), [], rng=rng())
    assert not len(sample.tiles) and not len(sample.masks)


def test_masks_have_the_size_of_the_first_image() -> None:
    scenes = [scene(("red", "green", "blue"), size=(20, 30)), scene(size=(40, 60))]
    assert read_mask(box(0, 0, 5, 5), scenes, record=record()).shape == (20, 30)


class TestMistakes:
    def test_a_sample_that_is_too_long_is_never_cut(self, tiny: Any) -> None:
        prepare = SamplePreparer(tiny.processor, max_length=20)
        with pytest.raises(LengthError, match=rf"{SOURCE}: s4: \d+ tokens .* at most 20 are allowed; nothing was cut.*row_length"):
            prepare(record(masks=(box(0, 0, 9, 9),)), [scene()], rng=rng())

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (record(answer="[SEG] [SEG]", masks=(box(0, 0, 9, 9),)), r"s4: the answers hold 2 \[SEG\] but there are 1 masks"),
            (record("segment", masks=(box(0, 0, 9, 9),)), r"s4: .*<image>"),
            (record("<image> <region>?", masks=(box(0, 0, 9, 9),)), r"s4: .*<region>"),
        ],
    )
    def test_counts_that_disagree_are_told(self, prepare: SamplePreparer, given: Record, message: str) -> None:
        with pytest.raises(AlignmentError, match=f"{SOURCE}: {message}"):
            prepare(given, [scene()], rng=rng())

    def test_a_band_that_is_missing_is_told(self, prepare: SamplePreparer) -> None:
        with pytest.raises(BandError, match=rf"{SOURCE}: band VH is missing: the scene has VV, HH.*change the presentation's views"):
            prepare(record("<image>\nWhat?", "It."), [scene(("VV", "HH"))], rng=rng())

    def test_a_mask_of_another_size_is_told(self, prepare: SamplePreparer) -> None:
        other = MaskRef("rle", encode_rle(np.ones((24, 48), bool)))
        with pytest.raises(AnnotationError, match=rf"{SOURCE}: RLE of size \[24, 48\] \(height, width\), but the image is \[48, 48\]"):
            prepare(record(masks=(other,)), [scene()], rng=rng())

    def test_two_images_of_one_role_without_dates_are_told_and_neither_is_left_out(self, prepare: SamplePreparer) -> None:
        with pytest.raises(AlignmentError, match=rf"{SOURCE}: several images have the role 'sar'; images of one role are told apart by"):
            prepare(record("<image>\nWhat?", "It."), [scene(), scene()], rng=rng())

    def test_other_errors_pass_as_they_are(self) -> None:
        with pytest.raises(KeyError, match="other"), named_after(record()):
            raise KeyError("other")


def test_what_a_processor_refuses_is_refused_in_evaluation_too(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    from earthmind.predictor import RecordAnswerer

    with pytest.raises(BandError, match=rf"{SOURCE}: band VH is missing"):
        RecordAnswerer(tiny.model, tiny.processor)([(record("<image>\nWhat?"), [scene(("VV", "HH"))])])
