"""The panel of classes: which of typed names fits the images best, and where in them."""

import asyncio
import base64
import re

import numpy as np
from nicegui import ui

from eocore.errors import ConfigError, EOError
from eocore.serve.page.desk import DeskImage
from eocore.serve.page.panels import PageContext, Panel
from eocore.serve.requests import ModelCard
from eocore.serve.views.similarity import LONGER_SIDE_PX, similarity_png

EXAMPLES = "water, forest, bare soil, buildings"
EMBEDS, SCORES, SCORES_PIXELS = "embeds", "scores", "scores_pixels"
"""Protocols of `eocore.evaluate.protocols`, as a model's card names them."""


class ClassifyPanel:
    """Builds the panel where it is made.

    Args:
        context: of the page.
    """

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._scores: dict[str, float] = {}
        ui.label("Which of these fits?").classes("eo-heading")
        self._names = ui.textarea("Classes, with commas or on lines of their own", value=EXAMPLES).props("dense outlined autogrow")
        self._names.classes("eo-full-width")
        with ui.row().classes("eo-pair"):
            self._button = ui.button("Classify", icon="leaderboard", on_click=self._classify).props("no-caps unelevated")
            self._model = ui.label().classes("eo-hint-text")
        self._about = ui.label().classes("eo-hint-text").props("role=status aria-live=polite")
        self._bars = ui.element("div").classes("eo-bars").props('role=list aria-label="Scores"')
        self._map = ui.column().classes("eo-similarity")
        context.on("model", "images", call=self._show_model)
        self._show_model()

    @property
    def _card(self) -> ModelCard | None:
        """The chosen model where it scores classes, else the first that does."""
        chosen = self._context.model
        return next((card for card in ([chosen] if chosen else []) + self._context.service.models() if scores_classes(card)), None)

    def _show_model(self) -> None:
        card = self._card
        first = next(iter(self._context.desk.shown().values()), None)
        self._model.set_text(f"by {card.name}" if card else "no served model scores classes")
        self._button.set_enabled(card is not None)
        if first is None:
            self._about.set_text("Add an image, or open an example, first.")
        elif not self._scores:
            self._about.set_text(f"About {first.title}.")

    async def _classify(self) -> None:
        card, images = self._card, self._context.desk.shown()
        if card is None:
            return
        self._button.props("loading")
        try:
            names = class_names(str(self._names.value or ""))
            if not images:
                raise ConfigError("no image is shown to the model. Add one under Images.")
            files = {role: image.file for role, image in images.items()}
            self._scores = await self._context.service.class_scores(card.name, files, classes=names)
        except EOError as error:
            self._context.show_error(error)
            return
        finally:
            self._button.props(remove="loading")
        first = next(iter(images.values()))
        kind = "cosine of image and class" if EMBEDS in card.protocols else "score"
        self._about.set_text(f"{first.title}: {kind}, the highest first.")
        self._map.clear()
        self._show_bars(card)

    def _show_bars(self, card: ModelCard) -> None:
        self._bars.clear()
        low, high = min(0.0, *self._scores.values()), max(0.0, *self._scores.values())
        length = (high - low) or 1.0
        with self._bars:
            for name, score in sorted(self._scores.items(), key=lambda pair: -pair[1]):
                with ui.element("div").classes("eo-bar-row").props("role=listitem"):
                    ui.label(name).classes("eo-bar-name")
                    with ui.element("div").classes("eo-bar"):
                        start, end = (100 * (value - low) / length for value in sorted((0.0, score)))
                        ui.element("div").classes("eo-bar-fill").style(f"margin-left: {start:.1f}%; width: {end - start:.1f}%")
                    ui.label(f"{score:.3f}").classes("eo-bar-value")
                    if SCORES_PIXELS in card.protocols:
                        where = ui.button("Where", on_click=lambda name=name: self._show_where(name)).props("flat dense no-caps size=sm")
                        where.props["aria-label"] = f"Where {name} is"

    async def _show_where(self, name: str) -> None:
        card, images = self._card, self._context.desk.shown()
        if card is None or not images:
            return
        first = next(iter(images.values()))
        self._map.clear()
        with self._map:
            ui.spinner()
        try:
            files = {role: image.file for role, image in images.items()}
            (scores,) = await self._context.service.pixel_scores(card.name, files, texts=[name])
            picture, low, high = await asyncio.to_thread(_similarity, scores, first)
        except EOError as error:
            self._map.clear()
            self._context.show_error(error)
            return
        self._map.clear()
        with self._map:
            ui.label(f"How well “{name}” fits, in {first.title}").classes("eo-subheading")
            address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
            picture_of = ui.image(address).props("no-spinner no-transition").classes("eo-similarity-picture")
            picture_of.props["alt"] = f"Similarity of each place with {name}"
            with ui.row().classes("eo-scale"):
                ui.label(f"{low:.3f}")
                ui.element("div").classes("eo-scale-bar")
                ui.label(f"{high:.3f}")


def scores_classes(card: ModelCard) -> bool:
    """Whether a model can say which class fits."""
    return SCORES in card.protocols or EMBEDS in card.protocols


def class_names(text: str) -> list[str]:
    """The names in a text, parted by commas and line ends.

    Raises:
        ConfigError: fewer than two, or one twice.
    """
    names = [name.strip() for name in re.split(r"[,\n]", text) if name.strip()]
    if len(names) < 2:
        raise ConfigError("two classes or more are needed to choose among. Type them with commas between.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"'{twice[0]}' is named twice. Name each class once.")
    return names


def _similarity(scores: np.ndarray, image: DeskImage) -> tuple[bytes, float, float]:
    return similarity_png(scores, image.raster.thumbnail(image.composite, image.stretch, side=LONGER_SIDE_PX))


def _build(context: PageContext) -> None:
    ClassifyPanel(context)


PANEL = Panel(
    name="classify",
    title="Classify",
    icon="leaderboard",
    build=_build,
    beside_viewer=True,
    is_offered=lambda service: any(scores_classes(card) for card in service.models()),
)
