"""Bands and sensors left out, so that a model learns to do without."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from eocore.data.augmentation.drawing import check_probability, draw_seed, scene_stream
from eocore.data.augmentation.record_words import said
from eocore.data.augmentation.resampling import DISPLAY_UNIT
from eocore.data.changes import kept_as_is, with_change
from eocore.data.io.readers import SceneHeader
from eocore.data.records import Record, with_roles
from eocore.errors import ConfigError
from eocore.registry import TRANSFORMS
from eocore.sensors.scene import Scene

STATES_ITS_SIZE = ("rle", "file")
"""Kinds of masks that are refused on an image of another size than theirs."""
_NAMES = {
    "sar": r"sar|radar|backscatter|sentinel-?1",
    "multispectral": r"optical|multi-?spectral|infrared|bands?|sentinel-?2",
    "rgb": r"optical|rgb|colou?rs?",
}
_BY_NUMBER = r"first|second|third|both|two|left|right"


@dataclass(frozen=True)
class DropBands:
    """Some bands of each measured image are without data.

    Attributes:
        seed: of the choice.
        fraction: of the bands that may be left out [1].
        keep: bands that stay.
    """

    seed: int
    fraction: float
    keep: tuple[str, ...]

    def header(self, header: SceneHeader) -> SceneHeader:
        """See `SceneChange`."""
        return header

    def scene(self, scene: Scene) -> Scene:
        """See `SceneChange`; one band at least stays, and a picture made for display keeps all."""
        pool = [position for position, band in enumerate(scene.bands) if band not in self.keep]
        most = min(int(self.fraction * len(scene.bands)), len(pool), len(scene.bands) - 1)
        if scene.unit == DISPLAY_UNIT or most < 1:
            return scene
        rng = scene_stream(self.seed, scene)
        dropped = rng.permutation(pool)[: int(rng.integers(1, most + 1))]
        pixels = scene.pixels.copy()
        pixels[dropped] = np.nan
        return replace(scene, pixels=pixels)


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class BandDropout:
    """Leaves bands out of measured images: they hold no data, and a model sees what it sees of a sensor that is not there.

    Args:
        fraction: most of the bands of an image that are left out [1]; at least one is where this gives one, and one stays.
        keep: names of bands that always stay.
        probability: that bands of a record's images are left out.

    Raises:
        ConfigError: a fraction or probability out of range.
    """

    fraction: float = 0.34
    keep: Sequence[str] = ()
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_probability("BandDropout", self.probability)
        check_probability("BandDropout", self.fraction, name="fraction")

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record, its images to be changed or as they were."""
        is_drawn, seed = rng.random() < self.probability, draw_seed(rng)
        change = DropBands(seed, self.fraction, tuple(self.keep))
        return with_change(record, record, change=change) if is_drawn and record.images else record


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class SensorDropout:
    """Leaves out the images of a role, each role by chance of its own; one role always stays.

    A record whose words speak of the role (or count the images) keeps it, and is counted. Masks lie on the pixels of the first image: where
    a record has polygons or boxes, its first image stays unless `one_grid` says that all have the same pixels.

    Args:
        probability: role -> chance that its images are left out.
        one_grid: all images of a record have pixels of one size and extent.

    Raises:
        ConfigError: no role, or a probability out of range.
    """

    probability: Mapping[str, float] = field(default_factory=dict)
    one_grid: bool = False

    def __post_init__(self) -> None:
        if not self.probability:
            raise ConfigError("SensorDropout: probability names no role, so nothing is ever left out. Give {'sar': 0.2}, for example.")
        for role, chance in self.probability.items():
            check_probability("SensorDropout", chance, name=f"probability of '{role}'")

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles it names."""
        return tuple(self.probability)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with the images that stay."""
        drawn = [role for role, chance in self.probability.items() if rng.random() < chance]
        last = int(rng.integers(2**31))
        reasons = {role: self._kept_for(role, record) for role in drawn if role in record.roles}
        gone = [role for role, reason in reasons.items() if not reason]
        if gone and set(gone) >= set(record.roles):
            gone.remove(gone[last % len(gone)])
        for reason in filter(None, reasons.values()):
            record = kept_as_is(record, reason)
        if not gone:
            return record
        kept = with_roles(record, [role for role in record.roles if role not in gone])
        return replace(kept, augmentation=replace(kept.augmentation, before=kept.augmentation.before or record))

    def _kept_for(self, role: str, record: Record) -> str:
        """Why the role stays; "" where it need not."""
        words = re.compile(rf"\b(?:{_NAMES.get(role, re.escape(role))}|(?:{_BY_NUMBER}) images?)\b", re.IGNORECASE)
        found = next((match for text in said(record) if (match := words.search(text))), None)
        if found:
            return f"SensorDropout: '{found[0]}' speaks of the images of '{role}'"
        is_first = record.images[0].role == role
        drawn = [*record.masks, *record.regions, *(item.mask for item in record.expressions if item.mask)]
        if is_first and not self.one_grid and any(mask.kind not in STATES_ITS_SIZE for mask in drawn):
            return "SensorDropout: masks count the pixels of the first image, and one_grid does not say that the others have the same"
        return ""

    def unsafe_words(self, record: Record) -> str:
        """Why the record keeps some role, whatever is drawn; "" where it would not."""
        return next((reason for role in self.probability if role in record.roles and (reason := self._kept_for(role, record))), "")
