"""The vision side: CLIP and DINOv3 see the same image, their patch tokens are summed, and learned queries read the sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection
from transformers.models.dinov3_vit.configuration_dinov3_vit import DINOv3ViTConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTModel

from eocore.portable.attention_pooler import AttentionPooler, PoolerSizes

MULTI_LEVEL = 3
FUSIONS = ("sum", "clip", "dinov3")


@dataclass(frozen=True, kw_only=True)
class VisionSizes:
    """What `FusedTowers` is made of.

    Attributes:
        clip: of the tower whose projection decides the width of tokens.
        dinov3: of the other tower; its images are larger where its patches are, so that both have one grid.
        num_levels: 1: tokens of the last layer. 3: of layers at a third, two thirds and before the last, as LHRS-Bot's.
        fusion: the "sum" of both towers' tokens, or those of "clip" or of "dinov3" behind the head alone, to tell what each adds.

    Raises:
        ValueError: the grids of patches differ, or there are other levels or fusions.
    """

    clip: CLIPVisionConfig
    dinov3: DINOv3ViTConfig
    num_levels: int = 1
    fusion: str = "sum"

    def __post_init__(self) -> None:
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion='{self.fusion}' is unknown; choices: {', '.join(FUSIONS)}.")
        if self.num_levels not in (1, MULTI_LEVEL):
            raise ValueError(f"num_levels={self.num_levels}, expected 1 or {MULTI_LEVEL}.")
        grids = [_grid(self.clip), _grid(self.dinov3)]
        if grids[0] != grids[1]:
            raise ValueError(
                f"CLIP has {grids[0]} x {grids[0]} patches, DINOv3 {grids[1]} x {grids[1]}: tokens of other places would be summed. Choose "
                "image sizes that give both one grid, such as 224 px in patches of 14 and 256 px in patches of 16."
            )


class FusedTowers(nn.Module):
    """Patch tokens of CLIP, in the space of its projection, plus those of DINOv3 behind a linear head; class and register tokens left out.

    Args:
        sizes: see there.
    """

    def __init__(self, sizes: VisionSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.clip = CLIPVisionModelWithProjection._from_config(sizes.clip)
        self.dinov3 = DINOv3ViTModel._from_config(sizes.dinov3)
        self.head = nn.Linear(sizes.dinov3.hidden_size, sizes.clip.projection_dim)

    def train(self, mode: bool = True) -> Self:
        """As in torch, but a frozen tower stays as it answers: DINOv3 stretches its positions at random in training mode."""
        super().train(mode)
        for tower in (self.clip, self.dinov3):
            if not any(parameter.requires_grad for parameter in tower.parameters()):
                tower.eval()
        return self

    def forward(self, clip_pixels: Tensor, dinov3_pixels: Tensor) -> list[Tensor]:
        """(B, P, D) sums of each level; a tower that the fusion leaves out does not run.

        Args:
            clip_pixels, dinov3_pixels: (B, 3, S, S) normalised images, each as its tower reads them.
        """
        if self.sizes.fusion == "clip":
            return self.clip_tokens(clip_pixels)
        if self.sizes.fusion == "dinov3":
            return [self.head(level) for level in self.dinov3_tokens(dinov3_pixels)]
        pairs = zip(self.clip_tokens(clip_pixels), self.dinov3_tokens(dinov3_pixels), strict=True)
        return [first + self.head(second) for first, second in pairs]

    def clip_tokens(self, pixels: Tensor) -> list[Tensor]:
        """(B, P, D) projected patch tokens of CLIP, by level; the last layer's norm and projection serve all levels."""
        states = self.clip.vision_model(pixel_values=pixels, output_hidden_states=self.sizes.num_levels > 1)
        chosen = self._levels(states.last_hidden_state, states.hidden_states)
        norm, project = self.clip.vision_model.post_layernorm, self.clip.visual_projection
        return [project(norm(level[:, 1:])) for level in chosen]

    def dinov3_tokens(self, pixels: Tensor) -> list[Tensor]:
        """(B, P, W) patch tokens of DINOv3, by level, before the head; the last layer's norm serves all levels."""
        states = self.dinov3(pixel_values=pixels, output_hidden_states=self.sizes.num_levels > 1)
        skipped = 1 + self.sizes.dinov3.num_register_tokens
        if self.sizes.num_levels == 1:
            return [states.last_hidden_state[:, skipped:]]
        return [self.dinov3.norm(level[:, skipped:]) for level in self._levels(states.last_hidden_state, states.hidden_states)]

    def _levels(self, last: Tensor, states: Sequence[Tensor] | None) -> list[Tensor]:
        if self.sizes.num_levels == 1 or states is None:
            return [last]
        return [states[number] for number in level_numbers(len(states) - 1)]


def level_numbers(num_layers: int) -> tuple[int, int, int]:
    """Which hidden states (0 = embeddings) the three levels are. Source: LHRS-Bot; 7, 15 and 22 of 24 layers."""
    return num_layers // 3 - 1, num_layers // 3 * 2 - 1, num_layers - 2


def pooler_sizes(
    vision: VisionSizes,
    output_width: int,
    *,
    num_queries: Sequence[int] | None = None,
    num_layers: int = 6,
    num_heads: int = 16,
    positions: str = "none",
) -> PoolerSizes:
    """Of the pooler behind the towers: 144 queries, or 64, 48 and 32 for three levels.

    Args:
        vision: of the towers.
        output_width: of the language model.
        num_queries: others, one number a level.
        num_layers, num_heads, positions: of the pooler.
    """
    usual = (144,) if vision.num_levels == 1 else (64, 48, 32)
    return PoolerSizes(
        width=vision.clip.projection_dim,
        output_width=output_width,
        num_layers=num_layers,
        num_heads=num_heads,
        num_queries=usual if num_queries is None else num_queries,
        positions=positions,
    )


class VisionEncoder(nn.Module):
    """Images -> tokens for the language model: towers, sum, pooler.

    Args:
        vision: of the towers.
        pooler: of the queries.
    """

    def __init__(self, vision: VisionSizes, pooler: PoolerSizes) -> None:
        super().__init__()
        self.towers = FusedTowers(vision)
        self.pooler = AttentionPooler(pooler)

    def forward(self, clip_pixels: Tensor, dinov3_pixels: Tensor) -> Tensor:
        """(B, Q, D) tokens; see `FusedTowers` for the images."""
        pooled: Tensor = self.pooler(self.towers(clip_pixels, dinov3_pixels))
        return pooled


def _grid(config: CLIPVisionConfig | DINOv3ViTConfig) -> int:
    """Patches along a side."""
    side, patch = config.image_size, config.patch_size
    if not isinstance(side, int) or not isinstance(patch, int):
        raise ValueError(
            f"image_size={side} and patch_size={patch}: images and patches of the towers are square; give one number for each."
        )
    return side // patch
