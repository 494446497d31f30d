"""Normalisation of uint8 pictures."""

import torch

from eocore.portable.normalisation import normalise


def test_each_channel_has_its_own_constants() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1)
    assert torch.equal(normalise(images, [0.5, 0.2], std=[0.25, 0.4]).flatten(), torch.tensor([-2.0, 2.0]))
