"""What is checked and found of a sample while it is encoded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eocore.portable.band_rendering import SceneLike
from eocore.portable.position_limit import SampleTooLongError, too_long
from eocore.portable.text_splicing import SplicedText
from eocore.portable.vision_layout import SampleError, VisionLayout

from .batching import Sample
from .processor_options import MODALITIES

UPSTREAM_ORDER = ("sar", "rgb")
"""Order of two images given without names: the upstream multi-image call takes SAR first."""
NOWHERE = -1
"""Fills up columns of moments that show fewer views of the whole image than others."""


def whole_image_columns(layout: VisionLayout, text: SplicedText) -> Tensor:
    """(Q * M, A) positions of the tokens that show the whole image of each of M moments, view by view, each of the Q times that images are
    shown, padded with `NOWHERE`; for the attention loss."""
    if not layout.blocks:
        return torch.zeros(1, 0, dtype=torch.long)
    order = torch.cat([index for _, index in layout.blocks])
    position_of = torch.zeros(len(text.image_starts), layout.num_tokens, dtype=torch.long)
    for number, start in enumerate(text.image_starts):
        position_of[number, order] = text.placeholders[start : start + len(order)]
    columns = [position_of[:, whole.reshape(-1)] for whole in layout.wholes]
    most = max(found.shape[1] for found in columns)
    padded = [torch.nn.functional.pad(found, (0, most - found.shape[1]), value=NOWHERE) for found in columns]
    return torch.stack(padded, dim=1).flatten(0, 1)


def check_length(sample: Sample, max_length: int | None, *, for_generation: bool) -> None:
    """Raise SampleTooLongError if the sample has more than `max_length` tokens."""
    count = len(sample.input_ids)
    if max_length is None or count <= max_length:
        return
    tiles = f" ({len(sample.tiles)} tiles of {sample.tokens_per_tile} vision tokens)"
    if for_generation:
        raise SampleTooLongError(too_long(sample.sample_id or "the prompt", count, limit=max_length, tiles=tiles))
    raise SampleTooLongError(
        f"{sample.sample_id}: {count} tokens{tiles}, at most {max_length} are allowed; nothing was cut. Raise max_length or lower "
        "max_tiles. A packed row must have room for it too (row_length)."
    )


def check_size(mask: np.ndarray, scenes: Mapping[str, SceneLike], *, sample_id: str, what: str) -> None:
    """Raise SampleError if a mask has the size of none of the images that it may lie on."""
    sizes = {scene.pixels.shape[1:] for scene in scenes.values()}
    if mask.ndim != 2 or mask.shape not in sizes:
        raise SampleError(
            f"{sample_id}: a {what} is {mask.shape} px but the images are {sorted(sizes)} px (height, width); they must agree."
        )


def name_images(pictures: Sequence[Any], modalities: Sequence[str] | None) -> dict[str, Any]:
    """The images of a prompt by modality; unnamed, one is RGB, two are SAR and RGB. Raises SampleError where names do not fit."""
    names = tuple(modalities) if modalities else {0: (), 1: ("rgb",), 2: UPSTREAM_ORDER}.get(len(pictures))
    if names is None or len(names) != len(pictures):
        raise SampleError(f"{len(pictures)} images but modalities={modalities}; name each image, choices: {', '.join(MODALITIES)}.")
    return dict(zip(names, pictures, strict=True))
