from pathlib import Path

import pytest
from aerith_models import MODEL

from aerith.model.configuration_aerith import IMAGENET_MEAN, AerithConfig


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    config = AerithConfig(**MODEL, fusion="clip", dinov3_mean=(0.4, 0.4, 0.4))  # type: ignore[arg-type]
    config.save_pretrained(tmp_path)
    again = AerithConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert again.clip_config.patch_size == 7 and again.dinov3_config.num_register_tokens == 2 and again.fusion == "clip"
    assert again.dinov3_mean == [0.4, 0.4, 0.4] and AerithConfig().dinov3_mean == list(IMAGENET_MEAN)


def test_its_defaults_are_the_full_size() -> None:
    config = AerithConfig()
    assert (config.clip_config.hidden_size, config.clip_config.num_hidden_layers, config.clip_config.projection_dim) == (1024, 24, 768)
    assert (config.dinov3_config.hidden_size, config.dinov3_config.num_hidden_layers, config.dinov3_config.num_register_tokens) == (
        768,
        12,
        4,
    )
    assert config.text_config.model_type == "llama" and config.pooler_sizes.num_layers == 6 and config.pooler_sizes.num_heads == 16


def test_positions_of_the_pooler_are_saved_with_the_model(tmp_path: Path) -> None:
    assert AerithConfig().pooler_sizes.positions == "none"
    AerithConfig(pooler_positions="sine").save_pretrained(tmp_path)
    assert AerithConfig.from_pretrained(tmp_path).pooler_sizes.positions == "sine"
    with pytest.raises(ValueError, match="square numbers of queries"):
        AerithConfig(pooler_positions="sine", num_levels=3)
