"""Boxes that the texts of records give in numbers, as shapes that can be drawn; their scale is told by all of them, as scoring tells it."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from eocore.data.dataset import RecordDataset
from eocore.data.io.readers import image_size
from eocore.data.records import MaskRef, Record
from eocore.errors import EOError
from eocore.evaluate.metrics.boxes import Box
from eocore.evaluate.scoring.parsing.box_scales import SizedBoxes, tell_annotation
from eocore.evaluate.scoring.parsing.boxes import parse_boxes
from eocore.evaluate.scoring.parsing.reading_options import PIXELS
from eocore.evaluate.scoring.scorers.box_reader import DEFAULT_SCALE
from eocore.evaluate.tasks import BOX_TASKS

MOST_RECORDS = 200
"""Whose boxes tell the scale of a dataset; of each an image's header is read."""

_BRACKETED = re.compile(r"[\[{<(]\s*[\"'<\[{(]?[\w\"']*\W{0,4}\d")
"""Numbers in brackets: elsewhere four numbers in a row are a box only where boxes are asked for."""


def written_boxes(record: Record) -> list[tuple[str, list[Box]]]:
    """(role, boxes) of each turn that gives boxes."""
    found: list[tuple[str, list[Box]]] = []
    for turn in record.turns:
        if record.task in BOX_TASKS or _BRACKETED.search(turn.text):
            boxes = [box for box in parse_boxes(turn.text) if box.area > 0]
            if boxes:
                found.append((turn.role, boxes))
    return found


def tell_scale(dataset: RecordDataset) -> float:
    """What the far edge of an image is called in the texts of a dataset, `PIXELS` for pixels; told by the range of their boxes."""
    found = list(_sized(dataset))
    known = [sample for sample in found if sample.size is not None]  # an image that is missing is told elsewhere
    return tell_annotation(known or found, default=DEFAULT_SCALE).scale


def box_shape(box: Box, size: tuple[int, int], *, scale: float) -> MaskRef | None:
    """The box in the pixels of an image of `size` (height, width) [px]; None where it covers none of it."""
    height, width = size
    factor = np.array([width, height]) / scale if scale != PIXELS else np.ones(2)
    ring = (box.corners() * factor).clip(0, [width, height])
    if min(np.ptp(ring[:, 0]), np.ptp(ring[:, 1])) <= 0 or ring.max() <= 1:
        return None
    return MaskRef("polygon", [ring.flatten().tolist()])


def _sized(dataset: RecordDataset) -> Iterator[SizedBoxes]:
    count = 0
    for record in dataset.records:
        boxes = [box for _, found in written_boxes(record) for box in found]
        if boxes and count < MOST_RECORDS:
            count += 1
            yield SizedBoxes(boxes, _size_of(record, dataset))


def _size_of(record: Record, dataset: RecordDataset) -> tuple[int, int] | None:
    """(height, width) [px] of the first image, None where it cannot be read."""
    if not record.images:
        return None
    try:
        return image_size(record.images[0], root=dataset.image_root(record.images[0]))
    except EOError:
        return None


def describe_scale(scale: float, boxes: Sequence[Box]) -> str:
    """One line on how the boxes of a record were read."""
    name = "in pixels" if scale == PIXELS else f"on a scale of 0 to {scale:g}"
    return f"{len(boxes)} {'box' if len(boxes) == 1 else 'boxes'}, read {name} (told by the range of all in the data set)"
