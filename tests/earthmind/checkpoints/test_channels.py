"""A model of three channels is trained further with more: what it saw it sees as before, and what is new it learns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tolerances import ACROSS_LAYOUTS
from torch import Tensor

from earthmind.building.models import build_model
from earthmind.checkpoints.channels import PATCHES
from earthmind.pretrained import check_new_parts
from eocore.errors import ConfigError
from eocore.models.freeze import apply_trainable

CHANNELS = 5


@pytest.fixture(scope="module")
def made(make_tiny: Callable[..., Any]) -> Any:
    return make_tiny()


@pytest.fixture
def folder(made: Any, tmp_path: Path) -> Path:
    made.model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def widened(folder: Path, made: Any, **more: Any) -> Any:
    fields = {"pretrained": str(folder), "vision_config": {"num_channels": CHANNELS}, **more}
    return build_model(fields, made.tokenizer)


def tiles(made: Any, *, seed: int) -> Tensor:
    """Two tiles of the same first three channels, the others drawn from `seed`."""
    height, width = made.model.config.vision_config.image_size
    pictures = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    others = torch.randint(0, 256, (2, CHANNELS - 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return torch.cat([pictures, others], dim=1)


def test_the_first_channels_are_seen_as_before_and_the_new_ones_not_yet(made: Any, folder: Path) -> None:
    model = widened(folder, made)
    with torch.no_grad():
        expected = made.model.encode(tiles(made, seed=1)[:, :3])
        for seed in (1, 2):
            torch.testing.assert_close(model.encode(tiles(made, seed=seed)), expected, **ACROSS_LAYOUTS.close)
    assert model.config.pixel_mean == [*made.model.config.pixel_mean, 0.5, 0.5]
    assert model.config.pixel_std == [*made.model.config.pixel_std, 0.25, 0.25]


def test_the_new_channels_learn_are_saved_and_come_back(made: Any, folder: Path, tmp_path: Path) -> None:
    known = made.model.config.pixel_mean
    model = widened(folder, made, pixel_mean=[*known, 0.1, 0.2])
    apply_trainable(model, [PATCHES])
    check_new_parts(model, folder, tokenizer=made.tokenizer)
    weight = model.get_submodule(PATCHES).projection.weight
    model.encode(tiles(made, seed=1)).square().mean().backward()
    assert (weight.grad[:, 3:] != 0).any(dim=(0, 2, 3)).all()
    with torch.no_grad():
        weight -= weight.grad
        expected = model.encode(tiles(made, seed=1))
        model.save_pretrained(tmp_path / "trained")
        again = build_model({"pretrained": str(tmp_path / "trained")}, made.tokenizer)
        torch.testing.assert_close(again.encode(tiles(made, seed=1)), expected, **ACROSS_LAYOUTS.close)
    assert again.config.vision_config.num_channels == CHANNELS
    assert again.config.pixel_mean == [*known, 0.1, 0.2]


def test_new_channels_that_would_stay_at_zero_are_refused(made: Any, folder: Path) -> None:
    model = widened(folder, made)
    apply_trainable(model, ["projector"])
    with pytest.raises(
        ConfigError, match=rf"takes 5 channels, of which .* knows 3: the others .* unseen. Add '{PATCHES}' to task.trainable"
    ):
        check_new_parts(model, folder, tokenizer=made.tokenizer)


@pytest.mark.parametrize("mean", [[0.1, 0.2, 0.3, 0.5, 0.5], [0.5] * 4])
def test_other_statistics_of_what_is_known_are_refused(made: Any, folder: Path, mean: list[float]) -> None:
    with pytest.raises(
        ConfigError, match=rf"model.pixel_mean has {len(mean)} values for 5 channels; .* the first 3 those that the weights"
    ):
        widened(folder, made, pixel_mean=mean)


def test_fewer_channels_are_refused(made: Any, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.vision_config.num_channels is 1 in the config, 3 in the folder"):
        build_model({"pretrained": str(folder), "vision_config": {"num_channels": 1}}, made.tokenizer)
