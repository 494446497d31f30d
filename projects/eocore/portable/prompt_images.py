"""Images as callers of a processor hand them in -> the images of each prompt."""

from collections.abc import Mapping
from typing import Any

from eocore.portable.vision_layout import SampleError


def images_per_prompt(images: Any, num_prompts: int) -> list[Any]:
    """A list of images, or a mapping by role, for each prompt.

    Args:
        images: None, one image or mapping, a list of them, or a list of lists.
        num_prompts: prompts they belong to; one prompt takes all images of a list.

    Raises:
        SampleError: as many lists as prompts are needed, and there are not.
    """
    if images is None:
        return [[] for _ in range(num_prompts)]
    if isinstance(images, Mapping) or not isinstance(images, (list, tuple)):
        images = [images]
    nested = [item if isinstance(item, (list, tuple, Mapping)) else [item] for item in images]
    if len(nested) == num_prompts:
        return nested
    if num_prompts == 1:
        return [[picture for item in nested for picture in item]]
    raise SampleError(f"{len(nested)} images or lists of images for {num_prompts} prompts; give one list a prompt.")
