"""Masks as the files of others write them."""

from collections.abc import Mapping, Sequence
from typing import Any

from eocore.data.formats.entries import segmentation_mask, shorten
from eocore.data.io.masks import decode_mask, encode_rle
from eocore.errors import AnnotationError


def read_masks(value: Any, *, size: Any, source: str) -> tuple[Mapping[str, Any], ...]:
    """COCO RLE of each mask.

    Args:
        value: one mask (RLE, or rings of numbers, which are OR-ed), or a list of such.
        size: [height, width] of the image [px], for polygons.
        source: file, line and field, for messages.

    Raises:
        AnnotationError: a mask is malformed, lies outside the image, or is a polygon of an image of unknown size.
    """
    return tuple(_read_mask(part, size, source=source) for part in _single_masks(value))


def stated_size(values: Sequence[Any]) -> Any:
    """The size an RLE among these masks, or lists of masks, states; None where there is no RLE."""
    parts = [part for value in values if value for part in _single_masks(value)]
    return next((part.get("size") for part in parts if isinstance(part, Mapping)), None)


def _read_mask(value: Any, size: Any, *, source: str) -> Mapping[str, Any]:
    ref = segmentation_mask(value, source)
    stated = ref.data["size"] if ref.kind == "rle" else size
    if not isinstance(stated, list) or len(stated) != 2 or not all(type(side) is int and side > 0 for side in stated):
        raise AnnotationError(
            f"{source}: the size of the image must be [height, width] in pixels, found {shorten(stated)}; a polygon needs 'height' and "
            "'width' in its entry. Give them."
        )
    return encode_rle(decode_mask(ref, (stated[0], stated[1]), source=source))


def _single_masks(value: Any) -> list[Any]:
    """One mask (RLE, or rings of numbers), or a list of such, as a list of masks."""
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        return value
    if isinstance(value, list) and value and all(isinstance(item, list) and item and isinstance(item[0], list) for item in value):
        return value
    return [value]
