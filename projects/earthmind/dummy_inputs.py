"""Blank inputs for ranks that have nothing to show a part of the model which other ranks run (see `EarthMindTask`)."""

from typing import Any

import torch

from earthmind.model.configuration_earthmind import EarthMindConfig


def blank_tiles(config: EarthMindConfig, device: torch.device) -> dict[str, Any]:
    """One black tile whose tokens go nowhere."""
    vision = config.vision_config
    none = torch.zeros(0, dtype=torch.long, device=device)
    return {
        "tiles": torch.zeros(1, vision.num_channels, *vision.image_size, dtype=torch.uint8, device=device),
        "tile_group": torch.zeros(2, 1, dtype=torch.long, device=device),
        "tile_sample": torch.zeros(1, dtype=torch.long, device=device),
        "placeholder_index": none,
        "vision_index": none,
    }


def blank_masks(config: EarthMindConfig, device: torch.device) -> dict[str, Any]:
    """One black grounding image and an empty mask, asked for by the first token with weight 0."""
    size = config.sam_config.prompt_encoder_config.image_size
    zero = torch.zeros(1, dtype=torch.long, device=device)
    return {
        "grounding_images": torch.zeros(1, config.grounding_channels, size, size, dtype=torch.uint8, device=device),
        "grounding_owner": zero,
        "num_grounded": 1,
        "seg_index": zero,
        "seg_sample": zero,
        "seg_slot": zero,
        "seg_columns": zero[None],
        "seg_weight": torch.zeros(1, device=device),
        "seg_spans": [(0, 1)],
        "seg_counts": [1],
        "seg_seeds": [0],
        "num_slots": 1,
        "blank_masks": 1,
        "masks": torch.zeros(1, size, size, dtype=torch.uint8, device=device),
    }
