"""SAM 2 here computes what Meta's `sam2` package computes with the same random weights, written and imported as an official file.

The package's model code needs no torchvision; only its image predictor does, so its steps on one image are taken singly here.
"""

import copy
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import Sam2Config, Sam2Model

from earthmind.model.answering import draw_frames
from earthmind.model.mask_head import SegHead
from eocore.checkpoints.key_map import our_headers
from eocore.checkpoints.key_maps.sam2 import meta_map
from eocore.checkpoints.key_maps.sam2_sizes import sam2_config, sam2_version
from eocore.checkpoints.weight_files import Header, LazyTensor

if any(find_spec(name) is None for name in ("sam2", "hydra", "iopath")):
    pytest.skip(
        "Meta's sam2 is not installed: bash tools/setup_env.sh --extras train,eval,sam2,dev (CONTRIBUTING.md)", allow_module_level=True
    )
from sam2.build_sam import build_sam2, build_sam2_video_predictor

TOLERANCE = 1e-4
"""Absolute, on features and logits of order 1."""
NOT_A_POINT = -1
SIDE = 1024
VIDEO_SIDE = 256
"""Of frames [px]: the weights do not depend on it, and the video predictor encodes every frame twice (minutes at full size)."""


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


def assert_close(found: Tensor, expected: Tensor, *, spread: float = 0.1) -> None:
    assert expected.std() > spread, "a comparison of numbers near zero would prove nothing"
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
    drawn = ours.seg_head.decode_masks(prompts[:, 0], levels, sample=torch.zeros(2, dtype=torch.long), slot=torch.arange(2), num_slots=2)
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


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames as the video predictor reads them; JPEG, so both sides read the files."""
    folder = tmp_path_factory.mktemp("video")
    for number in range(5):
        coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(number))
        frame = nn.functional.interpolate(coarse, size=(VIDEO_SIDE, VIDEO_SIDE), mode="bicubic").clamp(0, 1)[0] * 255
        Image.fromarray(frame.permute(1, 2, 0).to(torch.uint8).numpy()).save(folder / f"{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def tracker(theirs: Any) -> Any:
    """Meta's video predictor with the same weights, its masks not suppressed by the object score, as in the upstream models."""
    config, smaller = "configs/sam2.1/sam2.1_hiera_t.yaml", [f"++model.image_size={VIDEO_SIDE}"]
    model = build_sam2_video_predictor(config, device="cpu", apply_postprocessing=False, hydra_overrides_extra=smaller)
    model.load_state_dict(theirs.state_dict())
    model.pred_obj_scores = False
    return model


@pytest.fixture(scope="module")
def small_head(ours: Any) -> SegHead:
    """Our weights for frames of that size."""
    config = copy.deepcopy(ours.config)
    vision = config.sam_config.vision_config
    vision.backbone_config.image_size = [VIDEO_SIDE, VIDEO_SIDE]
    vision.backbone_feature_sizes = [[size * VIDEO_SIDE // SIDE for size in sizes] for sizes in vision.backbone_feature_sizes]
    config.sam_config.prompt_encoder_config.image_size = VIDEO_SIDE
    head = SegHead(config)
    head.load_state_dict(ours.seg_head.state_dict())
    return head.eval().requires_grad_(False)


@pytest.mark.parametrize("count", [1, 5])
def test_frames_drawn_from_one_prompt_are_what_the_video_predictor_draws(
    tracker: Any, small_head: SegHead, video: Path, tmp_path: Path, count: int
) -> None:
    """Upstream prompts each of the first five frames; SAM 2's memory, which links frames, then has no say in their masks.

    The prompt goes in by the public call: a point with the label of none, to which a hook adds the embedding.
    """
    for path in sorted(video.iterdir())[:count]:
        (tmp_path / path.name).symlink_to(path)
    state = torch.randn(24, generator=torch.Generator().manual_seed(4))  # of one [SEG], as wide as the language model
    prompt = small_head.project_seg(state)
    hook = tracker.sam_prompt_encoder.register_forward_hook(
        lambda _module, _given, made: (torch.cat([made[0], prompt.view(1, 1, -1)], dim=1), made[1])
    )
    try:
        inference = tracker.init_state(video_path=str(tmp_path))
        for number in range(count):
            tracker.add_new_points_or_box(
                inference, frame_idx=number, obj_id=1, points=np.zeros((1, 2)), labels=np.array([NOT_A_POINT]), normalize_coords=False
            )
        expected = torch.cat([masks for _, _, masks in tracker.propagate_in_video(inference)])[:, 0]
    finally:
        hook.remove()
    frames = torch.stack([torch.from_numpy(np.asarray(Image.open(path)).copy()) for path in sorted(tmp_path.iterdir())])
    drawn, other = draw_frames(small_head, [state, -state], images=frames.permute(0, 3, 1, 2))
    assert (drawn - other).abs().max() > 10 * TOLERANCE, "the prompt must matter"
    found = nn.functional.interpolate(drawn[:, None], size=(VIDEO_SIDE, VIDEO_SIDE), mode="bilinear", align_corners=False)[:, 0]
    assert len({tuple(mask[::16, ::16].flatten().tolist()) for mask in expected}) == count, "the frames' masks must differ"
    assert_close(found, expected, spread=0.05)
    assert ((found > 0) != (expected > 0)).float().mean() < 1e-4
