"""A patch embedding widened by the names of bands."""

import pytest
import torch

from eocore.errors import ConfigError
from ms_clip.model.channels import DISPLAY_CHANNELS, PRESETS
from ms_clip.model.configuration_ms_clip import MsClipConfig
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.pretrained import find_channel, place_channels

TOWER = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def model() -> MsClipModel:
    vision = {**TOWER, "patch_size": 4, "image_size": 8, "num_channels": 3}
    return MsClipModel(MsClipConfig({**TOWER, "vocab_size": 20, "max_position_embeddings": 8}, vision, projection_dim=8))


def weight(model: MsClipModel) -> torch.Tensor:
    return model.vision_model.embeddings.patch_embedding.weight.detach()


@pytest.mark.parametrize(
    ("channel", "position"),
    [
        ("multispectral:B04", 0),
        ("multispectral:B02", 2),
        ("multispectral:B3", 1),
        ("rgb:red", 0),
        ("multispectral:B08", None),
        ("sar:VV", None),
    ],
)
def test_colours_are_found_under_every_name(channel: str, position: int | None) -> None:
    assert find_channel(channel, DISPLAY_CHANNELS) == position


def test_colours_keep_their_weights_and_others_begin_at_zero(model: MsClipModel) -> None:
    before = weight(model).clone()
    place_channels(model, PRESETS[12]["channels"], known=DISPLAY_CHANNELS, new_channels="zero")
    after = weight(model)
    assert after.shape[1] == model.config.vision_config.num_channels == 12
    assert torch.equal(after[:, [3, 2, 1]], before)
    assert not after[:, [0, 4, 5, 6, 7, 8, 9, 10, 11]].any()
    pixels = torch.randn(2, 12, 8, 8)
    assert model.encode_image(pixels).shape == (2, 8)


@pytest.mark.parametrize("kind", ["mean", "random"])
def test_new_channels_begin_as_chosen(model: MsClipModel, kind: str) -> None:
    before = weight(model).clone()
    place_channels(model, PRESETS[10]["channels"], known=DISPLAY_CHANNELS, new_channels=kind)
    new = weight(model)[:, 3]
    if kind == "mean":
        torch.testing.assert_close(new, before.mean(1))
    else:
        assert new.std().item() == pytest.approx(before.std().item(), rel=0.3)


def test_fewer_bands_and_another_order_are_places_too(model: MsClipModel) -> None:
    before = weight(model).clone()
    place_channels(model, ["multispectral:B03", "multispectral:B02"], known=DISPLAY_CHANNELS, new_channels="zero")
    assert torch.equal(weight(model), before[:, [1, 2]])


def test_bands_that_have_nothing_in_common_are_refused(model: MsClipModel) -> None:
    with pytest.raises(ConfigError, match="none of the channels sar:VV"):
        place_channels(model, ["sar:VV", "sar:VH"], known=DISPLAY_CHANNELS, new_channels="zero")
