"""What a sent image is, from its header alone: sensor, bands, size, place."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eocore.data.io.image_files import open_layers
from eocore.data.io.readers import scene_georeference, scene_header
from eocore.data.records import ImageRef
from eocore.errors import BandError, DataError
from eocore.predict.image_files import tell_sensor
from eocore.sensors.bands import get_sensor
from eocore.sensors.scene import Georeference


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """An image before it is read.

    Attributes:
        role: "rgb", "multispectral" or "sar", as its sensor tells; "" where the sensor is not certain.
        sensor: name in the sensor registry; "" where it is not certain, and must be named before the image is asked about.
        bands: names, in order; where the sensor is not certain what the file calls its layers.
        size: (height, width) [px], north up.
        dtype: of the stored pixels; "" of a product, whose files may differ.
        georeference: where it lies; None where it says nothing.
    """

    role: str
    sensor: str
    bands: tuple[str, ...]
    size: tuple[int, int]
    dtype: str = ""
    georeference: Georeference | None = None


def image_facts(path: Path, *, sensor: str = "", bands: Sequence[str] = ()) -> ImageFacts:
    """The facts of an image file or a product folder.

    Args:
        path: of it.
        sensor: name in the registry; "" = told from the file, as far as it is certain.
        bands: names of the layers where they deviate from the sensor's own.

    Raises:
        DataError: it cannot be read.
        BandError: the named sensor is unknown, or does not fit the file.
    """
    found = sensor or _told(path)
    if not found:
        return _layers(path)
    ref = ImageRef(_role(found), found, (str(path),), bands=tuple(bands))
    header = scene_header(ref)
    dtype = "" if path.is_dir() else _layers(path).dtype
    place = scene_georeference(ref)
    return ImageFacts(role=ref.role, sensor=found, bands=header.bands, size=header.size, dtype=dtype, georeference=place)


def check_size(facts: ImageFacts, *, max_pixels: int, name: str) -> None:
    """Raise DataError if a picture that must be read whole has too many pixels; rasters are read by windows."""
    height, width = facts.size
    if get_sensor(facts.sensor).unit == "uint8" and facts.georeference is None and height * width > max_pixels:
        raise DataError(
            f"{name}: {height} x {width} px; this server takes pictures of up to {max_pixels / 1e6:g} million. Send a part of it."
        )


def _told(path: Path) -> str:
    """The sensor that number and type of the layers tell, where their names do not contradict it; "" where it is not certain."""
    for name in ("optical", "sar"):
        try:
            sensor = tell_sensor(name, [str(path)])
            scene_header(ImageRef(name, sensor, (str(path),)))
        except BandError:
            continue
        return sensor
    return ""


def _role(sensor: str) -> str:
    known = get_sensor(sensor)
    if known.unit == "uint8":
        return "rgb"
    return "sar" if known.unit == "sigma0_db" else "multispectral"


def _layers(path: Path) -> ImageFacts:
    file = open_layers(path)
    try:
        names = tuple(name or f"layer {number}" for number, name in enumerate(file.names, start=1))
        place = None if file.grid is None else Georeference(file.grid.crs, tuple(file.grid.transform)[:6], file.grid.misfit_px)
        return ImageFacts(role="", sensor="", bands=names, size=file.size, dtype=str(file.dtype), georeference=place)
    finally:
        file.close()
