"""The images below a folder: files and products as delivered, by groups of one kind, from their headers alone."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eocore.data.io.image_files import open_layers, resolve_path
from eocore.data.io.image_listing import IMAGE_ENDINGS
from eocore.data.io.layer_file import Grid
from eocore.data.io.products.layers import ProductChoice
from eocore.data.io.products.registry import find_product
from eocore.errors import DataError
from eocore.onboarding.choices import Findings

TOP = "."
"""Label of the images that lie in the root folder itself."""


@dataclass(frozen=True)
class FoundImage:
    """One image.

    Attributes:
        path: below the root, with "/".
        size: (height, width) [px].
        dtype: numpy name of the type of its pixels.
        names: of its layers, None where the file says nothing.
        grid: where it lies, None where the file says nothing.
        sensor: of a product, else "".
    """

    path: str
    size: tuple[int, int]
    dtype: str
    names: tuple[str | None, ...]
    grid: Grid | None = None
    sensor: str = ""

    @property
    def folder(self) -> str:
        """Below the root; TOP for the root itself."""
        return os.path.dirname(self.path) or TOP

    @property
    def name(self) -> str:
        """Of the file or folder, without an image suffix."""
        base = os.path.basename(self.path)
        return os.path.splitext(base)[0] if os.path.splitext(base)[1].lower() in IMAGE_ENDINGS else base

    @property
    def kind(self) -> str:
        """What images of one sensor have in common: number and type of layers, or the product's sensor."""
        return self.sensor or f"{len(self.names)}x{self.dtype}"


Groups = dict[str, list[FoundImage]]
"""Label -> images of one kind, sorted by path."""


def read_image(root: Path, path: str) -> FoundImage:
    """What the header of an image says.

    Args:
        root: folder that the path is relative to and must not leave.
        path: of a file, or of a product's folder.

    Raises:
        DataError: it is missing, or cannot be read.
    """
    resolved = resolve_path(path, root=root, folders=True)
    if resolved.is_dir():
        sensor = find_product(resolved).sensor
        layers = find_product(resolved).open(ProductChoice(sensor))
    else:
        sensor, layers = "", [open_layers(resolved)]
    try:
        names = tuple(name for layer in layers for name in layer.names)
        return FoundImage(path, layers[0].size, layers[0].dtype.name, names, layers[0].grid, sensor)
    finally:
        for layer in layers:
            layer.close()


def read_images(root: Path, paths: Iterable[str], *, findings: Findings) -> list[FoundImage]:
    """The images that can be read; the others are added to what is skipped."""
    found = []
    for path in paths:
        try:
            found.append(read_image(root, path))
        except DataError as error:
            findings.skip(str(root / path), error)
    return found


def group_images(images: Sequence[FoundImage]) -> Groups:
    """The images by folder; where a folder holds several kinds, by kind too: "FOLDER/KIND", or KIND in the root folder."""
    folders: dict[str, dict[str, list[FoundImage]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        folders[image.folder][image.kind].append(image)
    groups: Groups = {}
    for folder, kinds in folders.items():
        for kind, group in kinds.items():
            label = folder if len(kinds) == 1 else kind if folder == TOP else f"{folder}/{kind}"
            groups[label] = sorted(group, key=lambda image: image.path)
    return groups


def describe_groups(groups: Mapping[str, Sequence[FoundImage]]) -> list[str]:
    """One line a group: number, kind and sizes of its images."""
    lines = []
    for label, images in groups.items():
        sizes = sorted({image.size for image in images})
        shown = f"{sizes[0][0]} x {sizes[0][1]} px" if len(sizes) == 1 else f"{len(sizes)} sizes from {sizes[0]} to {sizes[-1]} px"
        where = sum(image.grid is not None for image in images)
        lines.append(f"{label}: {len(images)} images, {images[0].kind}, {shown}, {where} georeferenced")
    return lines
