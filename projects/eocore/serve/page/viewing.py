"""The pictures beside the panels: which images, how they are drawn, what is laid over them, and the tools to draw a region."""

from collections.abc import Callable, Mapping
from typing import Any

from nicegui import ui

from eocore.serve.page.controls import icon_button
from eocore.serve.page.desk import DeskImage, Region
from eocore.serve.page.panels import PageContext
from eocore.serve.page.routes import overlay_address, tile_address
from eocore.serve.page.viewer import MODES, Viewer
from eocore.serve.views.facts import crs_name
from eocore.serve.views.stretches import STRETCHES

CHOICE = "dense outlined options-dense hide-bottom-space"
DRAWN = {"box": ("crop_free", "Draw a box to ask about"), "polygon": ("pentagon", "Draw an outline to ask about")}


class ViewingPane:
    """Toolbar and viewer; follows the desk.

    Args:
        context: of the page; its `viewer` is set.
    """

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._drawing = ""
        with ui.element("section").classes("eo-viewing").props('aria-label="Images"'):
            with ui.row().classes("eo-tools"):
                self._choices = ui.row().classes("eo-choices")
                self._build_tools()
            context.viewer = self._viewer = Viewer(self._take_drawn)
            self._empty = ui.label("No image yet: add one, or open an example.").classes("eo-empty")
        context.on("images", "view", call=self._show)
        context.on("masks", "looks", "view", call=self._show_masks)
        context.on("region", "images", call=self._show_region)
        self._show()
        self._show_masks()
        self._show_region()

    def _build_tools(self) -> None:
        desk = self._context.desk
        with ui.row().classes("eo-buttons"):
            self._modes = ui.toggle(MODES, value=desk.mode, on_change=lambda event: self._set_mode(event.value))
            self._modes.props("dense unelevated no-caps")
            self._draw_buttons = {kind: self._draw_button(kind) for kind in DRAWN}
            self._erase = icon_button("backspace", "Remove the region", on_click=self._remove_region)
            icon_button("zoom_in", "Zoom in", on_click=lambda: self._viewer.zoom(1))
            icon_button("zoom_out", "Zoom out", on_click=lambda: self._viewer.zoom(-1))
            icon_button("fit_screen", "Show the whole image", on_click=lambda: self._viewer.fit())

    def _draw_button(self, kind: str) -> ui.button:
        return icon_button(*DRAWN[kind], on_click=lambda: self._set_drawing("" if self._drawing == kind else kind))

    def _set_mode(self, mode: str) -> None:
        desk = self._context.desk
        desk.mode = mode
        if mode != "single" and (not desk.right or desk.right == desk.left):
            others = [key for key in desk.images if key != desk.left]
            desk.right = others[-1] if others else desk.left
        self._context.changed("view")

    def _show(self) -> None:
        desk = self._context.desk
        left, right = desk.images.get(desk.left), desk.images.get(desk.right)
        self._viewer.show(self._described(left), self._described(right) if desk.mode != "single" else None, mode=desk.mode)
        self._empty.set_visibility(left is None)
        self._viewer.set_visibility(left is not None)
        self._modes.set_value(desk.mode)
        self._modes.set_visibility(bool(desk.images))
        self._choices.clear()
        with self._choices:
            if left is not None:
                self._image_choice(left, "left")
            if right is not None and desk.mode != "single":
                self._image_choice(right, "right")

    def _image_choice(self, image: DeskImage, side: str) -> None:
        """The menus of one side: which image, which bands, which stretch."""
        desk = self._context.desk
        titles = {key: each.title for key, each in desk.images.items()}
        bands = {composite.name: composite.title for composite in image.raster.composites}

        def choose_image(key: str) -> None:
            setattr(desk, side, key)
            self._context.changed("images", "view")

        def draw(name: str, value: str) -> None:
            setattr(image, name, value)
            self._context.changed("view")

        of_side = "" if desk.mode == "single" else f", {side}"
        with ui.row().classes("eo-side"):
            _menu(titles, image.key, choose=choose_image, label=f"Image{of_side}").classes("eo-image-choice")
            _menu(bands, image.composite, choose=lambda value: draw("composite", value), label=f"Bands{of_side}").classes("eo-bands")
            if image.raster.header.unit != "uint8":
                menu = _menu(dict(STRETCHES), image.stretch, choose=lambda value: draw("stretch", value), label=f"Stretch{of_side}")
                menu.classes("eo-stretch")

    def _described(self, image: DeskImage | None) -> Mapping[str, Any] | None:
        """As the viewer takes it."""
        if image is None:
            return None
        height, width = image.size
        address = tile_address(self._context.tab, image.key, composite=image.composite, stretch=image.stretch)
        found: dict[str, Any] = {"key": image.key, "title": image.title, "address": address, "levels": image.raster.top_level}
        found |= {"width": width, "height": height}
        georeference = image.raster.georeference
        if georeference is not None:
            found |= {"affine": list(georeference.transform), "crs": crs_name(image.raster) if georeference.crs else ""}
        if image.raster.gsd_m == image.raster.gsd_m:
            found["metresPerPixel"] = image.raster.gsd_m
        return found

    def _show_masks(self) -> None:
        overlays = [
            {
                "key": layer.key,
                "image": layer.image,
                "address": overlay_address(self._context.tab, layer.key),
                "title": layer.name,
                "window": list(layer.window),
                "opacity": layer.opacity,
                "visible": layer.is_visible,
            }
            for layer in self._context.desk.layers.values()
        ]
        self._viewer.show_overlays(overlays)

    def _show_region(self) -> None:
        region = self._context.desk.region
        self._viewer.show_region(None if region is None else {"image": region.image, "points": [list(point) for point in region.points]})
        self._erase.set_enabled(region is not None)
        for button in self._draw_buttons.values():
            button.set_enabled(bool(self._context.desk.images))

    def _set_drawing(self, kind: str) -> None:
        self._drawing = kind
        self._viewer.draw(kind)
        for name, button in self._draw_buttons.items():
            button.props(f"color={'accent' if name == kind else 'primary'} aria-pressed={'true' if name == kind else 'false'}")

    def _take_drawn(self, drawn: Mapping[str, Any] | None) -> None:
        self._set_drawing("")
        if drawn is None:
            return
        region = region_of(drawn)
        if region is None or region.image not in self._context.desk.images:
            return
        self._context.desk.region = region
        self._context.changed("region")
        self._context.select("chat")

    def _remove_region(self) -> None:
        self._context.desk.region = None
        self._context.changed("region")


def region_of(drawn: Mapping[str, Any]) -> Region | None:
    """What a browser says was drawn; None where it is none: a browser may send anything."""
    try:
        points = tuple((float(x), float(y)) for x, y in drawn["points"])
        kind, image = str(drawn["kind"]), str(drawn["image"])
    except (KeyError, TypeError, ValueError):
        return None
    finite = all(abs(number) < 1e7 for point in points for number in point)
    return Region(kind, image, points) if kind in DRAWN and 3 <= len(points) <= 2000 and finite else None


def _menu(options: dict[str, str], value: str, *, choose: Callable[[str], None], label: str) -> ui.select:
    return ui.select(options, value=value, on_change=lambda event: choose(str(event.value)), label=label).props(CHOICE)
