"""Images and masks as SAM 2 takes them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from eocore.portable.band_rendering import SceneLike, composite_image, grounding_image
from eocore.portable.image_tiling import resize
from eocore.portable.vision_layout import SampleError

from .special_tokens import SEG_TOKEN

GROUNDINGS = ("first", "all", "composite")


@dataclass(frozen=True, kw_only=True)
class GroundingOptions:
    """Which image masks are drawn on.

    Attributes:
        grounding_size: side of the SAM 2 image [px].
        grounding: "first" (one image a sample), "all" (one a modality) or "composite" (one image with channels of all sensors).
        grounding_order: which modality is drawn on first.
        grounding_channels: of the composite, see `band_rendering.composite_image`.
        grounding_fill: what each of them shows where its sensor is not there [uint8].
    """

    grounding_size: int = 1024
    grounding: str = "first"
    grounding_order: Sequence[str] = ("sar", "rgb", "multispectral")
    grounding_channels: Sequence[str] = ()
    grounding_fill: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.grounding not in GROUNDINGS:
            raise ValueError(f"grounding='{self.grounding}' is unknown; choices: {', '.join(GROUNDINGS)}.")
        for name in ("grounding_order", "grounding_channels", "grounding_fill"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def drawn_on(self, modalities: Collection[str]) -> list[str]:
        """Which of these modalities masks are drawn on; they lie on the pixel grid of the first."""
        chosen = [name for name in self.grounding_order if name in modalities] or list(modalities)
        return chosen if self.grounding == "all" else chosen[:1]

    def num_images(self, modalities: Collection[str]) -> int:
        """How many images `grounding_images` makes of scenes of these modalities."""
        drawn_on = len(self.drawn_on(modalities))
        return min(drawn_on, 1) if self.grounding == "composite" else drawn_on


def grounding_images(scenes: Mapping[str, SceneLike], presentation: Mapping[str, Any], *, options: GroundingOptions) -> Tensor:
    """(G, C, S, S) uint8 that masks are drawn on.

    Args:
        scenes: by modality, at least one.
        presentation: modality -> rule, see `band_rendering`.
        options: which of them, and how large.
    """
    size = (options.grounding_size, options.grounding_size)
    if options.grounding == "composite":
        ordered = {name: scenes[name] for name in options.grounding_order if name in scenes}
        pictures = [composite_image(ordered, presentation, channels=options.grounding_channels, fill=options.grounding_fill)]
    else:
        pictures = [grounding_image(scenes[name], presentation[name]) for name in options.drawn_on(scenes)]
    stacked = np.stack([resize(picture, size, resample=Image.Resampling.BILINEAR) for picture in pictures])
    return torch.from_numpy(stacked.copy())  # channel by channel in memory: kernels round alike wherever a batch comes from


def stack_masks(masks: Sequence[np.ndarray], *, num_seg: int, side: int, sample_id: str) -> Tensor:
    """(K, side, side) uint8 of masks (H, W) bool.

    Args:
        masks: one for each [SEG].
        num_seg: [SEG] tokens of the answers.
        side: of SAM 2's image [px].
        sample_id: for messages.

    Raises:
        SampleError: masks and [SEG] tokens are not equally many.
    """
    if len(masks) != num_seg:
        raise SampleError(
            f"{sample_id}: the answers hold {num_seg} {SEG_TOKEN} but there are {len(masks)} masks; masks would be learned for the "
            "wrong phrase. Give one mask per token, in order."
        )
    layers = [resize(mask.astype(np.uint8)[None], (side, side), resample=Image.Resampling.NEAREST)[0] for mask in masks]
    return torch.from_numpy(np.stack(layers).copy()) if layers else torch.zeros(0, side, side, dtype=torch.uint8)
