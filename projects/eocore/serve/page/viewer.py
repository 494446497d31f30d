"""The picture viewer of the page: one or two images that pan and zoom together, masks over them, a region that is drawn.

NiceGUI's own map element draws maps of the earth, so the viewer is a component of its own over the same map library (Leaflet, which comes
with NiceGUI), in `viewer.js`; it fetches from this server alone.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nicegui.element import Element
from nicegui.elements import leaflet as leaflet_package
from nicegui.events import GenericEventArguments

LEAFLET = Path(leaflet_package.__file__).parent / "dist"
"""Style sheet and pictures of the map library, as NiceGUI ships them; importing the package makes its script known to pages."""
MODES = {"single": "One image", "side": "Side by side", "swipe": "Swipe"}


class Viewer(Element, component="viewer.js"):
    """Shows what it is told; everything is a plain dictionary, as `viewer.js` takes it.

    Args:
        on_drawn: is called with a drawn region (`kind`, `image`, `points` [px]), or None where drawing was given up.
    """

    def __init__(self, on_drawn: Callable[[Mapping[str, Any] | None], None]) -> None:
        super().__init__()
        self.add_resource(LEAFLET)
        self._props["mode"] = "single"
        self._props["overlays"] = []
        self.on("drawn", lambda event: on_drawn(_drawn(event)))

    def show(self, left: Mapping[str, Any] | None, right: Mapping[str, Any] | None, *, mode: str) -> None:
        """Shows one image or two.

        Args:
            left, right: `key`, `title`, `address` of tiles ({z}, {x}, {y}), `width`, `height` [px], `levels`, and where known `affine`,
                `crs`, `metresPerPixel`.
            mode: of MODES; two images are shown where both are given.
        """
        self._props["left"], self._props["right"], self._props["mode"] = left, right, mode
        self.update()

    def show_overlays(self, overlays: Sequence[Mapping[str, Any]]) -> None:
        """Lays pictures over images: `key`, `image`, `address`, `title`, `window` [left, top, width, height px], `opacity`, `visible`."""
        self._props["overlays"] = list(overlays)
        self.update()

    def show_region(self, region: Mapping[str, Any] | None) -> None:
        """Outlines a region: `image`, `points` [px]."""
        self._props["region"] = region
        self.update()

    def draw(self, kind: str) -> None:
        """Lets the user draw a "box" or "polygon"; "" ends it."""
        self._props["drawing"] = kind
        self.update()

    def fit(self) -> None:
        """Shows images whole."""
        self.run_method("fit_all")

    def zoom(self, steps: float) -> None:
        """Nearer by `steps` powers of two."""
        self.run_method("zoom_by", steps)

    def focus_on(self, image: str, window: Sequence[int]) -> None:
        """Moves to a part [left, top, width, height px] of an image."""
        self.run_method("focus_window", image, list(window))


def _drawn(event: GenericEventArguments) -> Mapping[str, Any] | None:
    return event.args if isinstance(event.args, dict) else None
