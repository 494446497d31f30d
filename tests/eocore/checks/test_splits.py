"""Tiles that are trained on and tested on are found by their pixels, or by the ground they show."""

import numpy as np
from rasterio.crs import CRS

from eocore.checks.facts import DatasetFacts
from eocore.checks.splits import EVALUATION, TRAINING, describe_shared_tiles, tile_keys
from eocore.sensors.scene import Georeference, Scene

UTM = CRS.from_epsg(32632).to_wkt()


def scene(value: float, east: float | None = None) -> Scene:
    place = None if east is None else Georeference(UTM, (10.0, 0.0, east, 0.0, -10.0, 5e6))
    return Scene(
        np.full((1, 2, 2), value, np.float32), ("grey",), "grey_uint8", "uint8", georeference=place, path=f"{value}_{east}.tif", role="sar"
    )


def facts(name: str, section: str, *scenes: Scene) -> DatasetFacts:
    found = DatasetFacts(name, "LlavaDataset", f"{name}.json", frozenset({section}))
    for item in scenes:
        found.tiles.update(dict.fromkeys(tile_keys(item), item.path))
    return found


def test_equal_pixels_under_other_names_are_told() -> None:
    train = facts("train", TRAINING, scene(1), scene(2), scene(3))
    (found,) = describe_shared_tiles([train, facts("test", EVALUATION, scene(2), scene(9))])
    assert (
        found.startswith("1 images of 'test', which is evaluated on, hold the same pixels as images of 'train'") and "2_None.tif" in found
    )
    assert describe_shared_tiles([train, facts("test", EVALUATION, scene(8))]) == []
    assert describe_shared_tiles([train, facts("more", TRAINING, scene(2))]) == []


def test_one_place_at_another_time_is_told_where_tiles_lie_apart() -> None:
    train = facts("train", TRAINING, scene(1, 5e5), scene(2, 6e5))
    (found,) = describe_shared_tiles([train, facts("test", EVALUATION, scene(7, 6e5), scene(8, 9e5))])
    assert "1 images of 'test', which is evaluated on, show the same ground" in found
    alike = [
        facts(name, section, *(scene(number, 5e5) for number in numbers))
        for name, section, numbers in (("a", TRAINING, (1, 2, 3)), ("b", EVALUATION, (4, 5, 6)))
    ]
    assert describe_shared_tiles(alike) == []


def test_a_dataset_in_both_sections_is_told() -> None:
    both = DatasetFacts("tiles", "LlavaDataset", "a.json", frozenset({TRAINING, EVALUATION}))
    assert describe_shared_tiles([both]) == ["'tiles' is both trained on and evaluated on: its scores tell what was memorised."]
