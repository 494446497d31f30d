"""Scale jitter: the ground seen with smaller or larger pixels."""

from dataclasses import dataclass

import numpy as np

from eocore.data.augmentation.drawing import check_probability, checked_range
from eocore.data.augmentation.record_words import PIXELS, BoxScale, check_box_scale, said, scale_of_coordinates
from eocore.data.augmentation.resampling import resample
from eocore.data.augmentation.unsafe_words import UnsafeWordsError, check_resize_words
from eocore.data.changes import kept_as_is, with_change
from eocore.data.io.readers import SceneHeader
from eocore.data.records import Record
from eocore.registry import TRANSFORMS
from eocore.sensors.grid_changes import GridResize
from eocore.sensors.scene import Scene, on_changed_grid

FACTORS = (0.1, 10.0)


@dataclass(frozen=True)
class ResizeScenes:
    """All images of a record resampled by one factor."""

    factor: float

    def header(self, header: SceneHeader) -> SceneHeader:
        """See `SceneChange`."""
        return header.changed(GridResize(self._size(header.size)))

    def scene(self, scene: Scene) -> Scene:
        """See `SceneChange`; the ground sampling distance changes with the pixels."""
        size = self._size(scene.size)
        return on_changed_grid(scene, resample(scene.pixels, size, unit=scene.unit), change=GridResize(size))

    def _size(self, size: tuple[int, int]) -> tuple[int, int]:
        return max(1, round(size[0] * self.factor)), max(1, round(size[1] * self.factor))


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class RandomScale:
    """Resamples all images of a record by one factor, masks with them; `gsd_m` changes accordingly.

    A record whose words count pixels stays as it is, and is counted.

    Args:
        factors: smallest and largest number of new pixels per old one along a side [1]; its logarithm is drawn evenly.
        probability: that the record is resampled.
        box_scale: as RandomOrientation; coordinates that are fractions stay true.

    Raises:
        ConfigError: a factor, probability or scale out of range.
    """

    factors: tuple[float, float] = (0.75, 1.33)
    probability: float = 1.0
    box_scale: float | str | None = None

    def __post_init__(self) -> None:
        self._range = np.log(checked_range("RandomScale: factors", self.factors, least=FACTORS[0], most=FACTORS[1]))
        check_probability("RandomScale", self.probability)
        check_box_scale("RandomScale", self.box_scale)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record, resampled or as it was."""
        is_drawn, factor = rng.random() < self.probability, float(np.exp(rng.uniform(*self._range)))
        if not is_drawn or not record.images:
            return record
        reason = self.unsafe_words(record)
        return kept_as_is(record, reason) if reason else with_change(record, record, change=ResizeScenes(factor))

    def unsafe_words(self, record: Record) -> str:
        """Why the record stays as it is; "" where it does not."""
        return find_pixel_words(record, name="RandomScale", box_scale=self.box_scale)


def find_pixel_words(record: Record, *, name: str, box_scale: BoxScale) -> str:
    """What a record says that other pixels would make wrong, beginning with `name`; "" where it says nothing of the kind."""
    texts = list(said(record))
    try:
        for text in texts:
            check_resize_words(text)
        if box_scale == PIXELS and scale_of_coordinates(record, texts, box_scale=1.0):
            raise UnsafeWordsError("coordinates in texts count pixels, which change")
        if box_scale is None:
            scale_of_coordinates(record, texts, box_scale=None)
    except UnsafeWordsError as error:
        return f"{name}: {error}"
    return ""
