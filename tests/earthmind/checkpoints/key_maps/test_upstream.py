"""Every tensor of the full-size upstream layouts has a place or a name among what is not used, by headers alone."""

import gzip
import json
from math import prod
from pathlib import Path
from typing import Any

import forked
import pytest
import torch

from earthmind.checkpoints.import_plan import plan_import
from earthmind.checkpoints.key_maps.upstream import sam_fields
from eocore.checkpoints.exchange import ImportRequest
from eocore.checkpoints.key_maps.sam2_sizes import sam2_config
from eocore.checkpoints.weight_files import Header

CONFIG = {
    "model_type": "sa2va_chat",
    "downsample_ratio": 0.5,
    "select_layer": -1,
    "ps_version": "v2",
    "force_image_size": 448,
    "vision_config": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "image_size": 448,
        "patch_size": 14,
        "num_channels": 3,
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
        "qk_normalization": False,
        "norm_type": "layer_norm",
        "hidden_act": "gelu",
    },
    "llm_config": {
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151679,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
    },
}
"""EarthMind 4B as its config.json gives it: InternViT-300M and Qwen2.5-3B; SAM 2 is not stated there."""
NUM_TENSORS, NUM_VALUES = 1686, 3_941_813_810
"""Of the upstream file."""
NUM_PARAMETERS, NUM_UNUSED, NUM_COPIED = 3_934_308_801, 7_505_265, 256
"""Of our model; of what it does not use; of SAM 2's position embedding, which stands in two places here."""
WIDTH = torch.bfloat16.itemsize


def write_headers(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file of these shapes that takes no room on the disk: its values are a hole."""
    end = 0
    header: dict[str, Any] = {}
    for name, shape in shapes.items():
        start, end = end, end + WIDTH * Header(tuple(shape), torch.bfloat16).numel
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


@pytest.fixture(scope="module")
def full_size(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published 4B folder, without its values and its tokenizer."""
    shapes = json.loads(gzip.decompress((shared_dir / "reference_model" / "earthmind_4b_state_dict_shapes.json.gz").read_bytes()))
    assert (len(shapes), sum(prod(shape) for shape in shapes.values())) == (NUM_TENSORS, NUM_VALUES)
    folder = tmp_path_factory.mktemp("full") / "EarthMind-4B"
    folder.mkdir()
    write_headers(folder / "model.safetensors", shapes)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture(scope="module")
def sam2_shapes(shared_dir: Path) -> dict[str, dict[str, list[int]]]:
    return dict(json.loads(gzip.decompress((shared_dir / "reference_model" / "sam2_state_dict_shapes.json.gz").read_bytes())))


def test_every_published_tensor_is_mapped_or_named(full_size: Path) -> None:
    plan = plan_import(ImportRequest(sources=[full_size]))
    assert plan.num_parameters == NUM_PARAMETERS == NUM_VALUES - NUM_UNUSED + NUM_COPIED
    assert not plan.composition.new
    assert sum(header.numel for headers in plan.composition.unused.values() for header in headers.values()) == NUM_UNUSED
    assert {part for _, part in plan.composition.unused} == {
        *(
            f"SAM 2 video: {part}"
            for part in ("memory attention", "memory encoder", "memory embeddings", "masks as input", "object pointers")
        )
    }
    assert plan.config.sam_config.vision_config.backbone_config.blocks_per_stage == [2, 6, 36, 4]


@pytest.mark.parametrize("release", ["sam2.1_hiera_t", "sam2.1_hiera_l", "sam2_hiera_l"])
def test_every_release_of_sam2_takes_the_place_of_the_one_inside(
    full_size: Path, sam2_shapes: dict[str, dict[str, list[int]]], release: str, tmp_path: Path
) -> None:
    write_headers(tmp_path / "sam2.safetensors", sam2_shapes[release])
    plan = plan_import(ImportRequest(sources=[full_size], sam2=tmp_path / "sam2.safetensors"))
    width = plan.config.sam_config.vision_config.backbone_config.hidden_size
    assert width == (96 if release.endswith("_t") else 144)
    assert any(part.startswith("SAM 2, replaced by") for _, part in plan.composition.unused)


def test_a_dry_run_of_the_full_size_takes_no_memory_for_weights(full_size: Path, repo_root: Path, tmp_path: Path) -> None:
    program = tmp_path / "with_peak.py"
    program.write_text(
        "import resource, runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    environment = {"PYTHONPATH": str(repo_root / "projects"), "OMP_NUM_THREADS": "1", "PATH": ""}
    done = forked.run([program, "tools/import_weights.py", full_size, "--dry-run"], cwd=repo_root, environment=environment)
    assert done.returncode == 0, done.stderr
    assert f"Model: {NUM_PARAMETERS:,} parameters. Not used: {NUM_UNUSED:,}." in done.stdout
    assert "mapped" in done.stdout and "SAM 2 video: memory attention" in done.stdout
    assert int(done.stdout.split()[-1]) < 1500  # MB; the weights are 7,500


def test_sizes_that_a_config_states_and_those_seen_from_the_shapes_are_one(sam2_shapes: dict[str, dict[str, list[int]]]) -> None:
    headers = {name: Header(tuple(shape), torch.float32) for name, shape in sam2_shapes["sam2_hiera_l"].items()}
    stated = {
        "image_size": 1024,
        "d_model": 256,
        "trunk": {
            "embed_dim": 144,
            "num_heads": 2,
            "stages": [2, 6, 36, 4],
            "global_att_blocks": [23, 33, 43],
            "window_pos_embed_bkg_spatial_size": [7, 7],
            "window_spec": [8, 4, 16, 8],
            "backbone_channel_list": [1152, 576, 288, 144],
            "fpn_top_down_levels": [2, 3],
        },
        "mask_decoder": {"mlp_dim": 2048, "num_heads": 8, "depth": 2, "iou_head_hidden_dim": 256, "iou_head_depth": 3},
    }
    seen, told = sam2_config(headers), sam_fields(stated)
    assert seen["vision_config"] == told["vision_config"]
    assert seen["prompt_encoder_config"] == told["prompt_encoder_config"]
    assert seen["mask_decoder_config"].items() <= told["mask_decoder_config"].items()
