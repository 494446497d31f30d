"""What an index knows of each item besides its vector, as a table: GeoParquet on disk. Coordinates are longitude and latitude (WGS 84).

GeoParquet 1.1: https://geoparquet.org/releases/v1.1.0/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eocore.errors import DataError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

CRS = "OGC:CRS84"
"""Longitude before latitude. Source: GeoParquet's default."""
GEOMETRY, WINDOW = "footprint", "window"


@dataclass(frozen=True)
class Document:
    """One item of an index.

    Attributes:
        key: unique in its index.
        image: absolute paths of the image's files, "; " between them; "" where only the words are known.
        caption: what is said of the image; "" where nothing is.
        time: when it was taken, as an ISO 8601 date or date-time; "" = unknown.
        sensor: names of the sensors, "+" between them; "" = unknown.
        cloud_cover: share of the image under clouds [%]; None = unknown.
        stamp: tells whether the item is the same as one that is indexed already.
        footprint: where it lies; None = unknown.
        window: the part of the image that is meant, "ROW,COL,HEIGHT,WIDTH" [px]; "" = all of it.
    """

    key: str
    image: str = ""
    caption: str = ""
    time: str = ""
    sensor: str = ""
    cloud_cover: float | None = None
    stamp: str = ""
    footprint: "BaseGeometry | None" = None
    window: str = ""


COLUMNS = tuple(field.name for field in fields(Document))


def as_table(documents: Iterable[Document]) -> Any:
    """A GeoDataFrame with a row a document, in their order."""
    import geopandas
    import pandas

    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for document in documents:
        for name in COLUMNS:
            columns[name].append(getattr(document, name))
    geometry = columns.pop(GEOMETRY)
    kinds = {name: "float64" if name == "cloud_cover" else "str" for name in columns}
    return geopandas.GeoDataFrame(pandas.DataFrame(columns).astype(kinds), geometry=geopandas.GeoSeries(geometry, crs=CRS)).rename_geometry(
        GEOMETRY
    )


def joined(tables: Iterable[Any]) -> Any:
    """The rows of several tables, in order."""
    import pandas

    return pandas.concat(list(tables), ignore_index=True)


def to_parquet(table: Any) -> bytes:
    """A table as GeoParquet."""
    file = BytesIO()
    table.to_parquet(file, index=False, schema_version="1.1.0", geometry_encoding="WKB")
    return file.getvalue()


def read_parquet(path: Path) -> Any:
    """The table of a file. Raises DataError where it is missing or broken, or a column is."""
    import geopandas
    import pyarrow

    try:
        table = geopandas.read_parquet(path)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: the items of the index cannot be read ({error}). Copy the index again, or build it anew.") from error
    if WINDOW not in table.columns:  # an index of whole images, written before there were others
        table[WINDOW] = ""
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; the table is of no index. Copy the index again, or build it anew.")
    return table


def row_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON values, without what is unknown: the footprint as its bounds [west, south, east, north]."""
    found = {name: row[name] for name in ("key", "image", WINDOW, "caption", "time", "sensor") if row[name]}
    if row["cloud_cover"] == row["cloud_cover"]:  # not NaN
        found["cloud_cover"] = float(row["cloud_cover"])
    if row[GEOMETRY] is not None and not row[GEOMETRY].is_empty:
        found["bounds"] = [round(value, 6) for value in row[GEOMETRY].bounds]
    return found
