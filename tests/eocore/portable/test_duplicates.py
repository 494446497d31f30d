"""Images of a batch that are the same are encoded once, and nothing changes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tolerances import ACROSS_DECODING

from eocore.portable.duplicates import find_repeats


def test_the_different_ones_and_where_they_stand() -> None:
    images = torch.randint(0, 255, (4, 3, 8, 8), dtype=torch.uint8)
    stacked = images[[2, 0, 2, 2, 1, 0, 3]]
    first, place = find_repeats(stacked)
    assert first.tolist() == [0, 1, 4, 6]
    assert torch.equal(stacked[first][place], stacked)


def test_images_of_equal_sums_are_told_apart() -> None:
    images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    images[0, 0, 0, 1], images[1, 0, 0, 2], images[2, 0, 0, 1] = 9, 9, 9
    assert find_repeats(images)[1].tolist() == [0, 1, 0]


def test_no_image_at_all() -> None:
    first, place = find_repeats(torch.zeros(0, 3, 4, 4, dtype=torch.uint8))
    assert (len(first), len(place)) == (0, 0)


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
