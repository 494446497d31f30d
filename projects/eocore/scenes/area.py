"""An area of interest: the part of a scene that is mapped, and which of its pixels lie inside."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom

from eocore.data.records import Window
from eocore.errors import DataError
from eocore.scenes.place import Place

WGS84 = "EPSG:4326"
"""Of GeoJSON that names no other CRS (RFC 7946, section 4)."""
AREAS = ("Polygon", "MultiPolygon")


@dataclass(frozen=True)
class Area:
    """An area in the CRS of a scene.

    Attributes:
        geometry: GeoJSON of a polygon or several.
    """

    geometry: Mapping[str, Any]

    def window(self, place: Place, *, source: str) -> Window:
        """The smallest part of a scene that holds what it shares with the area.

        Args:
            place: of the scene.
            source: of the area, for messages.

        Raises:
            DataError: they share nothing.
        """
        inverse = ~Affine(*place.georeference.transform)
        corners = shapely.get_coordinates(shapely.geometry.shape(self.geometry))
        pixels = np.array([inverse @ (float(x), float(y)) for x, y in corners])
        left, top = (max(math.floor(value + 1e-6), 0) for value in pixels.min(axis=0))
        right, bottom = (
            min(math.ceil(value - 1e-6), most) for value, most in zip(pixels.max(axis=0), (place.width, place.height), strict=True)
        )
        if right <= left or bottom <= top:
            raise DataError(
                f"{source}: the area lies outside of the scene ({place}), so there is nothing to map. Give an area of the scene, in "
                "longitude and latitude, or the scene of the area."
            )
        return top, left, bottom - top, right - left

    def inside(self, transform: tuple[float, float, float, float, float, float], size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: pixels whose centres lie in the area.

        Args:
            transform: of the pixels.
            size: H, W.
        """
        found: np.ndarray = geometry_mask([self.geometry], out_shape=size, transform=Affine(*transform), invert=True)
        return found


def read_area(path: Path, *, crs: str) -> Area:
    """The polygons of a GeoJSON file, taken together, in the CRS of a scene.

    Args:
        path: of a geometry, a feature or a collection of features, in WGS 84 unless its member `crs` names another.
        crs: of the scene, WKT.

    Raises:
        DataError: it cannot be read, holds no polygon, or one that is not valid.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        own = CRS.from_user_input(content.get("crs", {}).get("properties", {}).get("name", WGS84))
        shapes = [shapely.geometry.shape(geometry) for geometry in _geometries(content)]
    except (OSError, ValueError, AttributeError, KeyError, TypeError, CRSError, shapely.errors.ShapelyError) as error:
        raise DataError(f"{path}: no GeoJSON of an area ({error}). Give a polygon, a feature or a collection of features.") from error
    wrong = [shape.geom_type for shape in shapes if shape.geom_type not in AREAS or shape.is_empty]
    if wrong or not shapes:
        raise DataError(f"{path}: holds {', '.join(wrong) or 'no geometry'}; an area is made of polygons. Correct the file.")
    broken = [shapely.is_valid_reason(shape) for shape in shapes if not shape.is_valid]
    if broken:
        raise DataError(f"{path}: a polygon is not valid ({broken[0]}), and what lies inside it is not clear. Correct it.")
    whole = shapely.geometry.mapping(shapely.union_all(shapes))
    return Area(transform_geom(own, CRS.from_wkt(crs), whole))


def _geometries(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if content["type"] == "FeatureCollection":
        return [geometry for feature in content["features"] for geometry in _geometries(feature)]
    return [content["geometry"]] if content["type"] == "Feature" else [content]
