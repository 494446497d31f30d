"""The image files and product folders that lie below a folder."""

import os
from pathlib import Path

from eocore.data.image_sources import IMAGE_SUFFIXES
from eocore.data.io.products.registry import PRODUCTS

IMAGE_ENDINGS = tuple(suffix for suffix in (*IMAGE_SUFFIXES, ".gtif") if suffix != ".json")


def list_images(root: Path) -> list[str]:
    """Paths of all image files and product folders below `root`, with "/", sorted.

    Nothing is looked for inside a product, nor in what is hidden (names that begin with a point).
    """
    found: list[str] = []
    for folder, inner, files in os.walk(root):
        here = Path(folder)
        products = {name for name in inner if any(kind.is_product(here / name) for kind in PRODUCTS.values())}
        inner[:] = sorted(name for name in inner if name not in products and not name.startswith("."))
        named = [*products, *(name for name in files if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith("."))]
        found += [(here / name).relative_to(root).as_posix() for name in named]
    return sorted(found)
