"""The page: header, panels as tabs, pictures beside them. `add_page` puts it on the server's app."""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from nicegui import app as nicegui_app
from nicegui import background_tasks, events, ui

from eocore.errors import EOError
from eocore.serve.app import Addition
from eocore.serve.page import chat, classify, evaluation, images, masks, search
from eocore.serve.page.messages import told
from eocore.serve.page.panels import PageContext, Panel
from eocore.serve.page.routes import BROWSER, base_map_routes, page_routes
from eocore.serve.page.tabs import LEFT_S, Tabs
from eocore.serve.page.viewing import ViewingPane
from eocore.serve.service import Service
from eocore.serve.views.base_maps import open_base_map

PANELS: tuple[Panel, ...] = (images.PANEL, chat.PANEL, masks.PANEL, search.PANEL, classify.PANEL, evaluation.PANEL)
"""In the order of the tabs."""
TITLE = "Earth observation models"
STYLES = tuple(Path(__file__).parent / name for name in ("page.css", "panels.css"))
COLOURS = {"primary": "#14532d", "secondary": "#334155", "accent": "#b45309", "negative": "#b91c1c", "info": "#1d4ed8"}
CONNECT_S = 30.0
"""Time for a browser to open its connection after it has the page [s]."""
ALIVE_S = 20.0
"""How often an open page says that its session is in use [s]."""
RECONNECT_S = 20.0
"""How long a page that has lost its connection may come back as it was [s]."""
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Of everything that is not the endpoint's: this server alone is asked. NiceGUI's page holds scripts in its own text, and runs handlers
that are text (docs/security.md)."""
PREVIOUS = "window.addEventListener('popstate', () => emitEvent('eo-previous', new URLSearchParams(location.search).get('panel')));"


def add_page(app: FastAPI, service: Service, *, panels: Sequence[Panel] = PANELS, left_s: float = LEFT_S) -> None:
    """Puts the page and its pictures on an app. One process can hold one page: the library keeps its pages in module state.

    Args:
        app: of the server, whose other routes are there already.
        service: started when the first page is opened.
        panels: of the page.
        left_s: how long the files of a tab are kept after it was left [s].
    """
    tabs = Tabs(service, left_s=left_s)
    nicegui_app.include_router(page_routes(tabs))  # behind the cookie that tells browsers apart
    if service.options.basemap is not None:
        nicegui_app.include_router(base_map_routes(open_base_map(service.options.basemap)))

    @ui.page("/", title=TITLE, response_timeout=CONNECT_S)
    async def page(request: Request, panel: str = "") -> None:
        browser = str(request.session.get(BROWSER, ""))
        client = ui.context.client
        await client.connected(timeout=CONNECT_S)
        try:
            tab = tabs.enter(browser, client.tab_id or secrets.token_hex(8))
        except EOError as error:
            ui.label(told(error, service)).classes("eo-full")
            return
        client.on_delete(lambda: tabs.leave(tab))
        Shell(PageContext(service=service, tab=tab), [each for each in panels if each.is_offered(service)], wanted=panel)
        ui.timer(ALIVE_S, lambda: tabs.touch(tab))

    async def sweep() -> None:
        while True:
            await asyncio.sleep(min(left_s, ALIVE_S))
            tabs.sweep()

    nicegui_app.on_startup(lambda: background_tasks.create(sweep(), name="sweep"))
    secret = secrets.token_hex(32)
    ui.run_with(app, title=TITLE, tailwind=False, storage_secret=secret, reconnect_timeout=RECONNECT_S, show_welcome_message=False)


PAGE = Addition(attach=add_page, policies={"/": POLICY})
"""As the server takes it."""


class Shell:
    """The elements of one page.

    Args:
        context: of the page.
        panels: that are offered.
        wanted: name of the panel that the address names; "" = the one that was open.
    """

    def __init__(self, context: PageContext, panels: Sequence[Panel], *, wanted: str) -> None:
        self._context, self._panels = context, {panel.name: panel for panel in panels}
        context.select = self._select
        desk = context.desk
        desk.panel = next(name for name in (wanted, desk.panel, *self._panels) if name in self._panels)
        _choose_model(context)
        ui.colors(**COLOURS)
        for style in STYLES:
            ui.add_css(style)
        ui.query(".nicegui-content").classes("eo-page")
        with ui.header().classes("eo-header"):
            self._build_header()
        with ui.element("div").classes("eo-main") as self._main:
            self._viewing = ViewingPane(context)
            self._build_panels()
        ui.on("eo-previous", self._previous)
        ui.run_javascript(PREVIOUS)
        self._arrange()

    def _build_header(self) -> None:
        context, desk = self._context, self._context.desk
        ui.label(TITLE).classes("eo-title").props("role=heading aria-level=1")
        with ui.tabs(on_change=lambda event: self._opened(str(event.value))) as self._tabs:
            for panel in self._panels.values():
                ui.tab(panel.name, panel.title, icon=panel.icon)
        self._tabs.set_value(desk.panel)
        self._tabs.props("inline-label no-caps dense outside-arrows mobile-arrows").classes("eo-tabs")
        names = {card.name: f"{card.name} ({card.system})" for card in context.service.models()}
        if names:
            menu = ui.select(names, value=desk.model, label="Model", on_change=self._set_model)
            menu.props("dense outlined dark options-dense").classes("eo-model-choice")

            def follow() -> None:
                menu.set_value(desk.model)

            context.on("model", call=follow)

    def _build_panels(self) -> None:
        with ui.tab_panels(self._tabs, value=self._context.desk.panel, animated=False).props("keep-alive").classes("eo-panels"):
            for panel in self._panels.values():
                with ui.tab_panel(panel.name).classes(f"eo-panel eo-panel-{panel.name}"):
                    panel.build(self._context)

    def _set_model(self, event: events.ValueChangeEventArguments) -> None:
        if self._context.desk.model != str(event.value):
            self._context.desk.model = str(event.value)
            self._context.changed("model")

    def _select(self, name: str) -> None:
        if name in self._panels:
            self._tabs.set_value(name)

    def _opened(self, name: str) -> None:
        """A tab was opened: the address says so, and the back button leads to the one before."""
        if name == self._context.desk.panel or name not in self._panels:
            return
        self._context.desk.panel = name
        ui.navigate.history.push(f"?panel={name}")
        self._arrange()

    def _previous(self, event: events.GenericEventArguments) -> None:
        name = event.args if isinstance(event.args, str) else next(iter(self._panels))
        if name in self._panels:
            self._context.desk.panel = name
            self._tabs.set_value(name)
            self._arrange()

    def _arrange(self) -> None:
        beside = self._panels[self._context.desk.panel].beside_viewer
        self._main.classes(add="eo-beside" if beside else "eo-wide", remove="eo-wide" if beside else "eo-beside")


def _choose_model(context: PageContext) -> None:
    """The first model, where none of the served ones was chosen."""
    names = [card.name for card in context.service.models()]
    if context.desk.model not in names:
        context.desk.model = names[0] if names else ""
