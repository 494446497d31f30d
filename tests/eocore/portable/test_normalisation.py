"""Normalisation, exact in whatever precision the model is."""

from collections.abc import Callable
from typing import Any

import torch

from eocore.portable.normalisation import normalise


def test_each_channel_has_its_own_constants() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1)
    assert torch.equal(normalise(images, [0.5, 0.2], [0.25, 0.4]).flatten(), torch.tensor([-2.0, 2.0]))


def test_a_model_that_was_in_half_precision_sees_the_same(make_tiny: Callable[..., Any]) -> None:
    model = make_tiny().model
    tiles = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    seen: list[torch.Tensor] = []
    model.vision_tower.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs["pixel_values"]), with_kwargs=True)
    with torch.no_grad():
        model.encode(tiles)
        model.bfloat16().float().encode(tiles)
    assert torch.equal(seen[0], seen[1])
