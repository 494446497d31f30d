"""GeoTIFFs on a web server, read by range requests: only where a command was told to, see `ImageRef.remote`."""

import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from eocore.data.io.image_files import GeoTiff
from eocore.data.io.layer_file import LayerFile
from eocore.data.io.tie_points import fitted_grid
from eocore.data.io.turned_file import with_north_up
from eocore.errors import DataError

SCHEMES = ("http", "https")
TIMEOUT_S = 60
OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": 3,
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_HTTP_TIMEOUT": TIMEOUT_S,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
}
"""No listing of folders, and no files beside the image. A server that is busy (429, 502, 503, 504) is asked again."""


def is_remote(path: str) -> bool:
    """Whether a path is the address of a file on a web server."""
    return urlsplit(path).scheme.lower() in SCHEMES


def without_query(path: str) -> str:
    """An address without its query, which may hold a signature that changes or must not be shown; any other path as it is."""
    return urlsplit(path)._replace(query="", fragment="").geturl() if is_remote(path) else path


def open_remote(url: str, *, indexed: bool = False) -> LayerFile:
    """The GeoTIFF at an address; GDAL may open that address alone.

    Args:
        url: http or https.
        indexed: its numbers are classes, see `eocore.data.io.image_files.open_layers`.

    Raises:
        DataError: it cannot be reached, or is no GeoTIFF.
    """
    raster = RemoteGeoTiff(url, indexed=indexed)
    if raster.grid is None and raster.tie_points:
        raster.grid = fitted_grid(raster.tie_points, raster.path)
    return with_north_up(raster)


class RemoteGeoTiff(GeoTiff):
    """A GeoTIFF of which blocks are fetched as they are read.

    Args:
        url: http or https.
        indexed: see `open_remote`.

    Raises:
        DataError: it cannot be reached, or is no GeoTIFF.
    """

    kind = "GeoTIFF on a web server"

    def __init__(self, url: str, *, indexed: bool = False) -> None:
        parts = urlsplit(url)
        self.path, self._indexed = Path(parts.netloc.rpartition("@")[2] + parts.path), indexed
        name = f"/vsicurl/{url}"
        options: Mapping[str, Any] = {**OPTIONS, "CPL_VSIL_CURL_ALLOWED_FILENAME": name}
        self._open(name, options=options)


def remote_state(url: str) -> list[Any]:
    """Address without query, size and tag of a file: what tells that it has changed. Unknown ones are None.

    Raises:
        DataError: the server cannot be reached, or has no such file.
    """
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            headers = answer.headers
            return [without_query(url), headers.get("Content-Length"), headers.get("ETag") or headers.get("Last-Modified")]
    except HTTPError as error:
        if error.code in (403, 405, 501):  # an address that is signed for GET alone refuses HEAD
            return [without_query(url), None, None]
        raise DataError(f"{without_query(url)}: the server answers {error.code} ({error.reason}). Correct the address.") from error
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(f"{without_query(url)}: cannot be reached ({error}). Correct the address, or fetch the file.") from error
