from pathlib import Path

import numpy as np
import pytest
import rasterio

from eocore.errors import BandError
from eocore.serve.image_facts import image_facts


def write(path: Path, names: tuple[str, ...], dtype: str = "uint16") -> Path:
    with rasterio.open(path, "w", driver="GTiff", count=len(names), dtype=dtype, height=8, width=9) as target:
        target.write(np.full((len(names), 8, 9), 20, dtype))
        target.descriptions = names
    return path


def test_a_sensor_is_told_where_the_names_of_the_layers_agree(tmp_path: Path) -> None:
    found = image_facts(write(tmp_path / "a.tif", ("VV", "VH"), "float32"))
    assert (found.sensor, found.role, found.bands, found.size) == ("sentinel1_grd", "sar", ("VV", "VH"), (8, 9))


def test_layers_that_are_named_as_another_sensors_do_not_tell_one_by_their_number(tmp_path: Path) -> None:
    found = image_facts(write(tmp_path / "a.tif", ("B04", "B08")))  # as many as radar has
    assert (found.sensor, found.role, found.bands, found.dtype) == ("", "", ("B04", "B08"), "uint16")
    named = image_facts(tmp_path / "a.tif", sensor="sentinel2_l2a")
    assert (named.role, named.bands) == ("multispectral", ("B04", "B08"))
    with pytest.raises(BandError):
        image_facts(tmp_path / "a.tif", sensor="sentinel1_grd")
