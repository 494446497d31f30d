"""The grid of results: pictures, ranks, scores, what is known of each item, and what may be done with it."""

import asyncio
import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nicegui import background_tasks, ui

from eocore.errors import EOError
from eocore.log import get_logger
from eocore.search.documents import row_fields
from eocore.search.query import Hit
from eocore.serve.indexes import ServedIndex, files_of_item
from eocore.serve.page.controls import icon_button
from eocore.serve.views.chips import chip_png

READERS = 2
"""Pictures that are drawn at once."""
LONGEST_NAME = 60


@dataclass(frozen=True, kw_only=True)
class Actions:
    """What a card calls, each with the key of its item.

    Attributes:
        choose: it was pressed.
        like, unlike: more like it, less like it.
        chat: a conversation about it is wanted.
    """

    choose: Callable[[str], None]
    like: Callable[[str], Any]
    unlike: Callable[[str], Any]
    chat: Callable[[str], Any]


class ResultGrid:
    """Builds the grid where it is made.

    Args:
        actions: of its cards.
    """

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._cards: dict[str, ui.card] = {}
        self._drawing: asyncio.Task[None] | None = None
        self._box = ui.element("div").classes("eo-results").props('role=list aria-label="Results"')

    def show(self, served: ServedIndex, hits: list[Hit], *, chosen: str) -> None:
        """Shows the results in place of earlier ones; their pictures come one after the other.

        Args:
            served: the index.
            hits: of it.
            chosen: key of the one that is marked.
        """
        if self._drawing is not None:
            self._drawing.cancel()
        self._box.clear()
        self._cards = {}
        pictures: list[tuple[int, ui.element]] = []
        with self._box:
            for hit in hits:
                pictures.append((hit.row, self._card(hit, row_fields(served.index.items.iloc[hit.row]))))
        self.choose(chosen)
        self._drawing = background_tasks.create(_draw(served, pictures), name="pictures of results")

    def choose(self, key: str) -> None:
        """Marks one card, and none besides, and brings it into view."""
        for name, card in self._cards.items():
            if name == key:
                card.classes(add="eo-chosen")
                card.props('aria-current="true"')
            else:
                card.classes(remove="eo-chosen")
                card.props(remove="aria-current")
        if key in self._cards:
            ui.run_javascript(f"document.getElementById('c{self._cards[key].id}')?.scrollIntoView({{block: 'nearest'}})")

    def _card(self, hit: Hit, known: dict[str, Any]) -> ui.element:
        key = str(known["key"])
        card = ui.card().classes("eo-result").props("role=listitem tabindex=0")
        card.on("click", lambda: self._actions.choose(key))
        card.on("keydown.enter", lambda: self._actions.choose(key))
        self._cards[key] = card
        with card:
            picture = ui.element("div").classes("eo-result-picture")
            with ui.row().classes("eo-result-head"):
                ui.label(f"{hit.rank}").classes("eo-rank")
                if not math.isnan(hit.score):
                    _titled(ui.label(f"{hit.score:.3f}").classes("eo-score"), "Cosine with what was looked for")
            _titled(ui.label(_short(key)).classes("eo-result-name"), key)
            if known.get("caption"):
                ui.label(str(known["caption"])).classes("eo-result-caption")
            facts = [str(known[name]) for name in ("time", "sensor") if known.get(name)]
            if "cloud_cover" in known:
                facts.append(f"{known['cloud_cover']:.0f} % clouds")
            ui.label(" · ".join(facts)).classes("eo-hint-text")
            with ui.row().classes("eo-result-buttons"):
                icon_button("thumb_up_off_alt", "More like this", on_click=lambda: self._actions.like(key))
                icon_button("thumb_down_off_alt", "Less like this", on_click=lambda: self._actions.unlike(key))
                icon_button("forum", "Chat about it", on_click=lambda: self._actions.chat(key))
        return picture


async def _draw(served: ServedIndex, pictures: list[tuple[int, ui.element]]) -> None:
    """Puts a picture into each box; a box whose picture cannot be drawn says so."""
    limit = asyncio.Semaphore(READERS)

    async def draw(row: int, box: ui.element) -> None:
        async with limit:
            try:
                content = await asyncio.to_thread(_picture, served, row)
            except EOError as error:
                get_logger().info("no picture of an item: %s", error)
                content = b""
        if box.is_deleted:
            return
        with box:
            if content:
                ui.image(f"data:image/png;base64,{base64.b64encode(content).decode()}").props('alt="" no-spinner no-transition fit=cover')
            else:
                ui.label("no picture").classes("eo-hint-text")

    await asyncio.gather(*(draw(row, box) for row, box in pictures))


def _picture(served: ServedIndex, row: int) -> bytes:
    return chip_png(files_of_item(served.index, row))


def _titled(element: ui.element, title: str) -> None:
    """Says a title to those who point at an element. By the browser itself: a tooltip of the library for each would be slow."""
    element.props["title"] = title


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"
