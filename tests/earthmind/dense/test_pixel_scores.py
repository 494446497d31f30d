"""Logits of masks for texts: where masks are, where none is drawn, and of several masks the highest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from earthmind.dense.pixel_scores import NO_MASK, ImageSample, mask_scores
from earthmind.model.answering import Answer
from eocore.data.records import Record
from eocore.sensors.scene import Scene

SCENE = Scene(np.zeros((3, 6, 8), np.float32), ("R", "G", "B"), "rgb_uint8", "uint8")


def test_each_text_of_each_sample_has_a_layer_on_the_pixels_of_its_first_image() -> None:
    asked: list[str] = []

    def answer(samples: Sequence[ImageSample]) -> list[Answer]:
        asked.extend(record.turns[-1].text for record, _ in samples)
        logits = [torch.tensor([[[1.0]], [[3.0]]]), torch.zeros(0, 1, 1), torch.tensor([[[-99.0]]]), torch.tensor([[[99.0]]])]
        return [Answer("", np.zeros((len(found), 6, 8), bool), found) for found in logits]

    samples: list[Any] = [(Record(name, (), ()), (SCENE,)) for name in ("a", "b")]
    first, second = mask_scores(answer, samples, texts=["water", "ships"])
    assert [text.split("\n")[-1] for text in asked] == ["Please segment water in this image.", "Please segment ships in this image."] * 2
    assert first.shape == second.shape == (2, 6, 8) and first.dtype == np.float32
    assert np.allclose(first[0], 3) and (first[1] == NO_MASK).all()
    assert (second[0] == NO_MASK).all() and (second[1] == -NO_MASK).all()
