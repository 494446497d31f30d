"""Upstream's class by its own arguments, on local folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm.upstream.calls import OlmoEarthVLMBridge
from eocore.errors import ConfigError


@pytest.fixture
def folders(small_parts: Callable[[], dict[str, Path]]) -> dict[str, str]:
    parts = small_parts()
    return {"olmoearth_model_id": str(parts["encoder"]), "vlm_model_id": str(parts["language"])}


def test_it_makes_what_upstreams_makes(folders: dict[str, str]) -> None:
    made = OlmoEarthVLMBridge(**folders, num_geo_queries=6, lora_r=2, lora_alpha=4)
    trained = [name for name, parameter in made.model.named_parameters() if parameter.requires_grad]
    assert {name.split(".")[0] for name in trained} == {"connector", "language_model"}
    assert sum("lora_" in name for name in trained) == 12 and made.processor.options.num_queries == 6
    free = OlmoEarthVLMBridge(**folders, use_lora=False, freeze_olmoearth=False)
    assert {name.split(".")[0] for name, value in free.model.named_parameters() if value.requires_grad} == {
        "connector",
        "language_model",
        "encoder",
    }


def test_checkpoints_go_out_and_in(folders: dict[str, str], tmp_path: Path) -> None:
    made = OlmoEarthVLMBridge(**folders, use_lora=False)
    made.save_checkpoint(tmp_path)
    other = OlmoEarthVLMBridge(**folders, use_lora=False)
    other.load_checkpoint(tmp_path)
    assert bool((other.model.connector.queries == made.model.connector.queries).all())
    with pytest.raises(ConfigError, match="Give use_lora=False"):
        OlmoEarthVLMBridge(**folders).load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"freeze_vlm_vision": True}, "which upstream loads and never uses"),
        ({"olmoearth_model_id": "OLMOEARTH_V1_NANNO"}, "Did you mean 'OLMOEARTH_V1_NANO'"),
        ({"olmoearth_model_id": "OLMOEARTH_V1_LARGE"}, "python tools/download.py olmoearth-v1-large"),
        ({"vlm_model_id": "vikhyatk/moondream2"}, "python tools/download.py moondream2"),
    ],
)
def test_what_is_not_there_is_refused(folders: dict[str, str], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OlmoEarthVLMBridge(**{**folders, **fields})
