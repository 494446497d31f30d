"""InternVL folders of transformers: both spellings, tied and untied heads, and what cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from internvl_releases import RELEASES, VISION, language_fields
from transformers import InternVLConfig, InternVLForConditionalGeneration

from earthmind.checkpoints.key_maps.internvl_hf import INTERNVL_HF, internvl_hf_config
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.checkpoints.key_map import our_headers
from eocore.checkpoints.weight_files import Header, LazyTensor, open_weights
from eocore.errors import CheckpointError

OWN = ("seg_head.", "fusion.")
"""Parts that InternVL has not."""


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def folder(request: pytest.FixtureRequest, make_fields: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    fields = make_fields(tie=request.param)
    text = {**fields["text_config"], "vocab_size": 50}
    config = InternVLConfig(
        vision_config=fields["vision_config"], text_config=text, image_token_id=7, downsample_ratio=0.25, tie_word_embeddings=request.param
    )
    InternVLForConditionalGeneration(config).save_pretrained(tmp_path)
    return tmp_path


def published(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


@pytest.mark.parametrize("spelling", ["files", "modules"])
def test_every_weight_has_its_place(folder: Path, spelling: str, make_fields: Callable[..., dict[str, Any]]) -> None:
    if spelling == "modules":
        state = InternVLForConditionalGeneration.from_pretrained(folder).state_dict()
        tied = published(folder)["tie_word_embeddings"]
        torch.save({name: weight for name, weight in state.items() if not (tied and name == "lm_head.weight")}, folder / "state.pt")
    weights = open_weights(folder if spelling == "files" else folder / "state.pt")
    assert any(name.startswith("model.") for name in weights.headers) == (spelling == "modules")
    mapped = INTERNVL_HF.apply(weights)
    assert not mapped.unexpected
    fields = internvl_hf_config(published(folder), weights.headers)
    assert fields["text_config"]["tie_word_embeddings"] == published(folder)["tie_word_embeddings"]
    assert (fields["downsample_ratio"], fields["image_token_id"]) == (0.25, 7)
    with torch.device("meta"):
        ours = our_headers(EarthMindForConditionalGeneration(EarthMindConfig(**fields, sam_config=make_fields()["sam_config"])))
    filled = {name: header for name, header in ours.items() if not name.startswith(OWN)}
    assert {name: tensor.header for name, tensor in mapped.tensors.items()} == filled


@pytest.mark.parametrize("name", RELEASES)
def test_the_published_sizes_are_whole(name: str, make_fields: Callable[..., dict[str, Any]]) -> None:
    config = InternVLConfig(vision_config=VISION, text_config=language_fields(name), tie_word_embeddings=False)
    with torch.device("meta"):
        theirs = {
            key: Header(tuple(weight.shape), weight.dtype) for key, weight in InternVLForConditionalGeneration(config).state_dict().items()
        }
        fields = internvl_hf_config(config.to_dict(), theirs)
        ours = our_headers(EarthMindForConditionalGeneration(EarthMindConfig(**fields, sam_config=make_fields()["sam_config"])))
    mapped = INTERNVL_HF.apply_tensors({key: LazyTensor(header, torch.Tensor) for key, header in theirs.items()}, origin=name)
    assert not mapped.unexpected
    assert {key: tensor.header for key, tensor in mapped.tensors.items()} == {
        key: header for key, header in ours.items() if not key.startswith(OWN)
    }
    assert sum(tensor.header.numel for tensor in mapped.tensors.values()) == RELEASES[name][-1]


def test_another_model_is_refused() -> None:
    with pytest.raises(CheckpointError, match="model_type 'internvl_chat'; InternVL folders of transformers say internvl"):
        internvl_hf_config({"model_type": "internvl_chat"}, {})


@pytest.mark.parametrize(("field", "value"), [("vision_feature_layer", -2), ("vision_feature_select_strategy", "full")])
def test_another_way_to_read_the_tower_is_refused(field: str, value: Any) -> None:
    fields = InternVLConfig().to_dict() | {field: value}
    with pytest.raises(CheckpointError, match=f"{field}={value!r}.*would see others than it learned"):
        internvl_hf_config(fields, {})
