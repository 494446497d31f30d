"""XML metadata of products, namespaces aside. The files are untrusted: entities and external parts are refused, sizes are limited."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException, ElementTree

from eocore.data.formats.entries import read_bytes
from eocore.errors import DataError

MAX_XML_BYTES = 256 * 2**20
"""Larger files are refused; the largest of a product, a manifest or a noise table, takes some MB."""

MOST_KEPT = 16
"""Files of which what was made is kept: those of two or three products, some tens of MB at most."""
SETTLED_S = 2.0
"""What is made of a file that was written less long ago is not kept: it could be written again within one tick of the file system."""

Made = TypeVar("Made")
_kept: OrderedDict[tuple[Path, Callable[..., Any]], tuple[tuple[int, int], Any]] = OrderedDict()
_lock = threading.Lock()


def kept(path: Path, make: Callable[[Path], Made]) -> Made:
    """`make(path)`, made again only where the file has changed since: each window of a product needs its metadata.

    Args:
        path: of the file.
        make: from a path; what comes out is shared, and nobody changes it. A function or class of a module, not made anew for each call.

    Raises:
        DataError: as `make`, which is what tells of a file that is not there.
    """
    try:
        state = path.stat()
    except OSError:
        return make(path)
    stamp, key = (state.st_mtime_ns, state.st_size), (path, make)
    with _lock:
        found = _kept.get(key)
        if found is not None and found[0] == stamp:
            _kept.move_to_end(key)
            made: Made = found[1]
            return made
    made = make(path)
    if time.time() - state.st_mtime > SETTLED_S:
        with _lock:
            _kept[key] = (stamp, made)
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
    return made


class Metadata:
    """A file of metadata.

    Args:
        path: of the file.

    Raises:
        DataError: it is missing, cannot be read, or is no XML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(f"{path}: the product lacks this file. Copy or fetch it again.")
        try:
            self._root: Element = ElementTree.fromstring(read_bytes(path, limit=MAX_XML_BYTES, kind="XML"))
        except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
            raise DataError(f"{path}: not usable XML ({type(error).__name__}: {error}). Copy or fetch the product again.") from error

    def all(self, name: str, below: Element | None = None) -> Iterator[Element]:
        """Elements of that name, namespaces aside, in the order of the file."""
        return (element for element in (self._root if below is None else below).iter() if _plain(element) == name)

    def text(self, *names: str, below: Element | None = None) -> str:
        """The text of the first element of one of these names; "" where there is none."""
        found = (element.text for name in names for element in self.all(name, below) if element.text and element.text.strip())
        return next(found, "").strip()

    def number(self, *names: str, below: Element | None = None) -> float:
        """The finite number of the first element of one of these names. Raises DataError where there is none."""
        return self.as_number(self.text(*names, below=below), names[0])

    def numbers(self, name: str, below: Element | None = None) -> np.ndarray:
        """The finite numbers of an element that lists them. Raises DataError where there are none."""
        words = self.text(name, below=below).split()
        try:
            values = np.array(words, np.float64)
        except ValueError:
            values = np.array([np.nan])
        if not values.size or not np.isfinite(values).all():
            raise DataError(f"{self.path}: <{name}> holds {' '.join(words)[:60]!r}; expected numbers. Copy or fetch the product again.")
        return values

    def as_number(self, text: str, name: str) -> float:
        """`text` as a finite number. Raises DataError, naming the element, otherwise."""
        return finite_number(text, f"<{name}>", path=self.path)


def finite_number(text: str, name: str, *, path: Path) -> float:
    """`text`, the value of `name` in the metadata at `path`, as a finite number. Raises DataError otherwise."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{path}: {name} holds {text[:60]!r}; expected a number. Copy or fetch the product again.")
    return value


def listed_in_manifest(folder: Path) -> list[str]:
    """Paths below the folder of all files that manifest.safe lists; [] where there is no manifest.

    Raises:
        DataError: the manifest is no XML.
    """
    path = folder / "manifest.safe"
    return kept(path, _places) if path.exists() else []


def _places(path: Path) -> list[str]:
    places = (element.get("href", "") for element in Metadata(path).all("fileLocation"))
    return [place.removeprefix("./") for place in places if place]


def _plain(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
