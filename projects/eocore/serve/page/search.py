"""The panel of search: by words, by the images on the desk, on the map; results as a grid and as outlines that belong together."""

import asyncio
from weakref import WeakKeyDictionary

from nicegui import ui

from eocore.errors import EOError
from eocore.search.filters import SENSOR_JOINT
from eocore.serve.indexes import Indexes, ServedIndex, files_of_item
from eocore.serve.page.controls import icon_button
from eocore.serve.page.panels import PageContext, Panel
from eocore.serve.page.routes import BASE_MAP
from eocore.serve.page.search_map import Points, SearchMap
from eocore.serve.page.search_results import Actions, ResultGrid
from eocore.serve.page.search_state import COUNTS, box_problem, state_of
from eocore.serve.service import Service
from eocore.serve.views.footprint_maps import Density, density, outlines

GENERATES = "generates"
"""Protocol of models that answer."""
FIELD = "dense outlined hide-bottom-space"
_indexes: WeakKeyDictionary[Service, Indexes] = WeakKeyDictionary()
_densities: WeakKeyDictionary[ServedIndex, Density | None] = WeakKeyDictionary()


def indexes_of(service: Service) -> Indexes:
    """Those of a server, opened once for all its pages."""
    return _indexes.setdefault(service, Indexes(service))


class SearchPanel:
    """Builds the panel where it is made.

    Args:
        context: of the page.
    """

    def __init__(self, context: PageContext) -> None:
        self._context, self._state = context, state_of(context.desk)
        self._indexes = indexes_of(context.service)
        self._served: ServedIndex | None = None
        if self._state.index not in self._indexes.names:
            self._state.index = self._indexes.names[0]
        with ui.element("div").classes("eo-search"):
            with ui.column().classes("eo-search-form").props('role=search aria-label="Search"'):
                self._build_form()
            with ui.column().classes("eo-search-found"):
                self._told = ui.label("Opening the index …").classes("eo-hint-text").props("role=status aria-live=polite")
                self._grid = ResultGrid(Actions(choose=self._choose, like=self._like, unlike=self._unlike, chat=self._chat))
            with ui.column().classes("eo-search-place"):
                self._build_map()
        ui.timer(0.05, self._open, once=True)

    def _build_form(self) -> None:
        state = self._state
        if len(self._indexes.names) > 1:
            menu = ui.select(self._indexes.names, value=state.index, label="Index", on_change=self._change_index)
            menu.props(FIELD).classes("eo-full-width")
        words = ui.input("What to look for", placeholder="snow on mountains").props(f"{FIELD} clearable").classes("eo-full-width")
        words.bind_value(state, "text", forward=lambda value: value or "").on("keydown.enter", self._search)
        ui.checkbox("The opened images that the model sees, too").bind_value(state, "uses_images").props("dense")
        self._likings = ui.row().classes("eo-likings")
        self._sensors = ui.select([], label="Sensors", multiple=True, clearable=True).props(f"{FIELD} use-chips").classes("eo-full-width")
        self._sensors.bind_value(state, "sensors", forward=lambda value: list(value or []))
        with ui.row().classes("eo-pair"):
            for name, label in (("since", "From"), ("until", "To")):
                field = ui.input(label, placeholder="2024-05-31").props(FIELD)
                field.bind_value(state, name, forward=lambda value: value or "").on("keydown.enter", self._search)
        with ui.row().classes("eo-pair"):
            ui.number("Most clouds [%]", min=0, max=100).props(f"{FIELD} clearable").bind_value(state, "max_cloud")
            ui.select(list(COUNTS), value=state.count, label="Results").props(FIELD).bind_value(state, "count")
        self._box = ui.input(
            "West, south, east, north", placeholder="11.3, 48, 11.8, 48.3", on_change=self._type_box, validation=box_problem
        )
        self._box.props(f"{FIELD} clearable debounce=600").classes("eo-full-width")
        with ui.row().classes("eo-pair"):
            self._button = ui.button("Search", icon="search", on_click=self._search).props("no-caps unelevated")
            ui.button("Clear the form", on_click=self._clear).props("no-caps flat")
        self._problem = ui.label().classes("eo-hint-text")
        self._show_likings()
        self._show_box()

    def _build_map(self) -> None:
        with ui.row().classes("eo-map-tools"):
            icon_button("crop_free", "Draw a box to search in", on_click=lambda: self._map.draw("box"))
            icon_button("pentagon", "Draw an outline to search in", on_click=lambda: self._map.draw("polygon"))
            icon_button("backspace", "Search everywhere", on_click=lambda: self._set_area([]))
            has_base_map = self._context.service.options.basemap is not None
            ui.label("Where the items lie" if has_base_map else "Where the items lie; no base map").classes("eo-hint-text")
        self._map = SearchMap(self._choose, self._drawn, base_map=BASE_MAP if has_base_map else "")
        self._map.show_area(self._state.area)

    async def _open(self) -> None:
        """Opens the index, and shows what was found before the page was loaded anew."""
        state = self._state
        self._served = None
        self._button.disable()
        try:
            self._served = served = await self._indexes.get(state.index)
            if served not in _densities:
                _densities[served] = await asyncio.to_thread(density, served.index.items.geometry.to_numpy())
        except EOError as error:
            self._told.set_text("The index cannot be opened.")
            self._context.show_error(error)
            return
        sensors = sorted({name for text in served.index.items["sensor"].unique() for name in text.split(SENSOR_JOINT) if name})
        state.sensors = [name for name in state.sensors if name in sensors]
        self._sensors.set_options(sensors, value=state.sensors)
        self._problem.set_text(served.problem)
        self._button.enable()
        self._map.show_density(_densities[served])
        self._told.set_text(f"{served.index.facts.num_items:,} items. Look for words, for images, or draw on the map.")
        if state.found is not None:
            self._show_found()

    async def _change_index(self, event: object) -> None:
        state = self._state
        state.index, state.found, state.chosen = str(getattr(event, "value", "")), None, ""
        state.like.clear()
        state.unlike.clear()
        self._show_likings()
        self._map.show_outlines([])
        await self._open()

    async def _search(self) -> None:
        state, desk = self._state, self._context.desk
        if self._served is None:
            ui.notify("The index is still being opened.", type="info")
            return
        self._button.props("loading")
        try:
            wanted = state.wanted({role: image.file for role, image in desk.shown().items()})
            state.found = await self._indexes.find(state.index, wanted)
        except EOError as error:
            self._context.show_error(error)
            return
        finally:
            self._button.props(remove="loading")
        state.chosen = ""
        self._show_found()

    def _show_found(self) -> None:
        found, served = self._state.found, self._served
        if found is None or served is None:
            return
        self._told.set_text(f"{len(found.hits):,} of {found.num_items:,} items, in {found.seconds:.2f} s")
        self._grid.show(served, found.hits, chosen=self._state.chosen)
        items = served.index.items
        shown = [
            {"key": str(items["key"].iloc[hit.row]), "title": f"{hit.rank}  {items['key'].iloc[hit.row]}", "rings": rings}
            for hit in found.hits
            if (rings := outlines(items.geometry.iloc[hit.row]))
        ]
        self._map.show_outlines(shown)
        self._map.choose(self._state.chosen)

    def _choose(self, key: str) -> None:
        self._state.chosen = key
        self._grid.choose(key)
        self._map.choose(key)

    async def _like(self, key: str) -> None:
        self._mark(key, into=self._state.like, out_of=self._state.unlike)
        await self._search()

    async def _unlike(self, key: str) -> None:
        self._mark(key, into=self._state.unlike, out_of=self._state.like)
        if self._state.text.strip() or self._state.like or self._state.uses_images:
            await self._search()

    def _mark(self, key: str, *, into: list[str], out_of: list[str]) -> None:
        if key not in into:
            into.append(key)
        if key in out_of:
            out_of.remove(key)
        self._show_likings()

    def _show_likings(self) -> None:
        """A chip for each item that results shall be like or unlike; it is removed by pressing it."""
        self._likings.clear()
        with self._likings:
            for keys, word in ((self._state.like, "like"), (self._state.unlike, "not like")):
                for key in keys:
                    ui.chip(f"{word} {key}", removable=True, on_value_change=lambda _, key=key, keys=keys: self._forget(key, keys)).props(
                        "dense outline"
                    )

    def _forget(self, key: str, keys: list[str]) -> None:
        if key in keys:
            keys.remove(key)
        self._show_likings()

    async def _chat(self, key: str) -> None:
        served = self._served
        if served is None:
            return
        try:
            rows = served.index.items["key"]
            files = files_of_item(served.index, int(rows[rows == key].index[0]))
        except EOError as error:
            self._context.show_error(error)
            return
        self._choose_talker()
        await self._context.put_on_desk(files, title=key)

    def _choose_talker(self) -> None:
        """A model that answers, where the chosen one does not: often it is the one that made the vectors."""
        chosen = self._context.model
        talkers = [card.name for card in self._context.service.models() if GENERATES in card.protocols]
        if talkers and (chosen is None or chosen.name not in talkers):
            self._context.desk.model = talkers[0]
            self._context.changed("model")

    def _drawn(self, corners: Points | None) -> None:
        self._map.draw("")
        if corners is not None:
            self._set_area(corners)

    def _set_area(self, corners: Points) -> None:
        self._state.area = corners
        self._map.show_area(corners)
        self._show_box()

    def _show_box(self) -> None:
        self._box.set_value(self._state.box_text())

    def _type_box(self, event: object) -> None:
        text = str(getattr(event, "value", "") or "")
        if text.strip() == self._state.box_text():
            return
        if box_problem(text) is None:
            self._state.set_box(text)
            self._map.show_area(self._state.area)

    def _clear(self) -> None:
        state = self._state
        state.text, state.uses_images, state.since, state.until, state.max_cloud = "", False, "", "", None
        state.like.clear()
        state.unlike.clear()
        self._sensors.set_value([])
        self._show_likings()
        self._set_area([])


def _build(context: PageContext) -> None:
    SearchPanel(context)


PANEL = Panel(name="search", title="Search", icon="travel_explore", build=_build, is_offered=lambda service: bool(service.options.indexes))
