"""Image files of a question: which sensor each is of, and the scenes that are read from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eocore.data.io.image_files import open_layers, resolve_path
from eocore.data.io.layer_file import LEFT_OUT
from eocore.data.io.products.registry import find_product
from eocore.data.io.readers import MAX_BYTES
from eocore.data.io.remote_files import is_remote, open_remote
from eocore.data.io.scene_sets import read_scenes
from eocore.data.records import ImageRef, Window
from eocore.errors import BandError, ConfigError
from eocore.log import get_logger
from eocore.predict.inputs import OPTICAL
from eocore.sensors.bands import get_sensor
from eocore.sensors.scene import Scene

DISPLAY_SENSORS = {1: "grey_uint8", 3: "rgb_uint8"}
OPTICAL_SENSORS = {12: "sentinel2_l2a", 13: "sentinel2_l1c"}
"""Number of layers -> sensor, where nothing is said: only counts that one sensor alone has."""
SAR_SENSOR = "sentinel1_grd"


ClassLayers = tuple[tuple[str, str], ...]
"""(kind, file or address) of layers of classes, such as ("scl", "a/SCL.tif")."""


@dataclass(frozen=True)
class ImageFile:
    """An image to ask about.

    Attributes:
        paths: one file, or one a band.
        sensor: name in the sensor registry; None = told from the file.
        bands: names of the layers in order, where they deviate from the sensor's own; "-" for a layer to leave out.
        window: the part to read; None = all.
        gsd_m, noise_removal: of products, see `eocore.data.records.ImageRef`.
        time, remote: see there.
        class_layers: that are known to belong to it.
    """

    paths: tuple[str, ...]
    sensor: str | None = None
    bands: tuple[str, ...] = ()
    window: Window | None = None
    gsd_m: float | None = None
    noise_removal: bool = False
    time: str = ""
    remote: bool = False
    class_layers: ClassLayers = ()


def read_images(files: Mapping[str, ImageFile], *, max_bytes: int | None = None) -> dict[str, Scene]:
    """The scenes of one location, by role.

    Args:
        files: input -> file; an input is a role, or "optical", which becomes rgb or multispectral as its sensor tells.
        max_bytes: refuse to read more than this for one image; None = MAX_BYTES of the readers.

    Raises:
        DataError: a file cannot be read, or the images show different locations.
        BandError: a sensor cannot be told from a file, or does not fit it.
        ConfigError: two files are given for one role.
    """
    refs = image_refs(files)
    scenes = read_scenes(tuple(refs.values()), root_of=lambda _: None, source=" and ".join(refs), max_bytes=max_bytes or MAX_BYTES)
    for scene in scenes:
        tell_empty_bands(scene)
    return dict(zip(refs, scenes, strict=True))


def image_refs(files: Mapping[str, ImageFile]) -> dict[str, ImageRef]:
    """What is to be read, by role; sensors that are not named are told from the files.

    Args:
        files: as `read_images`.

    Raises:
        DataError: a file cannot be read.
        BandError: a sensor cannot be told from a file.
        ConfigError: two files are given for one role.
    """
    refs: dict[str, ImageRef] = {}
    for name, file in files.items():
        sensor = file.sensor or tell_sensor(name, file.paths, bands=file.bands, remote=file.remote)
        if not file.sensor:
            get_logger().info("%s: taken for sensor %s; --sensor %s=NAME names another", file.paths[0], sensor, name)
        modality = name if name != OPTICAL else ("rgb" if get_sensor(sensor).unit == "uint8" else "multispectral")
        if modality in refs:
            raise ConfigError(f"--{name} is a {modality} image, and another one is given. Give one image of each kind.")
        ref = ImageRef(modality, sensor, file.paths, bands=file.bands, window=file.window)
        refs[modality] = replace(ref, gsd_m=file.gsd_m, noise_removal=file.noise_removal, time=file.time, remote=file.remote)
    return refs


def tell_empty_bands(scene: Scene) -> None:
    """Warns of bands without any data."""
    empty = [band for band, layer in zip(scene.bands, scene.pixels, strict=True) if not np.isfinite(layer).any()]
    if empty:
        get_logger().warning("%s: band %s holds no data anywhere; the model sees nothing there", scene.path, ", ".join(empty))


def with_sensor(name: str, file: ImageFile) -> ImageFile:
    """The file of an input with its sensor, told from it where it is not named; the caller says once which were told.

    Raises:
        BandError: it is not certain.
    """
    return file if file.sensor else replace(file, sensor=tell_sensor(name, file.paths, bands=file.bands))


def tell_sensor(name: str, paths: Sequence[str], *, bands: Sequence[str] = (), remote: bool = False) -> str:
    """The sensor of a file of which only number and type of its layers are known.

    Args:
        name: the input.
        paths: its files.
        bands: given names of the layers, of which "-" leaves some out.
        remote: paths may be addresses.

    Raises:
        BandError: it is not certain.
    """
    there = [remote and is_remote(path) for path in paths]
    if not there[0] and len(paths) == 1 and (folder := resolve_path(paths[0], folders=True)).is_dir():
        return find_product(folder).sensor
    layers = [open_remote(path) if far else open_layers(resolve_path(path)) for path, far in zip(paths, there, strict=True)]
    count, dtype = sum(len(file.names) for file in layers) - list(bands).count(LEFT_OUT), layers[0].dtype
    for file in layers:
        file.close()
    if dtype.itemsize == 1:
        sensor = DISPLAY_SENSORS.get(count)
    elif name == "sar":
        sensor = SAR_SENSOR if count == 2 else None
    else:
        sensor = OPTICAL_SENSORS.get(count) if dtype.kind in "iu" else None
    if sensor is None:
        several = f" {len(paths)} files are taken for the bands of one image; ask about each image by a command of its own."
        raise BandError(
            f"{paths[0]}: {count} layers of {dtype} do not tell the sensor, and without it bands would be mistaken for others. Name it: "
            f"--sensor {name}=NAME (see eocore/sensors/bands.py), with --bands {name}=B02,B03,... where the file holds only some."
            + (several if len(paths) > 1 else "")
        )
    return sensor
