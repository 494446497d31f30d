"""Small pictures of the items of an index."""

from dataclasses import replace

from eocore.predict.image_files import ImageFile, image_refs
from eocore.serve.views.composites import composites
from eocore.serve.views.raster import RasterImage

SIDE_PX = 160
STRETCH = "fixed"
"""The same limits for all, so that a dark item looks dark beside a bright one."""


def chip_png(files: dict[str, ImageFile]) -> bytes:
    """A PNG of the first image.

    Args:
        files: input -> image; of a part alone that part is drawn.

    Raises:
        DataError: it cannot be read.
        BandError: its sensor cannot be told, or does not fit it.
    """
    name, file = next(iter(files.items()))
    (ref,) = image_refs({name: replace(file)}).values()
    raster = RasterImage(ref)
    return raster.thumbnail(composites(ref.sensor, raster.header.bands)[0].name, STRETCH, side=SIDE_PX)
