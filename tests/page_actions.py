"""What a user does on the page of a server, in a real browser."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request, expect

PATIENCE_MS = 60_000
"""Only a hang reaches it."""
expect.set_options(timeout=PATIENCE_MS)
DRAWN = "!document.querySelector('.eo-map[aria-busy=true], .leaflet-tile:not(.leaflet-tile-loaded)')"
PADDING = 12
"""Around an image that is shown whole [px]; of viewer.js."""


class PageUser:
    """A browser profile with the page.

    Args:
        context: of the profile.
        url: of the server.

    Attributes:
        errors: of scripts, of the page, of what it fetched.
        foreign: addresses of other servers that were asked for.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)
        context.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:", self.url.replace("http", "ws", 1))):
            self.foreign.append(request.url)

    def open(self, path: str = "") -> None:
        """Opens the page, and waits until it stands."""
        self.page.goto(self.url + path)
        expect(self.tab("Images")).to_be_visible()

    def tab(self, name: str) -> Locator:
        """The tab of a panel."""
        return self.page.get_by_role("tab", name=name)

    def choose_model(self, name: str) -> None:
        """Chooses the model that answers."""
        self.choose("Model", name)

    def limit_answers(self, tokens: int) -> None:
        """Lets answers be so long at most."""
        self.tab("Chat").click()
        field = self.page.get_by_label("Longest answer")
        if not field.is_visible():
            self.page.get_by_text("Options").click()
        field.fill(str(tokens))
        field.press("Tab")

    def choose(self, label: str, option: str) -> None:
        """Chooses an option of a menu."""
        self.page.get_by_label(label, exact=True).click()
        self.page.get_by_role("option", name=option).first.click()

    def open_example(self, title: str) -> None:
        """Opens an example, and waits for its picture."""
        self.tab("Images").click()
        self.page.get_by_role("button", name=title).click()
        expect(self.page.get_by_text("Opening")).to_have_count(0)
        self.wait_for_tiles()

    def send(self, *files: Path | dict[str, Any]) -> None:
        """Sends files as if they had been picked."""
        self.page.locator(".eo-upload input[type=file]").set_input_files(list(files))

    def wait_for_tiles(self) -> None:
        """Until what is in view has been drawn."""
        self.page.wait_for_selector(".leaflet-tile-loaded")
        self.page.wait_for_function(DRAWN)

    def ask(self, question: str) -> None:
        """Asks in the chat, and waits for the end of the answer."""
        self.tab("Chat").click()
        rounds = self.page.locator(".eo-round").count()
        self.page.get_by_label("Question").fill(question)
        self.page.get_by_label("Question").press("Enter")
        expect(self.page.locator(".eo-round")).to_have_count(rounds + 1)
        self.wait_for_answer()

    def wait_for_answer(self) -> None:
        """Until the last question is answered, or has failed."""
        expect(self.last_round).to_have_attribute("data-state", re.compile("done|stopped|failed"))

    @property
    def last_round(self) -> Locator:
        """Question and answer."""
        return self.page.locator(".eo-round").last

    @property
    def picture(self) -> Locator:
        """The viewer."""
        return self.page.locator(".eo-viewer")

    def pixels(self, target: Locator | None = None) -> np.ndarray:
        """(H, W, 3) uint8 of what an element, or the viewer, looks like."""
        found = (target or self.picture).screenshot(animations="disabled")
        return np.asarray(Image.open(io.BytesIO(found)).convert("RGB"))

    def place_of(self, x: Any, y: Any, *, size: tuple[int, int]) -> tuple[Any, Any]:
        """Where on the screen points of an image (width, height) lie that is shown whole, alone; numbers or arrays."""
        box = self.picture.bounding_box()
        assert box is not None
        scale = min((box["width"] - 2 * PADDING) / size[0], (box["height"] - 2 * PADDING) / size[1])
        return (
            box["x"] + box["width"] / 2 + (x - size[0] / 2) * scale,
            box["y"] + box["height"] / 2 + (y - size[1] / 2) * scale,
        )

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Presses, moves, releases."""
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        self.page.mouse.move(*end)
        self.page.mouse.up()


def picture_file(name: str, *, size: tuple[int, int] = (64, 48), colour: tuple[int, int, int] = (200, 30, 30)) -> dict[str, Any]:
    """A PNG as browsers send it."""
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, format="PNG")
    return {"name": name, "mimeType": "image/png", "buffer": content.getvalue()}
