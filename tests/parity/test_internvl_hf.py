"""The model computes what transformers' own InternVL computes with the same weights, imported from the folder it saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import InternVLForConditionalGeneration, Sam2VideoModel

from eocore.portable.row_packing import VisionInputs

TOLERANCE = 1e-5
"""Absolute, on logits of order 1."""


@pytest.fixture(scope="module")
def theirs(internvl_folder: Path) -> Any:
    return InternVLForConditionalGeneration.from_pretrained(internvl_folder).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def ours(internvl_folder: Path, sam2_folder: Path, import_model: Callable[..., Any]) -> Any:
    return import_model(internvl_folder, "--sam2", sam2_folder)


@pytest.fixture(scope="module")
def text(theirs: Any) -> Tensor:
    """(1, 20) ids: words, two images of four places each, words."""
    words = torch.randint(0, 256, (1, 20), generator=torch.Generator().manual_seed(0))
    words[0, 3:7] = words[0, 9:13] = theirs.config.image_token_id
    return words


@pytest.fixture(scope="module")
def tiles() -> Tensor:
    """(2, 3, 56, 56) uint8."""
    return torch.randint(0, 256, (2, 3, 56, 56), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def pixels(tiles: Tensor) -> Tensor:
    """As the published processor gives them: ImageNet's mean and deviation."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (tiles / 255.0 - mean) / std


def test_image_tokens(theirs: Any, ours: Any, tiles: Tensor) -> None:
    expected = theirs.get_image_features(pixel_values=pixels(tiles)).pooler_output
    assert expected.std() > 0.1
    torch.testing.assert_close(ours.encode(tiles).reshape(expected.shape), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("num_images", [0, 2])
def test_text_logits(theirs: Any, ours: Any, text: Tensor, tiles: Tensor, num_images: int) -> None:
    words = text if num_images else text.clamp(max=255)
    expected = theirs(input_ids=words, pixel_values=pixels(tiles) if num_images else None).logits
    places = (words.flatten() == theirs.config.image_token_id).nonzero().flatten()
    alone, owner = torch.arange(len(tiles)).expand(2, -1), torch.zeros(len(tiles), dtype=torch.long)
    shown = VisionInputs(tiles, alone, owner, places, torch.arange(len(places))) if num_images else None
    found = ours(input_ids=words, vision=shown).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(found[..., : expected.shape[-1]], expected, atol=TOLERANCE, rtol=0)


def test_sam2_of_the_folder_draws_the_masks(ours: Any, sam2_folder: Path) -> None:
    folder = Sam2VideoModel.from_pretrained(sam2_folder).state_dict()
    state = ours.seg_head.sam.state_dict()
    assert state.keys() <= folder.keys()
    assert all(torch.equal(weight, folder[name]) for name, weight in state.items())
