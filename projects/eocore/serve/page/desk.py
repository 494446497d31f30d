"""What one tab of a browser works on: its images, its conversation, its masks. It outlives the page, so that a reload changes nothing."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from eocore.predict.image_files import ImageFile
from eocore.serve.requests import MaskGrid, TurnRole
from eocore.serve.views.raster import RasterImage

NOT_SHOWN = ""
"""Role of an image that is looked at, but not shown to the model."""
LAST = "9999-12-31"
MASK_COLOURS = ("#e6194b", "#4363d8", "#f58231", "#911eb4", "#00a3a3", "#9a6324", "#f032e6", "#ffb000")
"""Of masks, in turn: told apart on green, brown and dark water."""
OPACITY = 0.55
RoundState = Literal["running", "done", "stopped", "failed"]
RegionUse = Literal["point", "cut"]


def new_key() -> str:
    """A name that cannot be guessed."""
    return secrets.token_urlsafe(12)


@dataclass(eq=False, kw_only=True)
class DeskImage:
    """One image.

    Attributes:
        title: for people, any text.
        role: under which the model sees it; NOT_SHOWN = it does not.
        file: as the model's readers take it.
        raster: as the viewer shows it.
        composite, stretch: how it is shown.
        questions: that are offered about it.
        image_id: of the file in the session, "" for a file that lies elsewhere.
        is_own: whether the user sent it; others give way to the next example or result of a search.
        time: ISO date, from its name or as the user says; "" = unknown.
        given_up: role that it lost to another image of no other date; it comes back when dates tell both apart.
        key: of the image, in addresses.
    """

    title: str
    role: str
    file: ImageFile
    raster: RasterImage
    composite: str
    stretch: str = "percent_2"
    questions: tuple[str, ...] = ()
    image_id: str = ""
    is_own: bool = False
    time: str = ""
    given_up: str = ""
    key: str = field(default_factory=new_key)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) [px], north up."""
        return self.raster.header.size


@dataclass(frozen=True)
class Region:
    """What was drawn on an image.

    Attributes:
        kind: "box" or "polygon".
        image: key of the image.
        points: (x, y) [px], north up.
    """

    kind: str
    image: str
    points: tuple[tuple[float, float], ...]

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """(left, top, width, height) of whole pixels."""
        low, high = np.floor(np.min(self.points, 0)).astype(int), np.ceil(np.max(self.points, 0)).astype(int)
        return int(low[0]), int(low[1]), int(max(high[0] - low[0], 1)), int(max(high[1] - low[1], 1))

    def describe(self) -> str:
        """In words."""
        left, top, width, height = self.bounds
        return f"{self.kind} of {width} x {height} px at column {left}, row {top}"


@dataclass(eq=False, kw_only=True)
class MaskLayer:
    """One mask of an answer, as an overlay.

    Attributes:
        image: key of the image that it lies on.
        phrase: of the answer, which it shows; "" where the model marks none.
        number: in the conversation, from 1.
        mask: (h, w) bool, north up.
        stored: (h, w) bool on the pixels of the file, which `grid` places.
        grid: where `stored` lies.
        window: (left, top, width, height) of the image that `mask` covers [px].
        colour: "#rrggbb".
        area_m2: nan where the image is not georeferenced.
    """

    image: str
    phrase: str
    number: int
    mask: np.ndarray
    stored: np.ndarray
    grid: MaskGrid
    window: tuple[int, int, int, int]
    colour: str
    area_m2: float
    opacity: float = OPACITY
    is_visible: bool = True
    key: str = field(default_factory=new_key)

    @property
    def name(self) -> str:
        """For people."""
        return f"Mask {self.number}: {self.phrase}" if self.phrase else f"Mask {self.number}"


@dataclass
class Piece:
    """A part of an answer: words, or the mask of that index in the answer, with the phrase of the words before that it shows."""

    text: str = ""
    mask: int | None = None
    phrase: str = ""


@dataclass(eq=False, kw_only=True)
class Round:
    """A question and its answer.

    Attributes:
        question: as typed.
        model: that was asked.
        images: name -> key of the images that were shown: their roles, of several dates with the date.
        region: that the question is about.
        region_use: whether the region was pointed out in the whole image or cut out of it.
        is_new: whether it began a conversation, without what was said before.
        pieces: of the answer so far.
        masks: keys of its layers, in order.
        answer: the assistant's turn for the next question.
        note: what the reader should know of the answer, or the error.
    """

    question: str
    model: str
    images: Mapping[str, str]
    region: Region | None = None
    region_use: RegionUse = "point"
    is_new: bool = True
    pieces: list[Piece] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    answer: str = ""
    state: RoundState = "running"
    note: str = ""
    key: str = field(default_factory=new_key)

    @property
    def text(self) -> str:
        """The answer in words."""
        return "".join(piece.text for piece in self.pieces)


@dataclass
class ChatSettings:
    """How answers are generated.

    Attributes:
        max_new_tokens: longest answer.
        samples: whether words are drawn by chance.
        temperature, top_p: of drawing.
        seed: of drawing; None = another answer each time.
    """

    max_new_tokens: int = 256
    samples: bool = False
    temperature: float = 0.7
    top_p: float = 0.9
    seed: int | None = None

    def generation(self) -> dict[str, Any]:
        """As requests take it."""
        return {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p} if self.samples else {}


@dataclass(eq=False)
class Desk:
    """Everything of one tab.

    Attributes:
        images: by key, in the order in which they came.
        left, right: keys of the images that the viewer shows, "" = none.
        mode: of `viewer.MODES`.
        rounds: the conversation.
        layers: masks by key, in order.
        region: that the next question is about.
        model: name of the chosen model.
        panel: that is open.
        begins_anew: whether the next question begins a conversation.
        task: that brings the running answer.
    """

    images: dict[str, DeskImage] = field(default_factory=dict)
    left: str = ""
    right: str = ""
    mode: str = "single"
    rounds: list[Round] = field(default_factory=list)
    layers: dict[str, MaskLayer] = field(default_factory=dict)
    region: Region | None = None
    region_use: RegionUse = "point"
    model: str = ""
    panel: str = "images"
    settings: ChatSettings = field(default_factory=ChatSettings)
    begins_anew: bool = False
    task: object = None

    def add(self, image: DeskImage) -> None:
        """Puts an image on the desk and shows it, where two are compared on the side that is free; of two images of one role and date the
        model sees the newer one."""
        has_free_side = self.mode != "single" and self.left in self.images and self.right in ("", self.left)
        self.images[image.key] = image
        if has_free_side:
            self.right = image.key
        else:
            self.left = image.key
        self.settle(image)

    def settle(self, image: DeskImage) -> None:
        """The model sees this image rather than others of its role, unless dates tell them apart."""
        for other in self.images.values():
            if other is not image and image.role and other.role == image.role and not _apart(other, image):
                other.given_up, other.role = other.role, NOT_SHOWN

    def set_role(self, image: DeskImage, role: str) -> None:
        """The model sees an image in this role, as the user chose."""
        image.role, image.given_up = role, ""
        self.settle(image)

    def set_time(self, image: DeskImage, day: str) -> None:
        """An image is of this day: it may take the place of another of its role, and those come back that dates tell apart now."""
        image.time = day
        self.settle(image)
        for each in self.images.values():
            rivals = [other for other in self.images.values() if other.role and other.role == each.given_up]
            if each.given_up and all(_apart(each, other) for other in rivals):
                each.role, each.given_up = each.given_up, ""

    def remove(self, key: str) -> None:
        """Takes an image, and the masks on it, off the desk."""
        self.images.pop(key, None)
        self.layers = {name: layer for name, layer in self.layers.items() if layer.image != key}
        if self.region is not None and self.region.image == key:
            self.region = None
        newest = next(reversed(self.images), "")
        self.left = newest if self.left == key else self.left
        self.right = "" if self.right == key else self.right

    def shown(self, *, series: bool = False) -> dict[str, DeskImage]:
        """Role -> image of what the model sees; the image in the viewer first, since masks lie on the first.

        Args:
            series: the model reads images of several dates: where there are several of a role, "role date" -> image, in the order of the
                dates, those without a date last. Else it sees one of each role: that in the viewer, or the newest.
        """
        given = [image for image in self.images.values() if image.role]
        if series and len({image.role for image in given}) < len(given):
            return {f"{image.role} {image.time}".rstrip(): image for image in sorted(given, key=lambda image: image.time or LAST)}
        found = {image.role: image for image in sorted(given, key=lambda image: image.key == self.left)}
        first = [role for role, image in found.items() if image.key == self.left]
        return {role: found[role] for role in [*first, *(role for role in found if role not in first)]}

    def earlier_turns(self, images: Mapping[str, str], model: str) -> list[tuple[TurnRole, str]]:
        """(role, text) of the conversation that a question about these images goes on with."""
        turns: list[tuple[TurnRole, str]] = []
        for each in reversed([] if self.begins_anew else self.rounds):
            if each.state == "failed":
                continue
            if dict(each.images) != dict(images) or each.model != model or each.state == "running" or each.region_use == "cut":
                break
            turns = [("user", each.question), ("assistant", each.answer), *turns]
            if each.is_new:
                break
        return turns

    def next_colour(self) -> str:
        """Of the next mask."""
        return MASK_COLOURS[len(self.layers) % len(MASK_COLOURS)]


def _apart(one: DeskImage, other: DeskImage) -> bool:
    return bool(one.time and other.time) and one.time != other.time


def role_of(sensor_unit: str) -> str:
    """The role under which models see images of a unit."""
    return {"uint8": "rgb", "sigma0_db": "sar"}.get(sensor_unit, "multispectral")
