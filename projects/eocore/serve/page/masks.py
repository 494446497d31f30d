"""The panel of masks: legend, opacity, area, and the files to take away."""

import numpy as np
from nicegui import ui

from eocore.serve.page.controls import icon_button
from eocore.serve.page.desk import MaskLayer, Round
from eocore.serve.page.panels import PageContext, Panel
from eocore.serve.page.routes import download_address, endings
from eocore.serve.views.mask_results import describe_area

PERCENT = 100


class MasksPanel:
    """Builds the panel where it is made.

    Args:
        context: of the page.
    """

    def __init__(self, context: PageContext) -> None:
        self._context = context
        ui.label("Masks").classes("eo-heading")
        self._all = ui.row().classes("eo-mask-tools")
        self._list = ui.column().classes("eo-mask-list")
        context.on("masks", call=self._show)
        self._show()

    def _show(self) -> None:
        desk = self._context.desk
        self._all.clear()
        self._list.clear()
        if not desk.layers:
            with self._list:
                ui.label("No masks yet. Ask for one in the chat: “Please segment the water in this image.”").classes("eo-hint-text")
            return
        with self._all:
            ui.button("Show all", icon="layers", on_click=lambda: self._set_all(True)).props("flat dense no-caps size=sm")
            ui.button("Hide all", icon="layers_clear", on_click=lambda: self._set_all(False)).props("flat dense no-caps size=sm")
            ui.label("Opacity").classes("eo-hint-text")
            first = next(iter(desk.layers.values()))
            slider = ui.slider(min=0, max=PERCENT, value=round(first.opacity * PERCENT))
            slider.classes("eo-opacity").props('aria-label="Opacity of all masks"')
            slider.on_value_change(lambda event: self._set_opacity(event.value))
        with self._list:
            for each in desk.rounds:
                layers = [desk.layers[key] for key in each.masks if key in desk.layers]
                if layers:
                    self._group(each, layers)

    def _group(self, made: Round, layers: list[MaskLayer]) -> None:
        """The masks of one answer."""
        ui.label(made.question).classes("eo-group-title")
        for layer in layers:
            self._row(layer)
        if len(layers) > 1:
            with ui.row().classes("eo-downloads"):
                ui.label("All of this answer:").classes("eo-hint-text")
                self._links(made.key, layers[0], label=f"all masks of {made.question}")

    def _row(self, layer: MaskLayer) -> None:
        image = self._context.desk.images.get(layer.image)
        with ui.card().classes("eo-mask-card"):
            with ui.row().classes("eo-mask-row"):
                ui.element("span").classes("eo-swatch").style(f"background: {layer.colour}")
                switch = ui.switch(value=layer.is_visible, on_change=lambda: self._context.changed("looks")).props("dense")
                switch.bind_value(layer, "is_visible")
                switch.props["aria-label"] = f"Show {layer.name}"
                with ui.column().classes("eo-image-texts"):
                    ui.label(layer.name).classes("eo-image-title")
                    pixels, area = int(layer.mask.sum()), describe_area(layer.area_m2)
                    share = f"{pixels:,} px, {pixels / layer.mask.size:.1%} of what the model saw"
                    ui.label(f"{area} · {share}" if area else f"{share} · no area: the image is not georeferenced").classes("eo-hint-text")
                    if image is not None:
                        ui.label(f"on {image.title}").classes("eo-hint-text")
                icon_button("center_focus_strong", f"Zoom to mask {layer.number}", on_click=lambda: self._focus(layer))
            with ui.row().classes("eo-downloads"):
                self._links(layer.key, layer, label=f"mask {layer.number}")

    def _links(self, key: str, layer: MaskLayer, *, label: str) -> None:
        for ending, title in endings(layer).items():
            link = ui.link(title, download_address(self._context.tab, key, ending=ending)).classes("eo-download").props("download")
            link.props["aria-label"] = f"Download {label} as {title}"

    def _set_all(self, visible: bool) -> None:
        for layer in self._context.desk.layers.values():
            layer.is_visible = visible
        self._context.changed("looks")

    def _set_opacity(self, percent: float) -> None:
        for layer in self._context.desk.layers.values():
            layer.opacity = min(max(percent / PERCENT, 0.0), 1.0)
        self._context.changed("looks")

    def _focus(self, layer: MaskLayer) -> None:
        rows, columns = np.flatnonzero(layer.mask.any(axis=1)), np.flatnonzero(layer.mask.any(axis=0))
        if not len(rows) or self._context.viewer is None:
            return
        left, top = layer.window[:2]
        width, height = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        self._context.viewer.focus_on(layer.image, (left + int(columns[0]), top + int(rows[0]), width, height))


def _build(context: PageContext) -> None:
    MasksPanel(context)


PANEL = Panel(name="masks", title="Masks", icon="layers", build=_build, beside_viewer=True)
