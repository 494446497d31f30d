"""The panel of images: sent files, examples, what is known of each, and which the model sees."""

from nicegui import events, ui

from eocore.data.records import is_time
from eocore.errors import EOError
from eocore.serve.page.controls import icon_button
from eocore.serve.page.desk import NOT_SHOWN, DeskImage
from eocore.serve.page.examples import EXAMPLES, Example, open_example
from eocore.serve.page.intake import fitting_sensors, forget, paths_of, take_upload
from eocore.serve.page.panels import PageContext, Panel
from eocore.serve.page.routes import thumbnail_address
from eocore.serve.sessions import StoredImage
from eocore.serve.views.facts import facts

KNOWN_ROLES = ("rgb", "multispectral", "sar")
HINT = "PNG, JPEG, GeoTIFF, or a zip of a Sentinel-1, Sentinel-2 or Landsat product; up to {limit} MiB"


class ImagesPanel:
    """Builds the panel where it is made.

    Args:
        context: of the page.
    """

    def __init__(self, context: PageContext) -> None:
        self._context = context
        ui.label("Add images").classes("eo-heading")
        limit = context.service.options.limits.upload_mib
        self._upload = (
            ui.upload(on_upload=self._receive, multiple=True, auto_upload=True, label="Drop files here, or press +")
            .classes("eo-upload")
            .props('flat bordered color=primary aria-label="Add image files"')
        )
        ui.label(HINT.format(limit=limit)).classes("eo-hint-text")
        self._waiting = ui.row().classes("eo-waiting")
        ui.label("Examples").classes("eo-heading")
        with ui.row().classes("eo-examples"):
            for example in EXAMPLES:
                self._example_button(example)
        ui.label("Opened images").classes("eo-heading")
        self._list = ui.column().classes("eo-image-list")
        context.on("images", "view", "model", call=self._show)
        self._show()

    def _example_button(self, example: Example) -> None:
        async def open_it() -> None:
            with self._waiting, ui.row().classes("eo-busy") as busy:
                ui.spinner()
                ui.label(f"Opening “{example.title}” …")
            try:
                await open_example(example, self._context.desk, session=self._context.session)
            except EOError as error:
                self._context.show_error(error)
            finally:
                busy.delete()
            self._context.changed("images", "view", "masks", "region")

        with ui.button(on_click=open_it).props("outline no-caps align=left").classes("eo-example"), ui.column():
            ui.label(example.title).classes("eo-example-title")
            ui.label(example.about).classes("eo-example-about")

    async def _receive(self, event: events.UploadEventArguments) -> None:
        try:
            stored = await self._context.session.receive(event.file.name, event.file.iterate())
            if stored.facts.sensor:
                await take_upload(self._context.desk, stored)
            else:
                self._ask_sensor(stored)
        except EOError as error:
            self._context.show_error(error)
        self._upload.reset()
        self._context.changed("images", "view")

    def _ask_sensor(self, stored: StoredImage) -> None:
        """A file that does not tell its sensor waits until the user does."""
        with self._waiting, ui.card().classes("eo-ask-sensor") as card:
            ui.label(f"Which sensor is {stored.name} from?").classes("eo-subheading")
            ui.label(f"{len(stored.facts.bands)} layers of {stored.facts.dtype} do not tell. Layers: {', '.join(stored.facts.bands[:16])}.")
            chosen = ui.select(list(fitting_sensors(stored.facts.bands)), label="Sensor", with_input=True).props("dense outlined")

            async def take() -> None:
                if not chosen.value:
                    return
                try:
                    await take_upload(self._context.desk, stored, sensor=str(chosen.value))
                except EOError as error:
                    self._context.show_error(error)
                    return
                card.delete()
                self._context.changed("images", "view")

            def drop() -> None:
                self._context.session.remove(stored.image_id)
                card.delete()

            with ui.row():
                ui.button("Use it", on_click=take).props("no-caps unelevated")
                ui.button("Remove the file", on_click=drop).props("no-caps flat")

    def _show(self) -> None:
        desk = self._context.desk
        self._list.clear()
        with self._list:
            if not desk.images:
                ui.label("Nothing yet.").classes("eo-hint-text")
            for image in desk.images.values():
                self._card(image)

    def _card(self, image: DeskImage) -> None:
        desk = self._context.desk
        is_shown = image.key == desk.left or (image.key == desk.right and desk.mode != "single")
        with ui.card().classes("eo-image-card" + (" eo-current" if is_shown else "")):
            with ui.row().classes("eo-image-row"):
                address = thumbnail_address(self._context.tab, image.key, composite=image.composite, stretch=image.stretch)
                ui.image(address).classes("eo-thumbnail").props('alt="" no-spinner')
                with ui.column().classes("eo-image-texts"):
                    ui.label(image.title).classes("eo-image-title")
                    height, width = image.size
                    ui.label(f"{image.raster.ref.sensor} · {width:,} x {height:,} px").classes("eo-hint-text")
                    with ui.row().classes("eo-card-buttons"):
                        self._card_buttons(image)
                    if image.given_up and self._reads_series:
                        hint = f"Another {image.given_up} image took its place. With a date each, the model sees both."
                        ui.label(hint).classes("eo-hint-text eo-given-up")
            with ui.expansion("Details").props("dense dense-toggle").classes("eo-details"), ui.element("dl").classes("eo-facts"):
                for label, value in facts(image.raster, names=paths_of(image)):
                    with ui.element("dt"):
                        ui.label(label)
                    with ui.element("dd"):
                        ui.label(value)

    def _card_buttons(self, image: DeskImage) -> None:
        desk, changed = self._context.desk, self._context.changed

        def show() -> None:
            desk.left = image.key
            changed("images", "view")

        def compare() -> None:
            desk.right = image.key
            desk.mode = "swipe" if desk.mode == "single" else desk.mode
            changed("images", "view")

        def set_role(role: str) -> None:
            desk.set_role(image, role)
            changed("images")

        def set_date(text: str) -> None:
            day = text if is_time(text) else ""
            if day != image.time:
                desk.set_time(image, day)
                changed("images")

        def remove() -> None:
            forget(desk, self._context.session, key=image.key)
            changed("images", "view", "masks", "region")

        roles = self._roles(image)
        menu = ui.select(roles, value=image.role, on_change=lambda event: set_role(event.value), label="Model sees it as")
        menu.props("dense outlined options-dense").classes("eo-role")
        if self._reads_series:
            date = ui.input("Date", value=image.time, on_change=lambda event: set_date(str(event.value or "")))
            # a year that is being typed is a date at each of its digits
            date.classes("eo-date").props('type=date dense outlined stack-label debounce=800 aria-label="Date of the image"')
        icon_button("visibility", "Show", on_click=show)
        icon_button("compare", "Compare with the one shown", on_click=compare)
        icon_button("delete_outline", "Remove", on_click=remove)

    @property
    def _reads_series(self) -> bool:
        card = self._context.model
        return card is not None and card.reads_series

    def _roles(self, image: DeskImage) -> dict[str, str]:
        """Role -> its name in the menu: those that the model reads."""
        card = self._context.model
        known = list(card.roles) if card is not None and card.roles else list(KNOWN_ROLES)
        if image.role and image.role not in known:
            known.append(image.role)
        return {role: role for role in known} | {NOT_SHOWN: "not shown"}


def _build(context: PageContext) -> None:
    ImagesPanel(context)


PANEL = Panel(name="images", title="Images", icon="satellite_alt", build=_build, beside_viewer=True)
