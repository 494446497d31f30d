"""What the search panel of one tab holds: the form, and what was found. It outlives the page, as the desk does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import shapely

from eocore.errors import ConfigError
from eocore.predict.image_files import ImageFile
from eocore.search.filters import Filters, parse_box
from eocore.serve.indexes import Found, Wanted
from eocore.serve.page.desk import Desk
from eocore.serve.page.search_map import Points

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

FIELDS = {"--since": "From", "--until": "To", "--max-cloud": "Most clouds", "--box": "The area"}
"""Option of `eo search-index query` -> the field that is for the same."""
COUNTS = (12, 24, 48, 96)
"""Results that may be asked for."""


@dataclass(eq=False)
class SearchState:
    """The form and the results.

    Attributes:
        index: name of the chosen one.
        text: words.
        uses_images: whether the images on the desk that the model sees are looked for, too.
        like, unlike: keys of items.
        sensors: names; none = any.
        since, until: ISO 8601.
        max_cloud: [%]; None = any.
        area: corners of what was drawn, [latitude, longitude].
        count: most results.
        found: the last answer.
        chosen: key of the item that grid and map show.
    """

    index: str = ""
    text: str = ""
    uses_images: bool = False
    like: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    sensors: list[str] = field(default_factory=list)
    since: str = ""
    until: str = ""
    max_cloud: float | None = None
    area: Points = field(default_factory=list)
    count: int = 24
    found: Found | None = None
    chosen: str = ""

    def wanted(self, images: dict[str, ImageFile]) -> Wanted:
        """What the form asks for.

        Args:
            images: input -> file of what the model sees on the desk.

        Raises:
            ConfigError: a date or a share of clouds is none, or there is no image on the desk.
        """
        if self.uses_images and not images:
            raise ConfigError("the model sees none of the opened images. Add one under Images, or look for words alone.")
        with _in_words():
            filters = Filters(tuple(self.sensors), self.since.strip(), self.until.strip(), self.max_cloud, self._shape())
        return Wanted(self.text.strip(), images if self.uses_images else {}, self.like, self.unlike, self.count, filters)

    def _shape(self) -> "BaseGeometry | None":
        if not self.area:
            return None
        shape = shapely.Polygon([(x, y) for y, x in self.area])
        return shape if shape.is_valid else shapely.make_valid(shape)

    def set_box(self, text: str) -> None:
        """Takes an area as WEST, SOUTH, EAST, NORTH; "" = none. Raises ConfigError where it is none."""
        if not text.strip():
            self.area = []
            return
        with _in_words():
            shape = parse_box(text.replace(" ", ""))
        if shape.geom_type != "Polygon":
            raise ConfigError("an area over the antimeridian is searched in two halves: draw or type one of them.")
        west, south, east, north = shape.bounds
        self.area = [[south, west], [south, east], [north, east], [north, west]]

    def box_text(self) -> str:
        """The bounds of the area, as it is typed."""
        if not self.area:
            return ""
        rows, columns = [y for y, _ in self.area], [x for _, x in self.area]
        return ", ".join(f"{value:.4f}".rstrip("0").rstrip(".") for value in (min(columns), min(rows), max(columns), max(rows)))


def box_problem(text: str | None) -> str | None:
    """Why a text is no area; None where it is one, or empty."""
    try:
        SearchState().set_box(text or "")
    except ConfigError as error:
        return str(error)
    return None


@contextmanager
def _in_words() -> Iterator[None]:
    """Errors that name fields of the form in place of options of a command."""
    try:
        yield
    except ConfigError as error:
        text = str(error)
        for option, name in FIELDS.items():
            text = text.replace(option, name)
        raise ConfigError(text) from error


_states: WeakKeyDictionary[Desk, SearchState] = WeakKeyDictionary()


def state_of(desk: Desk) -> SearchState:
    """The state of a tab, by its desk."""
    return _states.setdefault(desk, SearchState())
