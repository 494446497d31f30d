"""InternVL folders of the original layout: each release whole, by names and shapes alone."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from internvl_releases import RELEASES, language_fields
from transformers import AutoConfig, AutoModelForCausalLM

from earthmind.checkpoints.key_maps.internvl import internvl_fields, internvl_map
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.checkpoints.key_map import our_headers
from eocore.checkpoints.weight_files import Header, LazyTensor

OWN = ("seg_head.", "fusion.")
VISION = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "image_size": 448,
    "patch_size": 14,
    "num_channels": 3,
    "qkv_bias": True,
}
"""InternViT-300M, as config.json of the releases has it."""


@pytest.fixture(scope="module")
def vision_shapes(shared_dir: Path) -> dict[str, list[int]]:
    """Names and shapes of the tower in a published file; it is one of the same sizes in every release."""
    shapes = json.loads(gzip.decompress((shared_dir / "reference_model" / "earthmind_4b_state_dict_shapes.json.gz").read_bytes()))
    return {name: shape for name, shape in shapes.items() if name.startswith("vision_model.")}


@pytest.mark.parametrize("name", RELEASES)
def test_every_release_is_whole(name: str, vision_shapes: dict[str, list[int]], make_fields: Callable[..., dict[str, Any]]) -> None:
    """Tower, projector and language model of its sizes; transformers' own language model names the third."""
    text, width = language_fields(name), RELEASES[name][1][0]
    kind = text.pop("model_type")
    config = {"llm_config": {**text, "architectures": [f"{kind.capitalize()}ForCausalLM"]}, "vision_config": VISION}
    joined = 4 * VISION["hidden_size"]
    shapes = dict(vision_shapes) | {"mlp1.0.weight": [joined], "mlp1.0.bias": [joined], "mlp1.1.bias": [width], "mlp1.3.bias": [width]}
    shapes |= {"mlp1.1.weight": [width, joined], "mlp1.3.weight": [width, width]}
    with torch.device("meta"):
        language = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **text))
        fields = internvl_fields(config, {})
        ours = our_headers(EarthMindForConditionalGeneration(EarthMindConfig(**fields, sam_config=make_fields()["sam_config"])))
    shapes |= {f"language_model.{key}": list(value.shape) for key, value in language.state_dict().items()}
    headers = {key: Header(tuple(shape), torch.float32) for key, shape in shapes.items()}
    key_map = internvl_map(config, headers)
    mapped = key_map.apply_tensors({key: LazyTensor(header, torch.Tensor) for key, header in headers.items()}, origin=name)
    assert not mapped.unexpected and not mapped.unused
    expected = {key: header.shape for key, header in ours.items() if not key.startswith(OWN)}
    assert {key: tensor.header.shape for key, tensor in mapped.tensors.items()} == expected
    assert sum(tensor.header.numel for tensor in mapped.tensors.values()) == RELEASES[name][-1]
