"""Images that an entry names itself."""

from pathlib import Path
from typing import Any

import pytest

from eocore.data.formats.entries import Entry
from eocore.data.formats.images import read_image_refs
from eocore.data.records import ImageRef
from eocore.errors import AnnotationError


def read(values: dict[str, Any], folder: Path) -> tuple[ImageRef, ...]:
    return read_image_refs(Entry(values, "own.jsonl:3"), folder)


def test_one_image_a_role_and_series_keep_the_order_of_the_entry(tmp_path: Path) -> None:
    series = [{"path": f"{day}.tif", "sensor": "sentinel2_l2a", "time": f"2024-05-{day}"} for day in ("01", "11")]
    bands = {"path": ["a.tif", "b.tif"], "sensor": "sentinel2_l2a", "bands": ["B02", "B03"]}
    found = read({"images": {"sar": "s.png", "optical": series, "multispectral": bands}}, tmp_path)
    assert [ref.label for ref in found] == ["sar", "optical 2024-05-01", "optical 2024-05-11", "multispectral"]
    assert found[0] == ImageRef("sar", "grey_uint8", (f"{tmp_path}/s.png",))
    assert found[3].paths == (f"{tmp_path}/a.tif", f"{tmp_path}/b.tif") and found[3].bands == ("B02", "B03")
    assert read({"image": "a.png"}, tmp_path) == (ImageRef("rgb", "rgb_uint8", (f"{tmp_path}/a.png",)),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"images": ["a.png"]}, r"own.jsonl:3: images \['a.png'\]; expected an object whose keys are roles"),
        ({"images": {"Radar 1": "a.png"}}, r"expected an object whose keys are roles"),
        ({"images": {"dem": "a.tif"}}, r"images.dem is 'a.tif'; expected .*A file alone does not tell its sensor"),
        ({"images": {"dem": {"path": "a.tif", "sensor": "grey_uint8", "time": "May"}}}, r"images.dem.time is 'May'; expected an ISO 8601"),
        ({"images": {"rgb": "../a.png"}}, r"is no relative path"),
        ({"image": ["a.png", "b.png"]}, r"own.jsonl:3: field 'image' lists 2 files .*means as many images; it names one"),
        (
            {"images": {"sar": {"path": "a.SAFE", "sensor": "sentinel1_grd", "gsd_m": -1}}},
            r"gsd_m -1 and noise_removal False",
        ),
        (
            {"images": {"sar": {"path": "a", "sensor": "sentinel1_grd", "noise_removal": 1}}},
            r"noise_removal 1; expected a positive number",
        ),
    ],
)
def test_faults_name_file_and_line(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=message):
        read(values, tmp_path)
