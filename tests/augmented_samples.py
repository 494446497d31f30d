"""What tests of augmentation start from: images of the synthetic world without files, and records on them."""

from functools import cache

import numpy as np

from eocore.data.changes import with_headers
from eocore.data.io.readers import SceneHeader
from eocore.data.records import ImageRef, Record
from eocore.portable.messages import read_turns
from eocore.sensors.scene import Georeference, Scene
from eocore.synthetic.spectra import OPTICAL_BANDS, SAR_BANDS, true_colour
from eocore.synthetic.world import SyntheticScene, make_scene

PLACE = Georeference("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_400_000.0))
SENSORS = {"rgb": "rgb_uint8", "multispectral": "sentinel2_l2a", "sar": "sentinel1_grd"}


@cache
def world_scene(number: int = 1) -> SyntheticScene:
    return make_scene("train", number, size=48)


def optical() -> Scene:
    return Scene(world_scene().optical, OPTICAL_BANDS, SENSORS["multispectral"], "reflectance", 10.0, PLACE, role="multispectral")


def radar() -> Scene:
    return Scene(world_scene().sar, SAR_BANDS, SENSORS["sar"], "sigma0_db", 10.0, PLACE, role="sar")


def picture() -> Scene:
    pixels = true_colour(world_scene().optical).transpose(2, 0, 1).astype(np.float32)
    return Scene(pixels, ("red", "green", "blue"), SENSORS["rgb"], "uint8", role="rgb")


def record_of(*texts: str, roles: tuple[str, ...] = ("multispectral", "sar"), size: tuple[int, int] = (48, 48), **fields: object) -> Record:
    """A record with images of some roles, none of which is opened; texts are question and answer in turn."""
    images = tuple(ImageRef(role, SENSORS[role], (f"{role}.tif",)) for role in roles)
    record = Record("a", images, read_turns(texts), source="a.json#1", **fields)  # type: ignore[arg-type]
    return with_headers(record, lambda ref: SceneHeader(*size, ("a",), "uint8", ref.role))
