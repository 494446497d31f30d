"""Chips of one class each: reproducible, in turn, alike in colour and unlike in the infrared where they are to be."""

import csv
from pathlib import Path

import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.synthetic.chips import ALIKE_IN_COLOUR, CHIP_CLASSES, make_chip, write_chips
from eocore.synthetic.spectra import MORE_REFLECTANCE, OPTICAL_BANDS, REFLECTANCE


def test_a_chip_is_a_function_of_its_number_and_classes_take_turns() -> None:
    assert np.array_equal(make_chip("train", 3).optical, make_chip("train", 3).optical)
    assert not np.array_equal(make_chip("train", 3).optical, make_chip("test", 3).optical)
    assert [make_chip("val", number).label for number in range(10)] == list(CHIP_CLASSES.values())
    assert [make_chip("val", number, num_classes=6).label for number in range(6)] == list(CHIP_CLASSES.values())[:6]


def test_the_label_is_the_class_that_covers_most() -> None:
    for number in range(20):
        chip = make_chip("train", number)
        largest = np.bincount(chip.layout.class_map.ravel()).argmax()
        assert CHIP_CLASSES[int(largest)] == chip.label and all(chip.label in caption for caption in chip.captions)


@pytest.mark.parametrize("pair", ALIKE_IN_COLOUR, ids=lambda pair: CHIP_CLASSES[pair[1]])
def test_pairs_are_alike_in_colour_and_not_in_the_infrared(pair: tuple[int, int]) -> None:
    one, other = (np.array((REFLECTANCE | MORE_REFLECTANCE)[number]) for number in pair)
    colours = [OPTICAL_BANDS.index(name) for name in ("B02", "B03", "B04")]
    infrared = [OPTICAL_BANDS.index(name) for name in ("B08", "B11", "B12")]
    assert np.abs(one - other)[colours].max() < 1e-6
    assert (np.abs(one - other) / (one + other))[infrared].max() > 0.3


def test_files_and_captions_agree(tmp_path: Path) -> None:
    write_chips(tmp_path, {"train": 4, "test": 2}, num_classes=6)
    with (tmp_path / "train" / "captions.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len({line["image"] for line in lines}) == 4
    for image, caption, label in (line.values() for line in lines):
        assert label in caption and image.startswith(label.replace(" ", "_")) and (tmp_path / "train" / "multispectral" / image).is_file()
    assert len(list((tmp_path / "test" / "rgb").rglob("*.png"))) == 2


@pytest.mark.parametrize(("split", "count"), [("nowhere", 10), ("train", 7)])
def test_unknown_splits_and_numbers_of_classes_are_refused(split: str, count: int) -> None:
    with pytest.raises(ConfigError, match="classes: 6 or 10"):
        make_chip(split, 0, num_classes=count)
