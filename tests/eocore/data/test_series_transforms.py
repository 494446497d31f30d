"""Reversed series: what is shown is exchanged, times and masks stay."""

import numpy as np
import pytest

from eocore.data.records import ImageRef, MaskRef, Record
from eocore.data.series_transforms import ReverseSeries
from eocore.errors import DataError

RNG = np.random.default_rng(0)


def image(role: str, time: str, path: str) -> ImageRef:
    return ImageRef(role, "rgb_uint8", (path,), time=time)


def test_files_are_exchanged_role_by_role() -> None:
    images = (image("rgb", "before", "a"), image("sar", "before", "b"), image("rgb", "after", "c"), image("sar", "after", "d"))
    record = ReverseSeries()(Record("x", images, masks=(MaskRef("box", [0, 0, 1, 1], image=2),)), RNG)
    assert [(ref.role, ref.time, ref.paths[0]) for ref in record.images] == [
        ("rgb", "before", "c"),
        ("sar", "before", "d"),
        ("rgb", "after", "a"),
        ("sar", "after", "b"),
    ]
    assert record.masks[0].image == 2


def test_what_cannot_be_reversed_is_refused() -> None:
    with pytest.raises(DataError, match=r"s#1: sample 'x' has images of 1 moment; ReverseSeries needs a series"):
        ReverseSeries()(Record("x", (image("rgb", "", "a"),), source="s#1"), RNG)
    uneven = (image("rgb", "before", "a"), image("sar", "after", "b"))
    with pytest.raises(DataError, match=r"has no rgb image of after to show in place of that of before"):
        ReverseSeries()(Record("x", uneven, source="s#1"), RNG)
