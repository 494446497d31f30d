"""Which items of an index a query is about: by sensor, date, cloud cover and place."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eocore.data.records import is_time
from eocore.errors import ConfigError, DataError
from eocore.log import get_logger
from eocore.search.documents import CRS, GEOMETRY
from eocore.search.extra import check_extra
from eocore.text import did_you_mean, some_of

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

LIMITS = (-180.0, -90.0, 180.0, 90.0)
SENSOR_JOINT = "+"


@dataclass(frozen=True)
class Filters:
    """What items must be; what is None or empty does not count. An item of which nothing is known never fits a filter that asks for it.

    Attributes:
        sensors: one of these is among the item's.
        since, until: first and last day or moment, ISO 8601; a day is meant whole.
        max_cloud: most clouds [%].
        area: the footprint touches it.
    """

    sensors: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    max_cloud: float | None = None
    area: "BaseGeometry | None" = None

    def __post_init__(self) -> None:
        for name, text in (("since", self.since), ("until", self.until)):
            if text and not is_time(text):
                raise ConfigError(f"--{name} {text}: expected an ISO 8601 date or date-time, such as 2024-05-31 or 2024-05-31T10:15:00Z.")
        if self.max_cloud is not None and not 0 <= self.max_cloud <= 100:
            raise ConfigError(f"--max-cloud {self.max_cloud:g}: expected a share of the image in percent, 0 to 100.")

    def fitting(self, table: Any) -> np.ndarray | None:
        """(N,) bool, which rows fit; None where nothing is asked for.

        Args:
            table: of the index's items.

        Raises:
            DataError: no item of the index has the property, or is of a sensor.
        """
        parts = [part for part in (self._sensors(table), self._times(table), self._clouds(table), self._place(table)) if part is not None]
        return np.logical_and.reduce(parts) if parts else None

    def _sensors(self, table: Any) -> np.ndarray | None:
        if not self.sensors:
            return None
        names = {text: set(text.split(SENSOR_JOINT)) for text in table["sensor"].unique() if text}
        known = sorted(set().union(*names.values()))
        for sensor in self.sensors:
            if sensor not in known:
                raise DataError(f"no item is of sensor '{sensor}'.{did_you_mean(sensor, known)} Sensors of this index: {some_of(known)}.")
        fitting = {text for text, found in names.items() if found & set(self.sensors)}
        return np.array([text in fitting for text in table["sensor"]])

    def _times(self, table: Any) -> np.ndarray | None:
        if not self.since and not self.until:
            return None
        import pandas

        times = pandas.to_datetime(table["time"].where(table["time"] != ""), utc=True, format="ISO8601")
        _tell_unknown("date", np.asarray(times.isna()))
        fits = np.array(times.notna())
        if self.since:
            fits &= np.asarray(times >= _moment(self.since))
        if self.until:
            end = _moment(self.until)
            fits &= np.asarray(times < end + pandas.Timedelta(days=1) if len(self.until) <= len("2024-05-31") else times <= end)
        return fits

    def _clouds(self, table: Any) -> np.ndarray | None:
        if self.max_cloud is None:
            return None
        clouds = table["cloud_cover"].to_numpy(dtype=float)
        _tell_unknown("cloud cover", np.isnan(clouds))
        return np.nan_to_num(clouds, nan=np.inf) <= self.max_cloud

    def _place(self, table: Any) -> np.ndarray | None:
        if self.area is None:
            return None
        _tell_unknown("footprint", np.asarray(table[GEOMETRY].isna() | table[GEOMETRY].is_empty))
        fits = np.zeros(len(table), dtype=bool)
        fits[table.sindex.query(self.area, predicate="intersects")] = True
        return fits


def _moment(text: str) -> Any:
    """A date or date-time; one that names no zone is meant in UTC."""
    import pandas

    moment = pandas.Timestamp(text)
    return moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")


def _tell_unknown(what: str, unknown: np.ndarray) -> None:
    """Say of how many items the property is not known. Raise DataError where it is known of none."""
    if unknown.all():
        raise DataError(
            f"no item of this index has a known {what}, so none can fit. Leave the filter out, or index a table that states it."
        )
    if unknown.any():
        get_logger().info("%d of %d items have no known %s: they do not fit", int(unknown.sum()), len(unknown), what)


def parse_box(text: str) -> "BaseGeometry":
    """The area of WEST,SOUTH,EAST,NORTH in degrees; one whose west lies east of its east goes over the antimeridian.

    Raises:
        ConfigError: another form, or coordinates that are none.
    """
    from shapely import union_all
    from shapely.geometry import box

    try:
        west, south, east, north = (float(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--box {text}: expected WEST,SOUTH,EAST,NORTH in degrees, such as 11.3,48.0,11.8,48.3.") from error
    if not (LIMITS[0] <= west <= LIMITS[2] and LIMITS[0] <= east <= LIMITS[2] and LIMITS[1] <= south <= north <= LIMITS[3]):
        raise ConfigError(f"--box {text}: expected longitudes from -180 to 180 and latitudes from -90 to 90, the southern one first.")
    if west <= east:
        return box(west, south, east, north)
    return union_all([box(west, south, LIMITS[2], north), box(LIMITS[0], south, east, north)])


def read_area(path: Path) -> "BaseGeometry":
    """All areas of a vector file (GeoJSON, GeoPackage, shapefile ...), in longitude and latitude.

    Raises:
        DataError: it cannot be read, names no coordinate system, or holds no area.
    """
    check_extra()
    import geopandas
    from pyogrio import errors

    try:
        shapes = geopandas.read_file(path)
    except (errors.DataSourceError, errors.DataLayerError, OSError, ValueError) as error:
        raise DataError(f"{path}: no file of areas that can be read ({error}). Give GeoJSON, a GeoPackage or a shapefile.") from error
    if not hasattr(shapes, "geometry") or shapes.empty or shapes.geometry.is_empty.all() or shapes.crs is None:
        raise DataError(f"{path}: holds no geometry, or none whose coordinate system is named. Give GeoJSON, a GeoPackage or a shapefile.")
    return shapes.to_crs(CRS).geometry.make_valid().union_all()
