from collections.abc import Callable
from typing import Any

import pytest
from transformers import Qwen2Config, Qwen3Config
from transformers.models.sam2.configuration_sam2 import Sam2Config

from earthmind.model.configuration_earthmind import IMAGENET_MEAN, IMAGENET_STD, EarthMindConfig


def test_defaults_are_complete() -> None:
    config = EarthMindConfig()
    assert isinstance(config.text_config, Qwen2Config)
    assert isinstance(config.sam_config, Sam2Config)
    assert (config.tile_grid, config.tokens_per_tile) == ((16, 16), 256)  # 448 px, patches of 14 px, 2 x 2 joined: the published size
    assert config.fusion == "mutual_attention"


def test_a_tile_has_as_many_tokens_as_its_patches_joined() -> None:
    config = EarthMindConfig(vision_config={"image_size": [64, 96], "patch_size": 8}, downsample_ratio=0.25)
    assert config.tile_grid == (2, 3)
    assert config.tokens_per_tile == 6


@pytest.mark.parametrize(("channels", "more"), [(3, 0), (14, 11)])
def test_statistics_fit_the_patch_embedding(channels: int, more: int) -> None:
    config = EarthMindConfig(vision_config={"num_channels": channels})
    assert config.pixel_mean == [*IMAGENET_MEAN, *[0.5] * more]
    assert config.pixel_std == [*IMAGENET_STD, *[0.25] * more]


@pytest.mark.parametrize(("name", "choices"), [("fusion", "concat, mutual_attention"), ("grounding_fusion", "first, gated")])
def test_unknown_choices_are_named(name: str, choices: str) -> None:
    with pytest.raises(ValueError, match=f"{name}='mean' is unknown; choices: {choices}"):
        EarthMindConfig(**{name: "mean"})


def test_saved_and_loaded_it_is_the_same(make_config: Callable[..., EarthMindConfig], tmp_path: Any) -> None:
    saved = make_config(
        vocab_size=77,
        text="qwen3",
        num_channels=14,
        tie=False,
        fusion="concat",
        num_fusion_queries=3,
        grounding_fusion="gated",
        pixel_mean=[0.1] * 14,
    )
    saved.image_token_id, saved.seg_token_id = 5, 6
    saved.save_pretrained(tmp_path)
    loaded = EarthMindConfig.from_pretrained(tmp_path)
    assert isinstance(loaded.text_config, Qwen3Config)
    assert loaded.to_dict() == saved.to_dict()
    assert (loaded.fusion, loaded.num_fusion_queries, loaded.grounding_fusion) == ("concat", 3, "gated")
    assert (loaded.pixel_mean, loaded.pixel_std) == ([0.1] * 14, saved.pixel_std)
    assert (loaded.image_token_id, loaded.seg_token_id) == (5, 6)
    assert loaded.tie_word_embeddings is False
    assert loaded.vision_config.num_channels == 14
    assert loaded.sam_config.vision_config.backbone_config.embed_dim_per_stage == [8, 16, 32, 64]
