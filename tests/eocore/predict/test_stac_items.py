"""STAC items as images: which assets are bands, and what is no item."""

import json
from pathlib import Path
from typing import Any

import pytest

from eocore.data.formats.entries import Entry
from eocore.errors import AnnotationError, ConfigError
from eocore.predict.image_files import ImageFile
from eocore.predict.items import find_items
from eocore.predict.stac_items import image_of, stac_entries

TIFF = "image/tiff; application=geotiff"


def image(assets: Any, *, sensor: str | None = "sentinel2_l2a", **properties: Any) -> ImageFile:
    return image_of(Entry({"id": "a", "assets": assets, "properties": properties}, "item.json"), folder=Path("/data"),
                    said=ImageFile((), sensor), name="optical")  # fmt: skip


def test_bands_come_in_the_order_of_the_sensor_whatever_they_are_called() -> None:
    found = image(
        {
            "nir": {"href": "https://host/B8.tif", "type": TIFF},
            "B02": {"href": "./B2.tif", "type": TIFF},
            "x": {"href": "/abs/B4.tif", "type": TIFF, "eo:bands": [{"name": "x", "common_name": "red"}]},
            "scl": {"href": "SCL.tif", "type": TIFF},
        },
        datetime="2024-05-01T10:00:00Z",
    )
    assert found.bands == ("B02", "B04", "B08") and found.paths == ("/data/B2.tif", "/abs/B4.tif", "https://host/B8.tif")
    assert found.time == "2024-05-01T10:00:00Z" and found.sensor == "sentinel2_l2a"


def test_one_image_of_all_bands_is_taken_as_it_is() -> None:
    assets = {"image": {"href": "a.tif", "type": TIFF, "roles": ["data"]}, "thumb": {"href": "a.png", "roles": ["thumbnail"]}}
    assert image(assets, sensor=None) == ImageFile(("/data/a.tif",))
    assert image(assets).paths == ("/data/a.tif",)


@pytest.mark.parametrize(
    ("assets", "layers"),
    [
        ({"scl": {"href": "SCL.tif", "type": TIFF}, "scl-jp2": {"href": "SCL.jp2", "type": "image/jp2"}}, [("scl", "/data/SCL.tif")]),
        ({"SCL": {"href": "https://host/x.tif?sig=1", "roles": ["data"]}}, [("scl", "https://host/x.tif?sig=1")]),
        ({"SCL_20m": {"href": "a.jp2"}, "SCL_60m": {"href": "b.jp2"}}, [("scl", "/data/a.jp2")]),
        ({"x": {"href": "a.tif", "eo:bands": [{"name": "SCL"}]}}, [("scl", "/data/a.tif")]),
        ({"classes": {"href": "T32_20240501_SCL_20m.tif", "roles": ["data"]}}, [("scl", "/data/T32_20240501_SCL_20m.tif")]),
        ({"qa_pixel": {"href": "QA.TIF", "roles": ["cloud", "cloud-shadow"]}}, [("qa_pixel", "/data/QA.TIF")]),
        ({"scl": {"href": "a.png", "roles": ["thumbnail"]}, "muscle": {"href": "b.tif"}, "cloud": {"href": "c.tif"}}, []),
        ({"scl": {"href": "a.tif"}, "SCL": {"href": "b.tif"}}, [("scl", "/data/a.tif"), ("scl", "/data/b.tif")]),
    ],
)
def test_layers_of_classes_are_told_by_key_band_or_file(assets: Any, layers: list[tuple[str, str]]) -> None:
    """Keys as Earth Search, the Planetary Computer, the Copernicus Data Space and USGS have them."""
    assert image({"B02": {"href": "B2.tif"}, **assets}).class_layers == tuple(layers)


def test_a_layer_of_classes_is_no_image_of_all_bands() -> None:
    assets = {name: {"href": f"{name}.tif", "type": TIFF, "roles": ["data"]} for name in ("image", "SCL")}
    assert image(assets, sensor=None) == ImageFile(("/data/image.tif",), class_layers=(("scl", "/data/SCL.tif"),))


@pytest.mark.parametrize(
    ("assets", "sensor", "message"),
    [
        (
            {"a": {"href": "a.tif"}},
            "sentinel2_l2a",
            r"its assets \(a\) hold 0 images of all bands, and none is a band of sentinel2_l2a.* media type image/tiff",
        ),
        ({"B02": {"href": "a.tif"}}, None, r"no sensor is named, by which bands are told\. Name its sensor: --sensor optical=NAME"),
        ({"B02": {"href": "a.tif"}, "blue": {"href": "b.tif"}}, "sentinel2_l2a", r"assets B02, blue are all band B02"),
        ({"B02": {}}, "sentinel2_l2a", r"must map keys to objects with an address \(href\)"),
        ([], "sentinel2_l2a", r"must map keys to objects"),
        ({"B02": {"href": "a\x00.tif"}}, "sentinel2_l2a", r"an asset has the address 'a"),
    ],
)
def test_items_that_do_not_tell_their_bands_are_refused(assets: Any, sensor: str | None, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        image(assets, sensor=sensor)


def test_what_is_no_stac_is_left_to_others(tmp_path: Path) -> None:
    for content in ("[]", "{", '{"type": "FeatureCollection", "features": [{"type": "Feature"}]}', '"text"'):
        (tmp_path / "a.json").write_text(content)
        assert stac_entries(tmp_path / "a.json") is None
    assert stac_entries(tmp_path / "none.json") is None and stac_entries(tmp_path / "a.tif") is None


def test_items_stand_alone_and_have_ids_that_stay_in_the_folder(tmp_path: Path) -> None:
    item = {"type": "Feature", "id": "../up", "assets": {"image": {"href": "a.tif", "type": TIFF, "roles": ["data"]}}}
    (tmp_path / "item.json").write_text(json.dumps(item))
    (tmp_path / "b.tif").touch()
    with pytest.raises(AnnotationError):
        find_items([str(tmp_path / "item.json")], options={})
    (tmp_path / "item.json").write_text(json.dumps({**item, "id": "one"}))
    with pytest.raises(ConfigError, match=r"b\.tif: no STAC item, while others are"):
        find_items([str(tmp_path / "item.json"), str(tmp_path / "b.tif")], options={})
    (found,) = find_items([f"sar={tmp_path / 'item.json'}"], options={})
    assert found.item_id == "one" and found.files == {"sar": ImageFile((str(tmp_path / "a.tif"),))}
