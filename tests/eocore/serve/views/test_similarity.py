"""Similarities as colours over a picture."""

import io

import numpy as np
from PIL import Image

from eocore.serve.views.similarity import similarity_png


def png(picture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="PNG")
    return content.getvalue()


def test_high_scores_are_yellow_low_ones_violet_and_gaps_are_clear() -> None:
    scores = np.array([[0.0, 1.0], [0.5, np.nan]])
    content, low, high = similarity_png(scores, png(np.zeros((2, 2, 3), np.uint8)))
    assert (low, high) == (0.0, 1.0)
    picture = np.asarray(Image.open(io.BytesIO(content)))
    red, green, blue = picture[0, 1, :3].astype(int)
    assert red > 120 and green > 120 and blue < 60  # yellow
    red, green, blue = picture[0, 0, :3].astype(int)
    assert blue > red > green  # violet
    assert picture[..., 3].tolist() == [[255, 255], [255, 0]]


def test_equal_scores_and_none_at_all_are_drawn_too() -> None:
    for scores in (np.full((4, 4), 0.25), np.full((4, 4), np.nan)):
        content, low, high = similarity_png(scores, png(np.zeros((8, 8, 3), np.uint8)))
        assert low == high and Image.open(io.BytesIO(content)).size == (4, 4)
