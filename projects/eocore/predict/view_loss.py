"""What is lost where a model reads a scene at fewer pixels than it has."""

import math

from eocore.sensors.bands import get_sensor
from eocore.sensors.scene import Scene

NOTABLE = 2.0
"""Pixels of the scene that fall into one of the model, along an edge, from which on it is said: objects of a pixel or two are gone."""


def describe_loss(scene: Scene, view: tuple[int, int]) -> str:
    """What cannot be seen any more, in one line; "" where the scene is not much larger than what the model reads.

    Args:
        scene: as read.
        view: (height, width) [px] at which the model reads it.
    """
    factor = max(have / shown for have, shown in zip(scene.size, view, strict=True))
    if factor < NOTABLE:
        return ""
    sizes = f"{scene.size[0]} x {scene.size[1]} px, read at {view[0]} x {view[1]} px"
    remedy = "Ask about parts of it (--window ROW,COL,HEIGHT,WIDTH) to see them."
    if not math.isfinite(scene.gsd_m):
        return f"the {scene.role or scene.sensor} image has {sizes}: {factor:.1f} of its pixels along an edge become one. {remedy}"
    own = [band.gsd_m for band in get_sensor(scene.sensor).bands if band.name in scene.bands and math.isfinite(band.gsd_m)]
    sensor = f", where {scene.sensor} measures {min(own):g} m" if own else ""
    covers = f"a pixel of the model covers {scene.gsd_m * factor:.3g} m instead of the file's {scene.gsd_m:.3g} m{sensor}"
    gone = f"what is smaller than about {2 * scene.gsd_m * factor:,.0f} m cannot be seen"
    return f"the {scene.role or scene.sensor} image has {sizes}: {covers}; {gone}. {remedy}"
