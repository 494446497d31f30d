"""Fields of a model in a config, against what its config class reads."""

import pytest
from transformers import CLIPVisionConfig

from eocore.errors import ConfigError
from eocore.models.config_fields import check_fields


def test_known_fields_pass() -> None:
    check_fields({"hidden_size": 32, "num_channels": 10}, CLIPVisionConfig(), where="model.vision_config")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hiden_size": 32}, "did you mean 'hidden_size'"),
        ({"hidden_act": 3}, r"model\.vision_config\.hidden_act"),
        ({"patch_size": "8"}, "patch_size"),
    ],
)
def test_mistakes_are_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=r"(?i)" + message):
        check_fields(fields, CLIPVisionConfig(), where="model.vision_config")
