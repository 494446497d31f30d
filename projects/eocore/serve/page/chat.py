"""The panel of the conversation: questions, streamed answers whose masks are linked, options of generation."""

import asyncio

from nicegui import background_tasks, ui

from eocore.errors import EOError
from eocore.serve.page.conversation import answer, begin_round, can_point
from eocore.serve.page.desk import DeskImage, MaskLayer, Region, Round
from eocore.serve.page.generation_form import build_generation_form
from eocore.serve.page.panels import PageContext, Panel

TICK_S = 0.1
MOST_SUGGESTIONS = 6
REGION_USES = {"point": "Point it out in the whole image", "cut": "Cut it out: the model sees nothing else"}


class ChatPanel:
    """Builds the panel where it is made.

    Args:
        context: of the page.
    """

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._drawn: tuple[object, ...] = ()
        self._told_masks: tuple[str, ...] = ()
        with ui.column().classes("eo-chat"):
            self._scroll = ui.scroll_area().classes("eo-rounds")
            with self._scroll:
                self._rounds = ui.column().classes("eo-round-list").props('role=log aria-live=polite aria-label="Conversation"')
            with ui.column().classes("eo-ask"):
                self._suggestions = ui.row().classes("eo-suggestions")
                self._region = ui.row().classes("eo-region-row")
                self._build_input()
        self._boxes: dict[str, ui.column] = {}
        self._chips: dict[str, ui.button] = {}
        context.on("looks", call=self._show_looks)
        context.on("images", "rounds", call=self._show_suggestions)
        context.on("images", "region", "model", call=self._show_region)
        context.on("rounds", call=self._show_rounds)
        self._show_suggestions()
        self._show_region()
        self._show_rounds()
        ui.timer(TICK_S, self._tick)

    def _build_input(self) -> None:
        with ui.row().classes("eo-input-row"):
            self._input = ui.textarea(placeholder="Ask about the images …").props('autogrow outlined dense aria-label="Question"')
            self._input.classes("eo-question")
            # Enter sends, with Shift it begins a line
            self._input.on("keydown.enter", self._ask, js_handler="(e) => { if (!e.shiftKey) { e.preventDefault(); emit(); } }")
            self._send = ui.button(icon="send", on_click=self._ask).props('round unelevated aria-label="Send"').tooltip("Send (Enter)")
            self._stop = ui.button(icon="stop", on_click=self._cancel, color="negative").props('round unelevated aria-label="Stop"')
            self._stop.tooltip("Stop the answer")
        with ui.row().classes("eo-below-input"):
            anew = ui.button("Ask without what was said", icon="add_comment", on_click=self._begin_anew).props("flat dense no-caps size=sm")
            anew.tooltip("The model sees nothing of earlier questions and answers from the next question on; they stay in view")
            clear = ui.button("Delete answers and masks", icon="delete_sweep", on_click=self._clear).props("flat dense no-caps size=sm")
            clear.tooltip("Images stay")
        with ui.expansion("Options", icon="tune").props("dense dense-toggle").classes("eo-options"):
            build_generation_form(self._context.desk.settings, longest=self._context.service.options.limits.new_tokens)

    @property
    def _max_pixels(self) -> float:
        return self._context.service.options.limits.megapixels * 1e6

    @property
    def _running(self) -> Round | None:
        rounds = self._context.desk.rounds
        return rounds[-1] if rounds and rounds[-1].state == "running" else None

    async def _ask(self) -> None:
        context, desk = self._context, self._context.desk
        if self._running is not None:
            return
        card = context.model
        if card is None:
            ui.notify("No model is served.", type="warning")
            return
        try:
            made, request = begin_round(desk, card, question=str(self._input.value or ""), max_pixels=self._max_pixels)
        except EOError as error:
            ui.notify(str(error), type="warning")
            return
        self._input.set_value("")
        desk.task = background_tasks.create(answer(context.service, desk, made=made, request=request), name="answer")
        context.changed("rounds")

    def _cancel(self) -> None:
        task = self._context.desk.task
        if isinstance(task, asyncio.Task):
            task.cancel()

    def _begin_anew(self) -> None:
        self._context.desk.begins_anew = True
        ui.notify("The next question is asked without what was said before.", type="info")

    def _clear(self) -> None:
        self._cancel()
        desk = self._context.desk
        desk.rounds.clear()
        desk.layers.clear()
        self._context.changed("rounds", "masks")

    def _tick(self) -> None:
        """Draws what has come since the last time."""
        desk = self._context.desk
        running = self._running
        self._send.set_visibility(running is None)
        self._stop.set_visibility(running is not None)
        last = desk.rounds[-1] if desk.rounds else None
        if last is not None and _signature(last) != self._drawn:
            self._draw(last)
            self._scroll.scroll_to(percent=1.0)
        masks = tuple(desk.layers)
        if masks != self._told_masks:  # by the desk, not by the round: masks may come while this page is being built
            self._told_masks = masks
            self._context.changed("masks", "looks")

    def _show_rounds(self) -> None:
        self._rounds.clear()
        self._boxes, self._chips = {}, {}
        rounds = self._context.desk.rounds
        with self._rounds:
            if not rounds:
                ui.label("Ask a question, or ask for a mask: “Please segment the water in this image.”").classes("eo-hint-text")
            for number, each in enumerate(rounds):
                if each.is_new and number:
                    ui.separator().classes("eo-new-conversation")
                    ui.label("Without what was said above").classes("eo-hint-text eo-centred")
                self._boxes[each.key] = ui.column().classes("eo-round")
                self._draw(each)
        self._scroll.scroll_to(percent=1.0)

    def _draw(self, made: Round) -> None:
        box = self._boxes.get(made.key)
        if box is None:
            return
        box.clear()
        box.props(f"data-state={made.state}")
        with box:
            with ui.column().classes("eo-user"):
                ui.label(made.question).classes("eo-words")
                about = self._about(made)
                if about:
                    ui.label(about).classes("eo-about")
            with ui.column().classes("eo-model"):
                ui.label(made.model).classes("eo-speaker")
                if made.text or made.masks:
                    self._draw_answer(made)
                if made.state == "running":
                    ui.spinner("dots", size="sm").props('aria-label="The model is answering"')
                if made.note:
                    ui.label(made.note).classes("eo-note eo-note-error" if made.state == "failed" else "eo-note")
        self._drawn = _signature(made)

    def _draw_answer(self, made: Round) -> None:
        """The words, and a button for each mask where the answer refers to it."""
        layers = [self._context.desk.layers.get(key) for key in made.masks]
        with ui.element("div").classes("eo-answer"):
            for piece in made.pieces:
                if piece.mask is None:
                    ui.label(piece.text).classes("eo-words")
                elif piece.mask < len(layers):
                    layer = layers[piece.mask]
                    if layer is not None:
                        self._mask_button(layer)

    def _mask_button(self, layer: MaskLayer) -> None:
        def toggle() -> None:
            layer.is_visible = not layer.is_visible
            self._context.changed("looks")

        button = ui.button(f"{layer.number}", on_click=toggle, color=None).props("dense no-caps unelevated size=sm")
        button.classes("eo-mask-chip").style(f"--mask: {layer.colour}").tooltip(f"{layer.name}: show or hide")
        self._chips[layer.key] = button
        self._show_looks()

    def _show_looks(self) -> None:
        """Whether each mask is shown, on its buttons as they stand: a button that was pressed keeps the focus."""
        for key, button in self._chips.items():
            layer = self._context.desk.layers.get(key)
            if layer is not None:
                button.props["icon"] = "layers" if layer.is_visible else "layers_clear"
                button.props["aria-pressed"] = "true" if layer.is_visible else "false"
                button.props["aria-label"] = layer.name

    def _about(self, made: Round) -> str:
        """What was shown with the question."""
        images = self._context.desk.images
        shown = [", ".join(f"{role}: {images[key].title}" for role, key in made.images.items() if key in images)]
        if made.region is not None:
            used = "pointed out" if made.region_use == "point" else "cut out"
            shown.insert(0, f"{made.region.describe()} {used}")
        return " · ".join(part for part in shown if part)

    def _show_suggestions(self) -> None:
        desk = self._context.desk
        first: DeskImage | None = next(iter(desk.shown().values()), None)
        self._suggestions.clear()
        asked = {each.question for each in desk.rounds}
        with self._suggestions:
            for question in [text for text in (first.questions if first else ()) if text not in asked][:MOST_SUGGESTIONS]:
                button = ui.button(question, on_click=lambda text=question: self._suggest(text))
                button.props("outline dense no-caps size=sm").classes("eo-suggestion")

    async def _suggest(self, text: str) -> None:
        self._input.set_value(text)
        await self._ask()

    def _show_region(self) -> None:
        desk, card = self._context.desk, self._context.model
        self._region.clear()
        if desk.region is None:
            return
        with self._region:
            ui.icon("highlight_alt")
            ui.label(f"About the {_describe(desk.region, desk.images)}").classes("eo-hint-text")
            if card is not None and can_point(desk, card, max_pixels=self._max_pixels):
                use = ui.select(REGION_USES, value=desk.region_use, label="How the model sees it").props("dense outlined options-dense")
                use.bind_value(desk, "region_use").classes("eo-region-use")
            else:
                ui.label("The model sees this part alone.").classes("eo-hint-text")
            ui.button(icon="close", on_click=self._remove_region).props('flat dense round size=sm aria-label="Remove the region"')

    def _remove_region(self) -> None:
        self._context.desk.region = None
        self._context.changed("region")


def _describe(region: Region, images: dict[str, DeskImage]) -> str:
    title = images[region.image].title if region.image in images else ""
    return f"{region.describe()} of {title}"


def _signature(made: Round) -> tuple[object, ...]:
    """Changes whenever the round looks different."""
    return made.key, len(made.text), len(made.pieces), len(made.masks), made.state, made.note


def _build(context: PageContext) -> None:
    ChatPanel(context)


PANEL = Panel(name="chat", title="Chat", icon="forum", build=_build, beside_viewer=True)
