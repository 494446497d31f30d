"""Keyword arguments of the processor's calls: their types for those who call, and their defaults."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np


class EncodeArguments(TypedDict, total=False):
    """Keyword arguments of `EarthMindProcessor.encode`; meanings and defaults as in `EncodeOptions`."""

    regions: Sequence[np.ndarray]
    region_moments: Sequence[int] | None
    masks: Sequence[np.ndarray] | None
    mask_moments: Sequence[int] | None
    independent: bool
    max_length: int | None
    for_generation: bool
    with_grounding: bool
    sample_id: str


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """What becomes of a conversation.

    Attributes:
        regions: (H, W) bool masks in image coordinates.
        region_moments: number of the moment whose image each region lies on; needed in a series alone.
        masks: (H, W) bool, by the index of the `Seg` parts of the answers; None when predicting.
        mask_moments: number of the moment whose image each mask lies on, by the annotation; the text must name the same (see
            `series.MomentNames`). None = what the text names.
        independent: each question sees the images and itself alone, as if it were the only one; the first begins with the images.
        max_length: most tokens; longer is an error, nothing is cut. For a prompt that is what the model has positions for
            (`position_limit.most_prompt_tokens`).
        for_generation: end with the opening of an answer; SAM 2's image is prepared when `draw_on` is called.
        with_grounding: prepare SAM 2's image (it is only needed where masks are drawn).
        sample_id: for messages.
    """

    regions: Sequence[np.ndarray] = ()
    region_moments: Sequence[int] | None = None
    masks: Sequence[np.ndarray] | None = None
    mask_moments: Sequence[int] | None = None
    independent: bool = False
    max_length: int | None = None
    for_generation: bool = False
    with_grounding: bool = True
    sample_id: str = ""


class CallArguments(TypedDict, total=False):
    """Keyword arguments of `EarthMindProcessor.__call__`; meanings and defaults as in `CallOptions`."""

    videos: None
    audio: None
    modalities: Sequence[str] | None
    with_grounding: bool
    return_tensors: str | None
    padding: bool | str | None
    add_special_tokens: bool


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """What becomes of prompts.

    Attributes:
        videos, audio: always None; chat templates hand them in.
        modalities: names of a prompt's images, in order; None = one image is RGB, two are SAR and RGB.
        with_grounding: prepare SAM 2's images too.
        return_tensors, padding, add_special_tokens: taken for the pipelines' sake; the result is always padded torch tensors, and the chat
            template already holds every control token.
    """

    videos: None = None
    audio: None = None
    modalities: Sequence[str] | None = None
    with_grounding: bool = False
    return_tensors: str | None = None
    padding: bool | str | None = True
    add_special_tokens: bool = False
