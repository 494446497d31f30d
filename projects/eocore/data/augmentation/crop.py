"""Crops of a record: images, masks and words together, as long as what is said stays true."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from eocore.data.augmentation.crop_words import Cut, Statement, check_statement, crop_words, statements_of
from eocore.data.augmentation.drawing import check_probability, checked_range
from eocore.data.augmentation.record_words import PIXELS, check_box_scale, headers_of, said, scale_of_coordinates, with_words
from eocore.data.augmentation.unsafe_words import UnsafeWordsError
from eocore.data.changes import kept_as_is, with_change
from eocore.data.io.masks import decode_scene_mask
from eocore.data.io.readers import SceneHeader
from eocore.data.records import Expression, MaskRef, Record
from eocore.registry import TRANSFORMS
from eocore.sensors.grid_changes import GridCut
from eocore.sensors.scene import Scene, on_changed_grid

TRIES = 10
LEAST_CELLS = 4
"""Fewer common pixel edges than this along a side leave nothing to draw."""


@dataclass(frozen=True)
class CutScenes:
    """The same part of all images of a record: (row, col, height, width) in `cells`, (rows, columns) that every image divides into."""

    window: tuple[int, int, int, int]
    cells: tuple[int, int]

    def window_of(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The part in pixels of an image of (height, width)."""
        high, wide = size[0] // self.cells[0], size[1] // self.cells[1]
        row, col, height, width = self.window
        return row * high, col * wide, height * high, width * wide

    def header(self, header: SceneHeader) -> SceneHeader:
        """See `SceneChange`."""
        return header.changed(GridCut(self.window_of(header.size)))

    def scene(self, scene: Scene) -> Scene:
        """See `SceneChange`."""
        change = GridCut(self.window_of(scene.size))
        row, col, height, width = change.window
        return on_changed_grid(scene, scene.pixels[:, row : row + height, col : col + width], change=change)


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class RandomCrop:
    """Cuts the same part out of all images of a record, where everything that is said stays true.

    That can be told of what is said of masks and regions: enough of each must be inside; one that is "the largest" must be inside whole;
    one "in the north" must lie in the north of the crop, whose middle has not moved to the south. The `place` of an expression is left
    out where it would be wrong. What is said of the whole image (counts, presence, captions) may become wrong by any crop, so such a
    record stays as it is, and is counted. Headers of images are read, and files of masks.

    Args:
        side: smallest and largest side of the crop [sides of the image].
        least_visible: fraction of the pixels of each mask that must be inside [1].
        whole_image_stays_true: what is said of the whole image stays true in a crop, as the name of a scene's class may.
        box_scale: as RandomOrientation; coordinates that leave the crop prevent it.
        probability: that a crop is drawn.

    Raises:
        ConfigError: a number out of range.
    """

    side: tuple[float, float] = (0.7, 1.0)
    least_visible: float = 0.8
    whole_image_stays_true: bool = False
    box_scale: float | str | None = None
    probability: float = 1.0

    def __post_init__(self) -> None:
        self._side = checked_range("RandomCrop: side", self.side, least=0.05, most=1.0)
        check_probability("RandomCrop", self.least_visible, name="least_visible")
        check_probability("RandomCrop", self.probability)
        check_box_scale("RandomCrop", self.box_scale)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record, cropped or as it was. Raises DataError where a header or a mask cannot be read."""
        is_drawn, own = rng.random() < self.probability, np.random.default_rng(int(rng.integers(2**63)))
        if not is_drawn or not record.images:
            return record
        reason = self.unsafe_words(record)
        if reason:
            return kept_as_is(record, reason)
        headers = headers_of(record)
        cells = math.gcd(*(header.height for header in headers)), math.gcd(*(header.width for header in headers))
        if min(cells) < LEAST_CELLS:
            return kept_as_is(record, "RandomCrop: the images have no common pixel edges to cut along")
        masks = [decode_scene_mask(ref, headers[0], source=record.source) for ref in _masks_of(record)]
        for window in _windows(cells, own, side=self._side):
            change = CutScenes(window, cells)
            cut = Cut(change.window_of(headers[0].size), headers[0].size, masks, self.least_visible)
            try:
                return with_change(record, self._cropped(record, cut), change=change)
            except UnsafeWordsError as error:
                reason = str(error)
        return kept_as_is(record, f"RandomCrop: {reason}")

    def _cropped(self, record: Record, cut: Cut) -> Record:
        for statement in self._statements(record):
            check_statement(statement, cut)
        texts = list(said(record))
        scale = scale_of_coordinates(record, texts, box_scale=self.box_scale)
        if scale is not None and self.box_scale == PIXELS:
            raise UnsafeWordsError("coordinates in texts count pixels of the whole image")
        cropped = with_words(record, lambda text: crop_words(text, cut, scale=scale))
        numbers = iter(range(len(record.regions) + len(record.masks), len(cut.masks)))
        placed = [_placed(item, cut, number=next(numbers) if item.mask else 0) for item in cropped.expressions]
        return replace(cropped, expressions=tuple(placed))

    def _statements(self, record: Record) -> list[Statement]:
        return [item for item in statements_of(record) if item.masks or not self.whole_image_stays_true]

    def unsafe_words(self, record: Record) -> str:
        """Why the record stays as it is, wherever it is cut; "" where that depends on the crop."""
        whole = next((item.text.strip() for item in self._statements(record) if not item.masks), "")
        return f"RandomCrop: '{whole[:40]}' is said of the whole image" if whole else ""


def _masks_of(record: Record) -> list[MaskRef]:
    return [*record.regions, *record.masks, *(item.mask for item in record.expressions if item.mask is not None)]


def _placed(expression: Expression, cut: Cut, *, number: int) -> Expression:
    """The expression, without a place that is not true of the crop."""
    if not expression.place or expression.mask is None:
        return expression
    try:
        check_statement(Statement(expression.place, (number,)), cut)
    except UnsafeWordsError:
        return replace(expression, place="")
    return expression


def _windows(cells: tuple[int, int], rng: np.random.Generator, *, side: tuple[float, float]) -> Iterator[tuple[int, int, int, int]]:
    for _ in range(TRIES):
        part = rng.uniform(*side)
        height, width = (max(1, round(part * count)) for count in cells)
        yield int(rng.integers(cells[0] - height + 1)), int(rng.integers(cells[1] - width + 1)), height, width
