"""The vision side of Aerith: towers as transformers has them, sums by level, full-size counts, and refusals."""

import pytest
import torch
from torch import Tensor
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection
from transformers.models.dinov3_vit.configuration_dinov3_vit import DINOv3ViTConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTModel

from aerith.model.vision_aerith import FusedTowers, VisionEncoder, VisionSizes, level_numbers, pooler_sizes

TOWER = {"intermediate_size": 32, "num_attention_heads": 2}
CLIP = CLIPVisionConfig(**TOWER, hidden_size=32, num_hidden_layers=6, patch_size=14, image_size=56, projection_dim=16)
DINOV3 = DINOv3ViTConfig(**TOWER, hidden_size=24, num_hidden_layers=6, patch_size=16, image_size=64, num_register_tokens=4)


def towers(num_levels: int = 1) -> FusedTowers:
    torch.manual_seed(0)
    return FusedTowers(VisionSizes(clip=CLIP, dinov3=DINOV3, num_levels=num_levels)).eval()


def images() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 3, 56, 56), torch.randn(2, 3, 64, 64)


def test_sums_are_those_of_the_towers_of_transformers() -> None:
    made, (for_clip, for_dinov3) = towers(), images()
    clip, dinov3 = CLIPVisionModelWithProjection(CLIP).eval(), DINOv3ViTModel(DINOV3).eval()
    clip.load_state_dict(made.clip.state_dict())
    dinov3.load_state_dict(made.dinov3.state_dict())
    patches = clip(for_clip).last_hidden_state[:, 1:]
    first = clip.visual_projection(clip.vision_model.post_layernorm(patches))
    second = dinov3(for_dinov3).last_hidden_state
    assert second.shape == (2, 1 + 4 + 16, 24)
    torch.testing.assert_close(made(for_clip, for_dinov3), [first + made.head(second[:, 5:])])


def test_three_levels_are_the_hidden_states_at_their_numbers() -> None:
    assert level_numbers(24) == (7, 15, 22)
    made, (for_clip, for_dinov3) = towers(3), images()
    numbers = level_numbers(6)
    states = made.clip(for_clip, output_hidden_states=True).hidden_states
    norm, project = made.clip.vision_model.post_layernorm, made.clip.visual_projection
    torch.testing.assert_close(made.clip_tokens(for_clip), [project(norm(states[number][:, 1:])) for number in numbers])
    others = made.dinov3(for_dinov3, output_hidden_states=True).hidden_states
    torch.testing.assert_close(made.dinov3_tokens(for_dinov3), [made.dinov3.norm(others[number][:, 5:]) for number in numbers])


@pytest.mark.parametrize(("num_levels", "num_queries"), [(1, (5,)), (3, (3, 2, 1))])
def test_an_image_becomes_as_many_tokens_as_queries(num_levels: int, num_queries: tuple[int, ...]) -> None:
    vision = VisionSizes(clip=CLIP, dinov3=DINOV3, num_levels=num_levels)
    tokens = VisionEncoder(vision, pooler_sizes(vision, 8, num_queries=num_queries))(*images())
    assert tokens.shape == (2, sum(num_queries), 8)


@pytest.mark.parametrize("num_levels", [1, 3])
def test_full_size_counts(num_levels: int) -> None:
    """CLIP ViT-L/14 and DINOv3 ViT-B/16 to LLaMA-2-7B's width: pooler and head as derived of the published checkpoint's sizes."""
    clip = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, patch_size=14, projection_dim=768
    )
    dinov3 = DINOv3ViTConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, image_size=256, num_register_tokens=4
    )
    vision = VisionSizes(clip=clip, dinov3=dinov3, num_levels=num_levels)
    with torch.device("meta"):
        made = VisionEncoder(vision, pooler_sizes(vision, 4096))
    parts = {"pooler": made.pooler, "head": made.towers.head, "projection": made.towers.clip.visual_projection}
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    assert counts == {"pooler": 45_796_864, "head": 768 * 768 + 768, "projection": 1024 * 768}
    assert made.pooler.queries.shape == (1, 144, 768)


def test_other_levels_and_grids_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="num_levels=2, expected 1 or 3"):
        VisionSizes(clip=CLIP, dinov3=DINOV3, num_levels=2)
    smaller = DINOv3ViTConfig(**{**DINOV3.to_dict(), "image_size": 48})
    with pytest.raises(ValueError, match=r"CLIP has 4 x 4 patches, DINOv3 3 x 3: .* 224 px in patches of 14 and 256 px in patches of 16"):
        VisionSizes(clip=CLIP, dinov3=smaller)
    oblong = DINOv3ViTConfig(**{**DINOV3.to_dict(), "image_size": [64, 32]})
    with pytest.raises(ValueError, match="images and patches of the towers are square"):
        VisionSizes(clip=CLIP, dinov3=oblong)
