"""Folders of transformers' Sam2Model and Sam2VideoModel: every weight has its place, sizes come from config.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoMaskDecoderConfig, Sam2VideoModel

from eocore.checkpoints.key_maps.sam2_hf import SAM2_HF, sam2_hf_config
from eocore.checkpoints.weight_files import open_weights
from eocore.errors import CheckpointError

KINDS: dict[str, tuple[type[PreTrainedModel], type[Any], dict[str, Any]]] = {
    "sam2": (Sam2Model, Sam2Config, {}),
    "sam2_video": (
        Sam2VideoModel,
        Sam2VideoConfig,
        {"memory_attention_hidden_size": 16, "memory_encoder_hidden_size": 16, "memory_encoder_output_channels": 8},
    ),
}
VIDEO_PARTS = ("memory attention", "memory encoder", "memory embeddings", "masks as input", "object pointers")


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, make_fields: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    """A tiny model of either kind, saved by transformers."""
    kind, config, choices = KINDS[request.param]
    fields = make_fields()["sam_config"]
    fields["prompt_encoder_config"]["num_point_embeddings"] = 5  # not the default, so that a lost field shows
    if config is Sam2VideoConfig:  # transformers 5.17 makes a config of the wrong class from a dict
        fields["mask_decoder_config"] = Sam2VideoMaskDecoderConfig(**fields["mask_decoder_config"])
    kind(config(**fields, **choices)).save_pretrained(tmp_path)
    return tmp_path


def test_weights_and_sizes(folder: Path) -> None:
    published = json.loads((folder / "config.json").read_text())
    weights = open_weights(folder)
    mapped = SAM2_HF.apply(weights)
    assert not mapped.unexpected
    ours = Sam2Model(Sam2Config(**sam2_hf_config(published)))
    state = {name.removeprefix("seg_head.sam."): tensor.read() for name, tensor in mapped.tensors.items()}
    ours.load_state_dict(state, strict=True)
    assert torch.equal(ours.state_dict()["prompt_encoder.point_embed.weight"], weights.read("prompt_encoder.point_embed.weight"))
    video = {f"SAM 2 video: {part}" for part in VIDEO_PARTS}
    assert set(mapped.unused) == (video if published["model_type"] == "sam2_video" else set())
    assert len(weights.headers) == len(state) + sum(map(len, mapped.unused.values()))


def test_another_model_is_refused() -> None:
    with pytest.raises(
        CheckpointError, match=r"model_type 'sam'; folders of SAM 2 .* say one of sam2, sam2_video, sam3_tracker\. Give one"
    ):
        sam2_hf_config({"model_type": "sam"})


@pytest.mark.parametrize("part", ["vision_config", "mask_decoder_config"])
def test_sizes_are_not_guessed(part: str) -> None:
    with pytest.raises(CheckpointError, match=f"config.json does not state {part}, so sizes would be guessed"):
        sam2_hf_config({name: value for name, value in Sam2Config().to_dict().items() if name != part})
