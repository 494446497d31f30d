"""Choices of losses, and the clamp of the scale."""

from typing import Any

import pytest
import torch

from eocore.errors import ConfigError
from ms_clip.losses import LossSettings, clamped


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "triplet"}, "choices: softmax, sigmoid"),
        ({"patch_alignment": 1.0}, "up to, not including, 1"),
        ({"patch_alignment": 0.2, "kind": "sigmoid"}, "goes with losses.kind='softmax'"),
        ({"max_scale": 0.0}, "positive"),
    ],
)
def test_choices_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LossSettings(**fields)


@pytest.mark.parametrize(
    ("start", "slope", "value", "gradient"), [(50.0, -1.0, 50.0, -1.0), (120.0, -1.0, 100.0, 0.0), (120.0, 1.0, 100.0, 1.0)]
)
def test_the_scale_is_held_and_may_come_back(start: float, slope: float, value: float, gradient: float) -> None:
    scale = torch.tensor([start], requires_grad=True)
    held = clamped(scale, 100.0)
    (slope * held).sum().backward()
    assert held.item() == value and scale.grad is not None and scale.grad.item() == gradient
