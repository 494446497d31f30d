"""Samples and batches of Aerith."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eocore.portable.prompt_batching import EncodedPrompt, PromptBatch, collate_prompts
from eocore.portable.row_packing import to_device


class Images(NamedTuple):
    """N images, each as both towers take it.

    Attributes:
        clip: (N, 3, S, S) uint8 of CLIP's size.
        dinov3: (N, 3, S, S) uint8 of DINOv3's.
        is_dummy: True for one black image that no text shows, where a batch has none: all ranks run the same parts.
    """

    clip: Tensor
    dinov3: Tensor
    is_dummy: bool = False


class Sample(NamedTuple):
    """One conversation about at most one image.

    Attributes:
        prompt: its text.
        images: one, or N = 0.
        faults: broken samples that this one stands for (see `eocore.data.loading.error_policy`).
    """

    prompt: EncodedPrompt
    images: Images
    faults: Sequence[Any] = ()


class Batch(NamedTuple):
    """What the model takes.

    Attributes:
        prompts: rows of text.
        images: of the samples that show one, in their order.
        sample_ids: of the samples.
        faults: broken samples that others stand for.
    """

    prompts: PromptBatch
    images: Images
    sample_ids: list[str]
    faults: tuple[Any, ...] = ()

    def to(self, device: torch.device | str) -> "Batch":
        """The batch with its tensors on `device`."""
        return to_device(self, device)


def collate(samples: Sequence[Sample], *, with_dummy: bool = False, **layout: Any) -> Batch:
    """One batch.

    Args:
        samples: from `AerithProcessor.encode`.
        with_dummy: one black image where no sample has one.
        **layout: of `collate_prompts`.
    """
    prompts = collate_prompts([sample.prompt for sample in samples], **layout)
    images = join_images([sample.images for sample in samples])
    if with_dummy and not len(images.clip):
        clip, dinov3 = (torch.zeros(1, *part.shape[1:], dtype=torch.uint8) for part in (images.clip, images.dinov3))
        images = Images(clip, dinov3, is_dummy=True)
    faults = tuple(fault for sample in samples for fault in sample.faults)
    return Batch(prompts, images, prompts.sample_ids, faults)


def join_images(images: Sequence[Images]) -> Images:
    """All images in one."""
    return Images(torch.cat([own.clip for own in images]), torch.cat([own.dinov3 for own in images]))
