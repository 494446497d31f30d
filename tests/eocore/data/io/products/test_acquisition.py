"""When images were taken and how cloudy they are: as the metadata of each kind of product state it."""

from pathlib import Path

import pytest

from eocore.data.io.products.acquisition import Acquisition, as_cloud_cover, as_time
from eocore.data.io.products.registry import find_product
from eocore.errors import DataError
from eocore.synthetic.product_folders import MadeLandsat, MadeSentinel1, MadeSentinel2, write_landsat, write_sentinel1, write_sentinel2


def altered(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("level", ["1C", "2A"])
def test_sentinel_2_states_both(tmp_path: Path, level: str) -> None:
    folder = write_sentinel2(tmp_path, MadeSentinel2(level, cloud_cover=40.25))
    assert find_product(folder).acquisition() == Acquisition("2023-06-13T10:10:31", 40.25)
    metadata = folder / f"MTD_MSIL{level}.xml"
    altered(metadata, "<Cloud_Coverage_Assessment>40.25<", "<Cloud_Coverage_Assessment>140.25<")
    with pytest.raises(DataError, match=rf"MTD_MSIL{level}\.xml: 140\.25 % of the scene .* expected 0 to 100"):
        find_product(folder).acquisition()
    altered(metadata, "<Cloud_Coverage_Assessment>140.25</Cloud_Coverage_Assessment>", "")
    altered(metadata, "<PRODUCT_START_TIME>2023-06-13T10:10:31.024Z</PRODUCT_START_TIME>", "")
    assert find_product(folder).acquisition() == Acquisition()


def test_sentinel_1_sees_through_clouds(tmp_path: Path) -> None:
    folder = write_sentinel1(tmp_path, MadeSentinel1())
    assert find_product(folder).acquisition() == Acquisition("2023-06-13T05:12:33")


@pytest.mark.parametrize("as_text", [False, True])
def test_landsat_states_both_and_minus_one_is_unknown(tmp_path: Path, as_text: bool) -> None:
    folder = write_landsat(tmp_path, MadeLandsat(as_text=as_text))
    assert find_product(folder).acquisition() == Acquisition("2021-07-15T10:01:48", 3.21)
    metadata = next(path for path in sorted(folder.glob("*_MTL.*")) if path.suffix in ((".txt",) if as_text else (".json",)))
    altered(metadata, '"3.21"', '"-1"')
    altered(metadata, '"10:01:48.6189540Z"', '""')
    assert find_product(folder).acquisition() == Acquisition("2021-07-15T00:00:00")


def test_what_is_no_date_and_no_share_is_refused() -> None:
    path = Path("MTD.xml")
    assert as_time("", path=path) == "" and as_cloud_cover(0, path=path) == 0
    with pytest.raises(DataError, match=r"MTD\.xml: 'yesterday' is no date-time in ISO 8601"):
        as_time("yesterday", path=path)
    with pytest.raises(DataError, match=r"MTD\.xml: -3 % of the scene"):
        as_cloud_cover(-3, path=path)
