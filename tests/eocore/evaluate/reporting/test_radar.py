"""The figure of several models: drawn of what all have; too little is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from eocore.errors import ConfigError
from eocore.evaluate.reporting.radar import draw_radar

FIRST = {"a acc1": 0.5, "a mAP": 0.25, "b acc1": 0.75, "b mAP": 0.5}
SECOND = {"a acc1": 0.625, "a mAP": 0.125, "b acc1": 0.75, "c acc1": 0.5}


def test_models_are_drawn_over_what_all_have() -> None:
    pictures = [np.array(Image.open(io.BytesIO(draw_radar(values, title="t")))) for values in ({"x": FIRST, "y": SECOND}, {"x": FIRST})]
    assert pictures[0].shape == pictures[1].shape and pictures[0].shape[2] == 4
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize("values", [{}, {"x": {"a": 0.5, "b": 0.5}}, {"x": FIRST, "y": {"c": 0.5}}])
def test_fewer_than_three_measures_make_no_figure(values: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ConfigError, match="needs 3 measures that all models have"):
        draw_radar(values, title="t")
