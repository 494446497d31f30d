"""Masks as annotations give them (polygon, RLE, box, file) <-> (H, W) bool.

Annotations are untrusted, and everything is checked before it is drawn: on far coordinates pycocotools ends the process, and for a wrong
RLE it returns memory it never wrote. So it sees checked polygons alone, and RLE is unpacked here.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from eocore.data.io.image_files import open_layers, resolve_path
from eocore.data.io.readers import SceneHeader, read_class_numbers
from eocore.data.records import MaskRef
from eocore.errors import AnnotationError, DataError
from eocore.sensors.scene import Scene

FAR_FACTOR = 4
"""Coordinates beyond this many image sizes are an error of the annotation, not an object that leaves the image."""

MAX_OUTLINE_PX = 2_000_000
"""Longest outline drawn [px]: pycocotools walks it in fifths of a pixel, some 80 bytes of memory a pixel."""

MAX_MASK_PX = 128_000_000
"""Largest mask drawn [px]: an annotation can state any size, and images above `readers.MAX_BYTES` are refused anyway."""

MIN_RING_NUMBERS = 6
SHOWN_VALUES = 8
IGNORED = 255
"""Number of 8-bit class maps for pixels that nobody labelled, beside others. Source: PASCAL VOC, Cityscapes and sets that follow them."""

RLE_BYTES = (48, 111)
"""First and last byte of a packed COCO RLE: 48 + six bits, of which the sixth says that more follows. Source: COCO API, maskApi.c."""

RLE_MAX_BYTES_PER_RUN = 7
"""Five bits a byte: enough for any run of 32 bits."""


def decode_mask(ref: MaskRef, size: tuple[int, int], *, source: str, root: Path | None = None) -> np.ndarray:
    """The mask on the pixel grid of its image.

    A box covers the pixels whose centres it encloses, a polygon those that pycocotools fills. A shape too small to cover any is the one
    pixel its middle lies in, so that no object vanishes. What leaves the image is left out.

    Args:
        ref: from the annotation.
        size: (height, width) of the image [px].
        source: "file:line" or "file#entry" of the annotation, for messages; what the mask itself says comes first.
        root: folder that the path of a mask file is relative to and must not leave.

    Returns:
        (H, W) bool. All False only where an RLE or a file says so.

    Raises:
        AnnotationError: the annotation breaks its format, or its shape lies outside the image.
        DataError: a mask file is missing, broken, or of another size than the image.
    """
    source = ref.source or source
    if min(size) < 1 or size[0] * size[1] > MAX_MASK_PX:
        raise AnnotationError(f"{source}: a mask of {size[0]} x {size[1]} px; expected 1 to {MAX_MASK_PX:,} px. Correct height and width.")
    if ref.kind == "polygon":
        return _decode_polygon(ref.data, size, source=source)
    if ref.kind == "rle":
        return _decode_rle(ref.data, size, source=source)
    if ref.kind == "box":
        return _decode_box(ref.data, size, source=source)
    if ref.kind == "file":
        return _decode_file(ref.data, size, source=source, root=root)
    raise AnnotationError(f"{source}: unknown kind of mask {ref.kind!r}. Choices: polygon, rle, box, file.")


def decode_scene_mask(ref: MaskRef, scene: Scene | SceneHeader, *, source: str) -> np.ndarray:
    """The mask on the pixel grid of a scene, turned with it: annotations count the pixels of the file as they are stored. What was done to
    the grid after reading is done to the mask too.

    Args:
        ref: from the annotation.
        scene: its image, or the header of it.
        source: as `decode_mask`.

    Raises:
        AnnotationError, DataError: as `decode_mask`.
    """
    mask = _decode_as_read(ref, scene, source=source)
    for change in scene.grid_changes:
        mask = change.mask(mask)
    return mask


def _decode_as_read(ref: MaskRef, scene: Scene | SceneHeader, *, source: str) -> np.ndarray:
    size = scene.size_as_read or scene.size
    if not scene.turn or (ref.kind == "file" and _is_georeferenced(ref.data)):
        return decode_mask(ref, size, source=source)  # a georeferenced mask was turned when it was read
    return np.ascontiguousarray(scene.turn.apply(decode_mask(ref, scene.turn.size(size), source=source)))


def _is_georeferenced(data: Any) -> bool:
    if not isinstance(data, Mapping) or not isinstance(data.get("path"), str):
        return False
    file = open_layers(resolve_path(data["path"]), indexed=True)
    file.close()
    return file.grid is not None and bool(file.grid.crs)


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """COCO RLE {"size": [h, w], "counts": str} of a mask (H, W), bool or 0 / 1.

    Raises:
        DataError: the mask is not two-dimensional, or holds other values.
    """
    if mask.ndim != 2 or (mask.dtype != bool and not np.isin(mask, (0, 1)).all()):
        raise DataError(f"cannot encode a {mask.shape} {mask.dtype} array as a mask; expected (height, width) of True and False.")
    packed = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode("ascii")}


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: the (H, W) mask at `size`, each pixel that of the nearest centre. Objects finer than the new pixels can vanish."""
    height, width = size
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)).astype(bool)


def mask_to_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """(x0, y0, x1, y1) [px] around the True pixels of a mask (H, W), far edge exclusive; None for an empty mask."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1


def _decode_polygon(rings: Any, size: tuple[int, int], *, source: str) -> np.ndarray:
    if not _is_list(rings) or not rings or not all(_is_list(ring) for ring in rings):
        raise AnnotationError(
            f"{source}: polygon {str(rings)[:80]}; expected a list of rings [[x0, y0, x1, y1, ...], ...]. Correct the line."
        )
    checked = [_check_ring(ring, size, where=f"{source}: polygon ring {number}") for number, ring in enumerate(rings)]
    outline = sum(np.abs(points - np.roll(points, 1, axis=0)).max(1).sum() for points in checked)
    if outline > MAX_OUTLINE_PX:
        raise AnnotationError(
            f"{source}: polygon outline of {outline:,.0f} px, at most {MAX_OUTLINE_PX:,} are drawn. Simplify it or use RLE."
        )
    _check_scale([float(value) for points in checked for value in points.ravel()], size, where=f"{source}: polygon")
    height, width = size
    packed = coco.frPyObjects([points.ravel().tolist() for points in checked], height, width)
    mask = coco.decode(coco.merge(packed)).astype(bool)
    points = np.concatenate(checked)
    return _never_empty(mask, (*points.min(0), *points.max(0)), source=source)


def _check_ring(ring: Sequence[Any], size: tuple[int, int], *, where: str) -> np.ndarray:
    """(P, 2) points x, y [px]."""
    if len(ring) < MIN_RING_NUMBERS or len(ring) % 2:
        raise AnnotationError(f"{where} has {len(ring)} numbers; expected x, y of 3 points or more. Correct the line, or use a box.")
    _check_coordinates(ring, size, where=where)
    return np.array([float(value) for value in ring]).reshape(-1, 2)


def _check_coordinates(values: Sequence[Any], size: tuple[int, int], *, where: str) -> None:
    limit = FAR_FACTOR * max(size)
    for value in values:
        if not _is_number(value) or not abs(value) <= limit:  # written so that NaN fails too
            raise AnnotationError(
                f"{where}: coordinate {repr(value)[:40]}; expected pixels of the {size[0]} x {size[1]} image, at most {limit} px off. "
                "Correct the line, or the size that the annotation states."
            )


def _check_scale(values: Sequence[float], size: tuple[int, int], *, where: str) -> None:
    """Raise AnnotationError if no coordinate of a shape lies beyond 1: fractions of the image, taken for pixels, would be one corner
    pixel."""
    if min(values) >= 0 and max(values) <= 1 < max(size):
        raise AnnotationError(
            f"{where}: no coordinate beyond 1 in an image of {size[0]} x {size[1]} px; they look like fractions of its sides, and as "
            "pixels would mark its corner alone. Multiply x by the width and y by the height."
        )


def _decode_box(box: Any, size: tuple[int, int], *, source: str) -> np.ndarray:
    if not _is_list(box) or len(box) != 4:
        raise AnnotationError(f"{source}: box {str(box)[:80]}; expected [x0, y0, x1, y1] in pixels. Correct the line.")
    _check_coordinates(box, size, where=f"{source}: box")
    _check_scale([float(edge) for edge in box], size, where=f"{source}: box {list(box)}")
    x0, y0, x1, y1 = map(float, box)
    if x1 <= x0 or y1 <= y0:
        raise AnnotationError(
            f"{source}: box {list(box)} is inverted or empty; expected x0 < x1 and y0 < y1. "
            "Swap the corners, or convert them from x, y, width, height."
        )
    height, width = size
    centres_y, centres_x = np.arange(height) + 0.5, np.arange(width) + 0.5
    mask = np.outer((centres_y >= y0) & (centres_y < y1), (centres_x >= x0) & (centres_x < x1))
    return _never_empty(mask, (x0, y0, x1, y1), source=source)


def _never_empty(mask: np.ndarray, bounds: tuple[float, ...], *, source: str) -> np.ndarray:
    """`mask`, or where it is empty, the pixel in the middle of the shape's bounds (x0, y0, x1, y1)."""
    if mask.any():
        return mask
    col, row = math.floor((bounds[0] + bounds[2]) / 2), math.floor((bounds[1] + bounds[3]) / 2)
    height, width = mask.shape
    if not (0 <= row < height and 0 <= col < width):
        edges = ", ".join(f"{edge:g}" for edge in bounds)
        raise AnnotationError(
            f"{source}: the shape with bounds ({edges}) px lies outside the {height} x {width} image; there would be nothing to point at. "
            "Correct the coordinates, or leave the mask out."
        )
    mask[row, col] = True
    return mask


def _decode_rle(rle: Any, size: tuple[int, int], *, source: str) -> np.ndarray:
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= set(rle):
        raise AnnotationError(f"{source}: RLE {str(rle)[:80]}; expected {{'size': [height, width], 'counts': ...}}. Correct the line.")
    if not _is_list(rle["size"]) or list(rle["size"]) != list(size):
        raise AnnotationError(
            f"{source}: RLE of size {rle['size']} (height, width), but the image is {list(size)}; the mask would lie elsewhere. "
            "Name the image the mask was drawn on, or resize the mask."
        )
    counts = rle["counts"]
    runs = _unpack_runs(counts, source) if isinstance(counts, str | bytes) else _check_runs(counts, source)
    height, width = size
    total = sum(runs)
    if total != height * width:
        raise AnnotationError(
            f"{source}: RLE runs sum to {total:,} px, but {height} x {width} px are {height * width:,}; it is cut short or damaged. "
            "Encode the mask again."
        )
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _check_runs(counts: Any, source: str) -> list[int]:
    if not _is_list(counts) or not all(_is_number(run) and run >= 0 and run % 1 == 0 for run in counts):
        raise AnnotationError(
            f"{source}: RLE counts {str(counts)[:80]}; expected runs of 0 px or more, or a packed string. Encode it again."
        )
    return [int(run) for run in counts]


def _unpack_runs(counts: str | bytes, source: str) -> list[int]:
    """Runs of a packed COCO RLE: signed numbers of five-bit groups, low group first; from the fourth on, differences to two runs before."""
    codes = np.frombuffer(counts.encode("utf-8") if isinstance(counts, str) else counts, np.uint8).astype(np.int64)
    groups = codes - RLE_BYTES[0]
    last = np.flatnonzero(groups & 0x20 == 0)  # groups that end a number
    lengths = np.diff(last, prepend=-1)
    in_range = not codes.size or (codes.min() >= RLE_BYTES[0] and codes.max() <= RLE_BYTES[1])
    if not in_range or (codes.size and (not last.size or last[-1] != codes.size - 1)) or (lengths > RLE_MAX_BYTES_PER_RUN).any():
        raise AnnotationError(f"{source}: RLE counts {counts[:40]!r} are no packed COCO runs; cut short or damaged. Encode the mask again.")
    if not codes.size:
        return []
    first = last - lengths + 1
    index = np.arange(codes.size) - np.repeat(first, lengths)
    numbers = np.add.reduceat((groups & 0x1F) << (5 * index), first)
    numbers -= np.where(groups[last] & 0x10, 1 << (5 * lengths), 0)
    for start in (1, 2):
        numbers[start::2] = np.cumsum(numbers[start::2])
    if (numbers < 0).any():
        raise AnnotationError(f"{source}: RLE counts {counts[:40]!r} give a run of {numbers.min()} px; damaged. Encode the mask again.")
    return [int(run) for run in numbers]


def _decode_file(data: Any, size: tuple[int, int], *, source: str, root: Path | None) -> np.ndarray:
    if not isinstance(data, Mapping) or not isinstance(data.get("path"), str):
        raise AnnotationError(
            f"{source}: mask file {str(data)[:80]}; expected {{'path': ..., 'value': class number or None}}. Correct the line."
        )
    value = data.get("value")
    if value is not None and not _is_number(value):
        raise AnnotationError(f"{source}: mask file value {str(value)[:40]}; expected a class number or nothing. Correct the line.")
    classes, valid = read_class_numbers(data["path"], root=root)
    if classes.shape != tuple(size):
        raise DataError(
            f"{source}: mask {data['path']} is {classes.shape[0]} x {classes.shape[1]} px, but its image is {size[0]} x {size[1]} px; "
            "they would not lie on each other. Name the mask of this image, or resize one to the other."
        )
    if value is None:
        marked = classes > 0 if valid is None else (classes > 0) & valid
        _check_not_ambiguous(classes[marked], source=f"{source}: mask {data['path']}")
        return marked
    mask: np.ndarray = classes == value
    if not mask.any():
        raise AnnotationError(
            f"{source}: mask {data['path']} has no pixel of value {value}; it holds {_describe_values(classes)}. An empty mask would be "
            "learned. Correct the value, or leave it out where every pixel above 0 counts."
        )
    return mask


def _check_not_ambiguous(classes: np.ndarray, *, source: str) -> None:
    """Raise AnnotationError if 255 stands beside other numbers above 0 where no value says which of them is the object."""
    if classes.dtype == np.uint8 and (classes == IGNORED).any() and (classes != IGNORED).any():
        raise AnnotationError(
            f"{source} holds {_describe_values(classes)}: {IGNORED} beside other numbers stands for pixels to ignore, or the edges of a "
            "mask were blurred when it was resized. Name the `value` of the object, or write 0 and 1, and nodata for what is unknown."
        )


def _describe_values(classes: np.ndarray) -> str:
    """The most frequent numbers of a class map with their pixels."""
    values, counts = np.unique(classes, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:SHOWN_VALUES]
    shown = ", ".join(f"{values[index]} ({counts[index]:,} px)" for index in order)
    return shown + (f" and {values.size - SHOWN_VALUES} more" if values.size > SHOWN_VALUES else "")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
