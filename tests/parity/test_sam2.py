"""SAM 2 here computes what Meta's `sam2` package computes with the same random weights, written and imported as an official file.

The package's model code needs no torchvision; only its image predictor does, so its steps on one image are taken singly here.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Sam2Config, Sam2Model

from eocore.checkpoints.key_map import our_headers
from eocore.checkpoints.key_maps.sam2 import meta_map
from eocore.checkpoints.key_maps.sam2_sizes import sam2_config, sam2_version
from eocore.checkpoints.weight_files import Header, LazyTensor

if any(find_spec(name) is None for name in ("sam2", "hydra", "iopath")):
    pytest.skip("needs Meta's sam2: bash tools/setup_env.sh --extras train,eval,sam2,dev (CONTRIBUTING.md)", allow_module_level=True)
from sam2.build_sam import build_sam2

TOLERANCE = 1e-4
"""Absolute, on features and logits of order 1."""
NOT_A_POINT = -1
SIDE = 1024


def official(size: str, version: str = "2.1") -> Any:
    """Meta's model from its own config, without the post-processing that no weight belongs to."""
    folder = f"sam{version.removesuffix('.0')}"
    return build_sam2(f"configs/{folder}/{folder}_hiera_{size}.yaml", device="cpu", apply_postprocessing=False)


def headers(model: nn.Module) -> dict[str, Header]:
    return {name: Header(tuple(weight.shape), weight.dtype) for name, weight in model.state_dict().items()}


@pytest.mark.parametrize(("size", "version"), [("t", "2.1"), ("s", "2.0"), ("b+", "2.1"), ("l", "2.0")])
def test_every_official_size_is_recognised_whole(size: str, version: str) -> None:
    """Every weight has its place; and what no shape shows (windows, heads, pooling) is what the official config says, block by block."""
    theirs = official(size, version)
    shapes = headers(theirs)
    assert sam2_version(shapes) == version
    with torch.device("meta"):
        ours = Sam2Model(Sam2Config(**sam2_config(shapes)))
    mapped = meta_map(shapes).apply_tensors({name: LazyTensor(header, torch.Tensor) for name, header in shapes.items()}, origin="")
    assert not mapped.unexpected
    assert {name.removeprefix("seg_head.sam."): tensor.header for name, tensor in mapped.tensors.items()} == our_headers(ours)
    blocks = list(zip(ours.vision_encoder.backbone.blocks, theirs.image_encoder.trunk.blocks, strict=True))
    assert [block.window_size for block, _ in blocks] == [block.window_size for _, block in blocks]
    assert [block.attn.num_attention_heads for block, _ in blocks] == [block.attn.num_heads for _, block in blocks]
    assert [block.query_stride and tuple(block.query_stride) for block, _ in blocks] == [block.q_stride for _, block in blocks]
    assert ours.vision_encoder.neck.fpn_top_down_levels == theirs.image_encoder.neck.fpn_top_down_levels
    assert ours.prompt_encoder.input_image_size == theirs.image_size
    layers = zip(ours.mask_decoder.transformer.layers, theirs.sam_mask_decoder.transformer.layers, strict=True)
    assert all(layer.self_attn.num_attention_heads == other.self_attn.num_heads for layer, other in layers)


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Hiera-tiny at full size; every weight random, none zero."""
    torch.manual_seed(0)
    model = official("t")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def ours(theirs: Any, internvl_folder: Path, import_model: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same weights by way of an official file, beside a tiny InternVL."""
    file = tmp_path_factory.mktemp("release") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": theirs.state_dict()}, file)
    return import_model(internvl_folder, "--sam2", file)


@pytest.fixture(scope="module")
def image() -> Tensor:
    """(1, 3, 1024, 1024) uint8, smooth and noisy parts."""
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    smooth = nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")
    noise = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    return ((0.8 * smooth + 0.2 * noise).clamp(0, 1) * 255).to(torch.uint8)


@pytest.fixture(scope="module")
def levels(theirs: Any, image: Tensor) -> list[Tensor]:
    """Their three levels, finest first; the coarsest with `no_mem_embed`, as `directly_add_no_mem_embed` of their configs asks for."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    fine, middle, coarse = theirs.forward_image((image / 255.0 - mean) / std)["backbone_fpn"]
    return [fine, middle, coarse + theirs.no_mem_embed.view(1, -1, 1, 1)]


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert expected.std() > 0.1, "a comparison of numbers near zero would prove nothing"
    torch.testing.assert_close(found.reshape(expected.shape), expected, atol=TOLERANCE, rtol=0)


def their_masks(theirs: Any, levels: list[Tensor], sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    """Candidate logits (K, 3, 256, 256) and predicted IoU (K, 3) of Meta's decoder."""
    masks, scores, _, _ = theirs.sam_mask_decoder(
        image_embeddings=levels[2],
        image_pe=theirs.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
        repeat_image=True,
        high_res_features=levels[:2],
    )
    return masks, scores


def test_features(ours: Any, image: Tensor, levels: list[Tensor]) -> None:
    for found, expected in zip(ours.seg_head.encode(image), levels, strict=True):
        assert_close(found, expected)


def test_masks_of_projected_prompts(theirs: Any, ours: Any, levels: list[Tensor]) -> None:
    """Two [SEG] prompts: two points that are none, then the embedding."""
    prompts = torch.randn(2, 1, 256, generator=torch.Generator().manual_seed(3))
    no_points = (torch.zeros(2, 1, 2), torch.full((2, 1), NOT_A_POINT))
    sparse, dense = theirs.sam_prompt_encoder(points=no_points, boxes=None, masks=None)
    masks, scores = their_masks(theirs, levels, torch.cat([sparse, prompts], dim=1), dense)
    drawn = ours.seg_head.draw(prompts[:, 0], levels, torch.zeros(2, dtype=torch.long), torch.arange(2), 2)
    assert_close(drawn.candidates, masks)
    torch.testing.assert_close(drawn.iou_scores, scores, atol=TOLERANCE, rtol=0)
    best = scores.argmax(-1)
    assert_close(drawn.chosen, masks[torch.arange(2), best])


def test_masks_of_points_and_a_former_mask(theirs: Any, ours: Any, levels: list[Tensor]) -> None:
    """Prompts that EarthMind does not use, so that every imported weight of the prompt encoder is compared."""
    points, labels = torch.rand(1, 4, 2) * SIDE, torch.tensor([[0, 1, 2, 3]])
    former = torch.randn(1, 1, 256, 256)
    sparse, dense = theirs.sam_prompt_encoder(points=(points, labels), boxes=None, masks=former)
    our_sparse, our_dense = ours.seg_head.sam.prompt_encoder(points[None], labels[None], None, former)
    assert_close(our_sparse, sparse)
    assert_close(our_dense, dense)
    masks, scores = their_masks(theirs, levels, sparse, dense)
    our_masks, our_scores, _, _ = ours.seg_head.sam.mask_decoder(
        image_embeddings=levels[2],
        image_positional_embeddings=ours.seg_head.sam.get_image_wide_positional_embeddings(),
        sparse_prompt_embeddings=our_sparse,
        dense_prompt_embeddings=our_dense,
        multimask_output=True,
        high_resolution_features=levels[:2],
    )
    assert_close(our_masks, masks)
    torch.testing.assert_close(our_scores[0], scores, atol=TOLERANCE, rtol=0)
