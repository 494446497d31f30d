"""What a predictor implements."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from eocore.evaluate.protocols import ClassPrompts, implemented


class Embedder:
    def embed_images(self, images: Sequence[Any]) -> np.ndarray:
        return np.asarray(images, dtype=np.float32)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.zeros((len(texts), 3), dtype=np.float32)


class Generator:
    boxes_by_masks = False

    def answerer(self, max_new_tokens: int) -> Any:
        return lambda samples: []


class Scorer:
    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> np.ndarray:
        return np.zeros((len(images), len(prompts.classes)))


@pytest.mark.parametrize(
    ("predictor", "names"), [(Embedder(), ("embeds", "scores")), (Generator(), ("generates",)), (Scorer(), ("scores",)), (object(), ())]
)
def test_protocols_of_a_predictor_are_told(predictor: object, names: tuple[str, ...]) -> None:
    assert implemented(predictor) == names
