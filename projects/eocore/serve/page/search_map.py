"""The map of the search panel: a grid of degrees, and where the server has one its base map, so that nothing is fetched from elsewhere.

NiceGUI's own map element asks a foreign server for its tiles, and draws in Web Mercator; this one is a component over the same library
(Leaflet, which comes with NiceGUI), in `search_map.js`.
"""

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any

from nicegui.element import Element

from eocore.serve.page.viewer import LEAFLET
from eocore.serve.views.footprint_maps import Density

MOST_CORNERS = 2000
Points = list[list[float]]
"""[latitude, longitude] each."""


class SearchMap(Element, component="search_map.js"):
    """Shows what it is told.

    Args:
        on_picked: is called with the key of an outline that was clicked.
        on_drawn: is called with the corners of an area that was drawn, or None where drawing was given up.
        base_map: template of the addresses of its tiles, with {z}, {x} and {y}; "" = none.
    """

    def __init__(self, on_picked: Callable[[str], None], on_drawn: Callable[[Points | None], None], *, base_map: str = "") -> None:
        super().__init__()
        self.add_resource(LEAFLET)
        self._props |= {"outlines": [], "area": [], "chosen": "", "drawing": "", "baseMap": base_map}
        self.on("picked", lambda event: on_picked(str(event.args)))
        self.on("drawn", lambda event: on_drawn(corners_of(event.args)))

    def show_density(self, found: Density | None) -> None:
        """Shows where all items lie."""
        picture = f"data:image/png;base64,{base64.b64encode(found.png).decode()}" if found else ""
        self._set("density", {"picture": picture, "bounds": list(found.bounds)} if found else None)

    def show_outlines(self, outlines: Sequence[dict[str, Any]]) -> None:
        """Shows the outlines of results: `key`, `title`, `rings` of [latitude, longitude]."""
        self._set("outlines", list(outlines))

    def choose(self, key: str) -> None:
        """Brings one outline to the fore."""
        self._set("chosen", key)

    def show_area(self, corners: Points) -> None:
        """Shows an area; empty = none."""
        self._set("area", corners)

    def draw(self, kind: str) -> None:
        """Lets the user draw a "box" or "polygon"; "" ends it."""
        self._set("drawing", kind)

    def _set(self, name: str, value: Any) -> None:
        self._props[name] = value
        self.update()


def corners_of(args: Any) -> Points | None:
    """What a browser says was drawn; None where it is none: a browser may send anything."""
    try:
        corners = [[float(latitude), float(longitude)] for latitude, longitude in args]
    except (TypeError, ValueError):
        return None
    inside = all(math.isfinite(y) and math.isfinite(x) and abs(y) <= 90 and abs(x) <= 180 for y, x in corners)
    return corners if 3 <= len(corners) <= MOST_CORNERS and inside else None
