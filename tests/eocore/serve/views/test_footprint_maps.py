"""Where items lie, as a picture and as outlines."""

import io

import numpy as np
import shapely
from PIL import Image

from eocore.serve.views.footprint_maps import density, outlines


def test_the_picture_is_stronger_where_more_items_lie() -> None:
    many = [shapely.box(10, 50, 10.01, 50.01)] * 50
    found = density(np.array([*many, shapely.box(12, 48, 12.01, 48.01), None, shapely.Polygon()], dtype=object))
    assert found is not None and found.num_items == 51
    west, south, east, north = found.bounds
    assert west < 10 and south < 48 and east > 12.01 and north > 50.01
    alpha = np.asarray(Image.open(io.BytesIO(found.png)))[..., 3]

    def at(x: float, y: float) -> int:
        return int(alpha[int((north - y) / (north - south) * alpha.shape[0]), int((x - west) / (east - west) * alpha.shape[1])])

    assert at(10.005, 50.005) > at(12.005, 48.005) > 0 and at(11, 49) == 0


def test_without_places_there_is_no_picture_and_one_place_is_enough() -> None:
    assert density(np.array([None, shapely.Polygon()], dtype=object)) is None
    found = density(np.array([shapely.Point(7, 51)], dtype=object))
    assert found is not None and found.bounds[0] < 7 < found.bounds[2]


def test_outlines_are_rings_of_latitude_and_longitude() -> None:
    two = shapely.MultiPolygon([shapely.box(1, 2, 3, 4), shapely.box(5, 6, 7, 8)])
    assert len(outlines(two)) == 2 and outlines(shapely.box(1, 2, 3, 4))[0][0] == [2.0, 3.0]
    assert outlines(None) == [] and outlines(shapely.Point(1, 2)) == []


def test_a_lonely_item_is_a_dot_that_can_be_seen_at_half_the_size() -> None:
    found = density(np.array([shapely.box(10, 50, 10.01, 50.01), shapely.box(12, 48, 12.01, 48.01)], dtype=object))
    assert found is not None
    alpha = np.asarray(Image.open(io.BytesIO(found.png)))[..., 3] > 0
    assert alpha.sum() == 2 * 7 * 7
