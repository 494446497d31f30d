"""Folders as agencies deliver them, read like one image: which product a folder is, and its bands as layers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eocore.data.io.layer_file import LayerFile
from eocore.data.io.products import landsat, sentinel1, sentinel2
from eocore.data.io.products.acquisition import Acquisition
from eocore.data.io.products.layers import ProductChoice
from eocore.errors import DataError

NUM_NAMED = 3


class Product(Protocol):
    """A folder.

    Attributes:
        sensor: name in the sensor registry of what it is read as, where nothing else is said.
    """

    sensor: str

    def open(self, choice: ProductChoice) -> list[LayerFile]:
        """The bands asked for, each a layer in a physical unit. Raises DataError or BandError where that cannot be."""

    def acquisition(self) -> Acquisition:
        """When it was taken, and its clouds. Raises DataError where the metadata are broken."""


@dataclass(frozen=True)
class ProductKind:
    """How folders of a kind are told, and read."""

    is_product: Callable[[Path], bool]
    build: Callable[[Path], Product]


PRODUCTS = {
    "Sentinel-2 SAFE": ProductKind(sentinel2.is_product, sentinel2.Sentinel2Product),
    "Sentinel-1 GRD SAFE": ProductKind(sentinel1.is_product, sentinel1.Sentinel1Product),
    "Landsat Collection 2": ProductKind(landsat.is_product, landsat.LandsatProduct),
}
"""A new product: one file of this folder, and one entry here."""


def find_product(folder: Path) -> Product:
    """The product that a folder is.

    Raises:
        DataError: it is none, or its metadata are missing or broken.
        BandError: its satellite is not known.
    """
    for kind in PRODUCTS.values():
        if kind.is_product(folder) and not (folder / folder.name).is_dir():  # unpacked into a folder of its own name
            return kind.build(folder)
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and any(kind.is_product(path) for kind in PRODUCTS.values())]
    names = ", ".join(path.name for path in inside[:NUM_NAMED]) + (", ..." if len(inside) > NUM_NAMED else "")
    remedy = f"It holds {names}: name that folder." if inside else "Name an image file, or the folder of the product."
    raise DataError(
        f"{folder}: a folder, expected an image file or the folder of a product as delivered ({', '.join(PRODUCTS)}), looked at {folder}. "
        + remedy
    )


def open_product(folder: Path, choice: ProductChoice) -> list[LayerFile]:
    """The bands of a product folder; see `Product.open` and `find_product` for what is raised."""
    return find_product(folder).open(choice)
