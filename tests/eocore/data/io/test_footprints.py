"""Outlines on the globe, also over the antimeridian."""

import pytest

from eocore.data.io.footprints import outline

RING = [[179.0, 10.0], [179.0, 8.0], [-179.0, 8.0], [-179.0, 10.0], [179.0, 10.0]]


def test_a_ring_is_its_polygon() -> None:
    shape = outline([[1, 2], [1, 4], [3, 4], [3, 2], [1, 2]])
    assert shape.geom_type == "Polygon" and shape.bounds == (1, 2, 3, 4)


def test_over_the_antimeridian_there_are_two_parts_of_the_same_area() -> None:
    shape = outline(RING)
    assert shape.geom_type == "MultiPolygon" and shape.is_valid
    assert sorted(part.bounds for part in shape.geoms) == [(-180.0, 8.0, -179.0, 10.0), (179.0, 8.0, 180.0, 10.0)]  # type: ignore[attr-defined]
    assert shape.area == pytest.approx(4.0)
