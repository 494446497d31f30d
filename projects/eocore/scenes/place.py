"""Where a scene lies."""

from typing import NamedTuple

from eocore.sensors.scene import Georeference


class Place(NamedTuple):
    """The pixel grid of a scene.

    Attributes:
        height, width: [px].
        georeference: where it lies.
    """

    height: int
    width: int
    georeference: Georeference

    def __str__(self) -> str:
        a, _, left, _, _, top = self.georeference.transform
        return f"{self.height} x {self.width} px of {a:g} from {left:g}, {top:g}"
