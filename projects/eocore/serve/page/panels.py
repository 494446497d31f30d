"""What a panel of the page is, and what it is given: a module of this folder offers one as `PANEL`, and `shell.PANELS` lists it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from nicegui import ui

from eocore.errors import EOError
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile
from eocore.serve.page.desk import Desk
from eocore.serve.page.intake import take_images
from eocore.serve.page.messages import told
from eocore.serve.page.tabs import Tab
from eocore.serve.page.viewer import Viewer
from eocore.serve.requests import ModelCard
from eocore.serve.service import Service
from eocore.serve.sessions import Session

Topic = Literal["images", "view", "masks", "looks", "region", "rounds", "model"]
"""What has changed: the images on the desk; which are in the viewer, and how they are drawn; masks; which of these are shown, how opaque;
the region; the conversation; the chosen model."""


@dataclass(eq=False, kw_only=True)
class PageContext:
    """The page of one tab, as its panels see it.

    Attributes:
        service: the models.
        tab: with its files (`session`) and what it works on (`desk`); whoever changes the desk says so with `changed`.
        viewer: pictures beside the panels; set before panels are built.
        select: opens a panel by its name.
    """

    service: Service
    tab: Tab
    viewer: Viewer | None = None
    select: Callable[[str], None] = lambda _: None
    _listeners: dict[Topic, list[Callable[[], None]]] = field(default_factory=dict)

    @property
    def session(self) -> Session:
        """The tab's files, and where more may be put."""
        return self.tab.session

    @property
    def desk(self) -> Desk:
        """What the tab works on."""
        return self.tab.desk

    def on(self, *topics: Topic, call: Callable[[], None]) -> None:
        """Calls a function after each change of a topic."""
        for topic in topics:
            self._listeners.setdefault(topic, []).append(call)

    def changed(self, *topics: Topic) -> None:
        """Tells the listeners, each once."""
        for call in dict.fromkeys(call for topic in topics for call in self._listeners.get(topic, [])):
            call()

    @property
    def model(self) -> ModelCard | None:
        """The chosen one; None where no model is served."""
        cards = self.service.models()
        return next((card for card in cards if card.name == self.desk.model), cards[0] if cards else None)

    def show_error(self, error: Exception) -> None:
        """Tells the user what went wrong; of errors that nobody foresaw the log has the traceback, and the page the kind."""
        if not isinstance(error, EOError):
            get_logger().error("an error on the page", exc_info=error)
        text = told(error, self.service)
        ui.notify(text, type="negative", multi_line=True, timeout=0, close_button="Close", classes="eo-error")

    async def put_on_desk(self, files: Mapping[str, ImageFile], *, title: str, opens: str = "chat") -> None:
        """Shows images of one place and opens a panel: "chat about this".

        Args:
            files: input (optical, rgb, multispectral, sar) -> file below the session's folder, or below a folder that the service allows.
            title: for people.
            opens: name of the panel.
        """
        try:
            await take_images(self.desk, files, title=title, session=self.session)
        except EOError as error:
            self.show_error(error)
            return
        self.changed("images", "view", "masks", "region")
        self.select(opens)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A tab of the page.

    Attributes:
        name: in addresses: `/?panel=NAME`.
        title: on the tab.
        icon: of Material Icons, which come with NiceGUI.
        build: puts the panel's elements where it is called; it may subscribe to changes.
        beside_viewer: whether the pictures stay in view beside it; else it has the whole width.
        is_offered: whether what is served has any use for it.
    """

    name: str
    title: str
    icon: str
    build: Callable[[PageContext], None]
    beside_viewer: bool = False
    is_offered: Callable[[Service], bool] = lambda _: True
