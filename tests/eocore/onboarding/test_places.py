"""Which images show one place: by coordinates, by names, by content; and pairs of groups."""

from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from rasterio.crs import CRS

from eocore.data.io.layer_file import Grid
from eocore.errors import ConfigError
from eocore.onboarding.choices import DatasetChoices, Findings
from eocore.onboarding.images import FoundImage
from eocore.onboarding.places import footprint, group_places, located, pair_images, scene_name

UTM32, UTM33 = (CRS.from_epsg(code).to_wkt() for code in (32632, 32633))


def image(path: str, east: float | None = None, *, north: float = 5_600_000, crs: str = UTM32, size: int = 10) -> FoundImage:
    grid = None if east is None else Grid(crs, Affine(10, 0, east, 0, -10, north))
    return FoundImage(path, (size, size), "uint8", (None,) * 3, grid)


def places(tmp_path: Path, *images: FoundImage, findings: Findings | None = None, **choices: Any) -> list[set[str]]:
    for one in images:
        (tmp_path / one.path).write_text(one.path)
    findings = findings or Findings()
    shapes = located(images)
    by_path = {one.path: one for one in images}
    sets = group_places(by_path, root=tmp_path, shapes=shapes, choices=DatasetChoices(**choices), findings=findings)
    found: dict[str, set[str]] = {}
    for path in by_path:
        found.setdefault(sets.find(path), set()).add(path)
    return list(found.values())


def test_images_that_overlap_are_one_place_and_those_that_touch_are_two(tmp_path: Path) -> None:
    chips = [image("a.tif", 500_000), image("b.tif", 500_050), image("c.tif", 500_150), image("d.tif", 500_250)]
    assert places(tmp_path, *chips) == [{"a.tif", "b.tif"}, {"c.tif"}, {"d.tif"}]


def test_ground_in_two_coordinate_systems_is_one_place(tmp_path: Path) -> None:
    first = image("a.tif", 760_000)
    middle = footprint(first)
    assert middle is not None
    from rasterio.warp import transform

    columns, rows = transform("EPSG:4326", CRS.from_wkt(UTM33), [middle.centroid.x], [middle.centroid.y])
    second = image("b.tif", columns[0] - 50, north=rows[0] + 50, crs=UTM33)
    assert places(tmp_path, first, second) == [{"a.tif", "b.tif"}]


def test_coordinates_that_most_images_share_may_be_one_place_or_none(tmp_path: Path) -> None:
    chips = [image(f"field{number}.tif", 0) for number in range(4)]
    with pytest.raises(ConfigError, match=r"4 of 4 images have the same coordinates.*--group-by location.*--group-by name"):
        places(tmp_path, *chips)
    assert len(places(tmp_path, *chips, group_by="name")) == 4 and len(places(tmp_path, *chips, group_by="location")) == 1


def test_chips_of_a_scene_stay_together_by_name(tmp_path: Path) -> None:
    names = ("s_0_0.png", "s_0_1.png", "t_r1_c2.png", "lake_7.png", "lake_8.png")
    assert places(tmp_path, *map(image, names)) == [{"s_0_0.png", "s_0_1.png"}, {"t_r1_c2.png"}, {"lake_7.png"}, {"lake_8.png"}]
    assert len(places(tmp_path, *map(image, names), group_by="name")) == 5
    assert len(places(tmp_path, *map(image, names), group_by="scene")) == 3


def test_equal_files_are_one_place(tmp_path: Path) -> None:
    chips = [image("lake.png"), image("wood.png")]
    for one in chips:
        (tmp_path / one.path).write_text("the same")
    sets = group_places({one.path: one for one in chips}, root=tmp_path, shapes={}, choices=DatasetChoices(), findings=Findings())
    assert sets.find("lake.png") == sets.find("wood.png")


def test_grouping_by_location_needs_coordinates(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--group-by location: 1 images have no coordinates \(b.png\). Group by scene or name"):
        places(tmp_path, image("a.tif", 500_000), image("b.png"), group_by="location")


@pytest.mark.parametrize(
    ("name", "least", "scene"), [("s_3_4", 2, "s"), ("s_4", 2, "s_4"), ("s_4", 1, "s"), ("3_4", 1, "3_4"), ("p12_x1_y2", 2, "p12_x1_y2")]
)
def test_the_scene_of_a_name(name: str, least: int, scene: str) -> None:
    assert scene_name(name, least=least) == scene


def pairs(optical: list[FoundImage], radar: list[FoundImage], findings: Findings | None = None, **choices: Any) -> dict[str, str]:
    groups = {"s2": optical, "s1": radar}
    found = pair_images(
        "s2", groups, shapes=located([*optical, *radar]), choices=DatasetChoices(**choices), findings=findings or Findings()
    )
    return {path: images["s1"].path for path, images in found.items() if "s1" in images}


def test_pairs_by_location_whatever_the_names_and_by_name_without_one() -> None:
    optical = [image("s2/x.tif", 500_000), image("s2/y.tif", 600_000), image("s2/lake_s2.tif")]
    radar = [image("s1/1.tif", 600_000), image("s1/2.tif", 500_000), image("s1/lake_s1.tif")]
    findings = Findings()
    assert pairs(optical, radar, findings) == {"s2/x.tif": "s1/2.tif", "s2/y.tif": "s1/1.tif", "s2/lake_s2.tif": "s1/lake_s1.tif"}
    assert findings.guessed == ["pairs: 3 of 3 images of s2 have a partner in s1 (2 by location, 1 by name)"]


def test_namesakes_that_lie_elsewhere_are_no_pair() -> None:
    optical, radar = [image("s2/x.tif", 500_000), image("s2/y.tif", 600_000)], [image("s1/x.tif", 700_000), image("s1/y.tif", 600_000)]
    findings = Findings()
    assert pairs(optical, radar, findings) == {"s2/y.tif": "s1/y.tif"}
    assert any("1 images of s2 have a namesake in s1 that lies elsewhere" in line for line in findings.unsure)
    assert pairs(optical, radar, pair_by="name")["s2/x.tif"] == "s1/x.tif"


def test_several_images_of_a_place_are_not_chosen_from_blindly() -> None:
    radar = [image("s1/may.tif", 500_000), image("s1/june.tif", 500_000), image("s1/far.tif", 900_000)]
    with pytest.raises(ConfigError, match=r"2 images show its place \(s1/may.tif; s1/june.tif\).*--pair-by name or location"):
        pairs([image("s2/x.tif", 500_000)], radar)
    assert pairs([image("s2/june.tif", 500_000)], radar) == {"s2/june.tif": "s1/june.tif"}


def test_groups_without_a_common_place_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"s1: none of its images shows a place of s2.*--leave-out s1"):
        pairs([image("s2/x.tif", 500_000)], [image("s1/y.tif", 700_000)])
