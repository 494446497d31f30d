"""Images of a batch that are the same are encoded once, and nothing changes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tolerances import ACROSS_DECODING


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
