"""Dummy inputs for batches that have nothing for a part of the model which other ranks run.

All ranks must reduce the same gradients in the same order: ZeRO 1-3 send them as they arrive, so a rank that left a part out, or touched
its parameters in another order, would add up gradients of different parameters.
"""

import torch

from earthmind.model.batching import Batch, GroundingImages, SegTokens
from earthmind.model.configuration_earthmind import EarthMindConfig
from eocore.portable.fusion_plan import FusionText, plan_fusion
from eocore.portable.row_packing import VisionInputs


def complete_batch(batch: Batch, config: EarthMindConfig) -> Batch:
    """The batch with a dummy tile and a dummy mask, of weight 0, where it has none.

    Args:
        batch: of training samples.
        config: of the model.
    """
    if batch.vision is None:
        batch = batch._replace(vision=dummy_vision(config))
    if batch.segments is None:
        grounding, segments = dummy_masks(config)
        batch = batch._replace(grounding=grounding, segments=segments)
    return batch


def dummy_vision(config: EarthMindConfig) -> VisionInputs:
    """One black tile whose tokens go nowhere."""
    vision = config.vision_config
    none, group, sample = torch.zeros(0, dtype=torch.long), torch.zeros(2, 1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
    return VisionInputs(
        tiles=torch.zeros(1, vision.num_channels, *vision.image_size, dtype=torch.uint8),
        tile_group=group,
        tile_sample=sample,
        placeholder_index=none,
        vision_index=none,
        fusion=plan_fusion(group, sample, texts=[FusionText(none, [0])], owners=[0]) if config.fuses_sensors else None,
    )


def dummy_masks(config: EarthMindConfig) -> tuple[GroundingImages, SegTokens]:
    """One black grounding image and an empty mask, asked for by the first token with weight 0."""
    size = config.sam_config.prompt_encoder_config.image_size
    zero = torch.zeros(1, dtype=torch.long)
    grounding = GroundingImages(torch.zeros(1, config.grounding_channels, size, size, dtype=torch.uint8), owner=zero, num_samples=1)
    segments = SegTokens(
        positions=zero,
        sample=zero,
        slot=zero,
        num_slots=1,
        weights=torch.zeros(1),
        columns=zero[None],
        spans=[(0, 1)],
        counts=[1],
        seeds=[0],
        masks=torch.zeros(1, size, size, dtype=torch.uint8),
        is_dummy=True,
    )
    return grounding, segments
