"""Flips and quarter turns of a record: images, masks and words together."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from eocore.data.augmentation.drawing import check_probability
from eocore.data.augmentation.record_words import BoxScale, check_box_scale, turn_record_words
from eocore.data.augmentation.unsafe_words import UnsafeWordsError, is_mirrored
from eocore.data.changes import kept_as_is, with_change
from eocore.data.io.readers import SceneHeader
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.registry import TRANSFORMS
from eocore.sensors.grid_changes import GridTurn
from eocore.sensors.orientation import Turn
from eocore.sensors.scene import Scene, on_changed_grid

ALL_TURNS = tuple(Turn(*choice) for choice in product((False, True), repeat=3))


@dataclass(frozen=True)
class TurnScenes:
    """All images of a record turned alike."""

    turn: Turn

    def header(self, header: SceneHeader) -> SceneHeader:
        """See `SceneChange`."""
        return header.changed(GridTurn(self.turn))

    def scene(self, scene: Scene) -> Scene:
        """See `SceneChange`."""
        return on_changed_grid(scene, self.turn.apply(scene.pixels), change=GridTurn(self.turn))


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class RandomOrientation:
    """Flips and turns all images of a record by multiples of 90 degrees, with masks, regions, boxes and words.

    Words for directions (compass and sides of the image) are changed, as are coordinates in texts where `box_scale` says what they are.
    A record with words that cannot be changed safely stays as it is, and is counted. One of the allowed orientations other than the
    present one is drawn, all alike.

    Args:
        flips: left and right, top and bottom may be exchanged.
        rotations: quarter and half turns; with `flips`, all eight orientations.
        probability: that an orientation is drawn; by default so that all, with the present one, are equally frequent.
        box_scale: what coordinates written in texts are fractions of (1, 100, 1000), or "pixels"; None = a record with some stays.

    Raises:
        ConfigError: neither flips nor rotations, or a probability or scale out of range.
    """

    flips: bool = True
    rotations: bool = True
    probability: float | None = None
    box_scale: float | str | None = None

    def __post_init__(self) -> None:
        self.turns = [turn for turn in ALL_TURNS if turn and self._allows(turn)]
        if not self.turns:
            raise ConfigError("RandomOrientation: flips and rotations are both off, so there is nothing to draw. Leave the transform out.")
        if self.probability is not None:
            check_probability("RandomOrientation", self.probability)
        check_box_scale("RandomOrientation", self.box_scale)

    def _allows(self, turn: Turn) -> bool:
        if self.flips and self.rotations:
            return True
        return not turn.transpose if self.flips else self.rotations and not is_mirrored(turn)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record, turned or as it was."""
        chance = len(self.turns) / (len(self.turns) + 1) if self.probability is None else self.probability
        is_drawn, turn = rng.random() < chance, self.turns[int(rng.integers(len(self.turns)))]
        return turn_record(record, turn, box_scale=self.box_scale, name="RandomOrientation") if is_drawn and record.images else record

    def unsafe_words(self, record: Record) -> str:
        """Why the record would keep some orientations, whatever is drawn; "" where it would not."""
        for turn in self.turns:
            kept = turn_record(record, turn, box_scale=self.box_scale, name="RandomOrientation").augmentation.kept
            if kept:
                return kept[-1]
        return ""


def turn_record(record: Record, turn: Turn, *, box_scale: BoxScale, name: str) -> Record:
    """The record turned, or as it is where its words cannot be; the reason begins with `name`."""
    try:
        turned = turn_record_words(record, turn, box_scale=box_scale)
    except UnsafeWordsError as error:
        return kept_as_is(record, f"{name}: {error}")
    return with_change(record, turned, change=TurnScenes(turn))
