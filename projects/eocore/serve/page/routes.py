"""What the page's pictures and links fetch: tiles, thumbnails, overlays, files of masks. A browser gets its own tabs' alone."""

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from fastapi import APIRouter, HTTPException, Request, Response

from eocore.errors import AccessError, ConfigError, EOError
from eocore.serve.page.desk import Desk, MaskLayer
from eocore.serve.page.tabs import Tab, Tabs
from eocore.serve.views.base_maps import BaseMap, BaseTiles
from eocore.serve.views.mask_results import FORMAT_TITLES, MEDIA_TYPES, file_stem, mask_file, overlay_png
from eocore.serve.views.raster import TileAddress

ROOT = "/page"
BASE_MAP = f"{ROOT}/basemap/{{z}}/{{x}}/{{y}}.png"
"""Template of the addresses of the base map's tiles."""
BROWSER = "id"
"""Key of the browser's id in NiceGUI's signed cookie."""
KEPT = "private, max-age=3600, immutable"
"""Pictures never change: another composite has another address."""
THUMBNAIL_PX = 256
NOT_FOUND, UNPROCESSABLE = 404, 422
Found = TypeVar("Found")
IMAGE_ENDINGS = re.compile(r"\.(tiff?|png|jpe?g|zip)$", re.IGNORECASE)
MOST_DRAWN = 4
"""Tiles that are drawn at once: each takes a core and some memory."""


def tile_address(tab: Tab, image: str, *, composite: str, stretch: str) -> str:
    """Template of the tiles' addresses, with {z}, {x} and {y}."""
    return f"{ROOT}/{tab.key}/images/{image}/{composite}/{stretch}/{{z}}/{{x}}/{{y}}.png"


def thumbnail_address(tab: Tab, image: str, *, composite: str, stretch: str) -> str:
    """Address of a small picture of the whole image."""
    return f"{ROOT}/{tab.key}/images/{image}/{composite}/{stretch}/thumbnail.png"


def overlay_address(tab: Tab, layer: str) -> str:
    """Address of a mask as an overlay."""
    return f"{ROOT}/{tab.key}/masks/{layer}/overlay.png"


def download_address(tab: Tab, layer: str, *, ending: str) -> str:
    """Address of a file of one mask, or of all masks of an answer, whose key is its round's."""
    return f"{ROOT}/{tab.key}/masks/{layer}/file.{ending}"


class _Drawing:
    """Pictures that are drawn in threads, a few at once."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MOST_DRAWN)

    async def __call__(self, draw: Callable[[], bytes]) -> Response:
        try:
            async with self._turns:
                content = await asyncio.to_thread(draw)
        except EOError as error:
            raise _refused(error) from error
        return Response(content, media_type="image/png", headers={"Cache-Control": KEPT})


def base_map_routes(base_map: BaseMap) -> APIRouter:
    """The tiles of the base map, which is the same for all tabs.

    Args:
        base_map: that is drawn.
    """
    router = APIRouter(include_in_schema=False)
    tiles, drawn = BaseTiles(base_map), _Drawing()

    @router.get(f"{ROOT}/basemap/{{level}}/{{column}}/{{row}}.png")
    async def base_tile(level: int, column: int, row: int) -> Response:  # noqa: PLR0917
        return await drawn(lambda: tiles.tile(level, column, row=row))

    return router


def page_routes(tabs: Tabs) -> APIRouter:
    """What belongs to tabs."""
    router = APIRouter(prefix=f"{ROOT}/{{key}}", include_in_schema=False)
    drawn = _Drawing()

    @router.get("/images/{image}/{composite}/{stretch}/{level}/{column}/{row}.png")
    async def tile(request: Request, key: str, image: str, composite: str, stretch: str, level: int, column: int, row: int) -> Response:  # noqa: PLR0913, PLR0917
        found = _tab(tabs, request, key=key)
        raster = _of(found.image, image).raster
        return await drawn(lambda: raster.tile(composite, stretch, address=TileAddress(level, column, row)))

    @router.get("/images/{image}/{composite}/{stretch}/thumbnail.png")
    async def thumbnail(request: Request, key: str, image: str, composite: str, stretch: str) -> Response:  # noqa: PLR0917
        raster = _of(_tab(tabs, request, key=key).image, image).raster
        return await drawn(lambda: raster.thumbnail(composite, stretch, side=THUMBNAIL_PX))

    @router.get("/masks/{layer}/overlay.png")
    async def overlay(request: Request, key: str, layer: str) -> Response:  # noqa: PLR0917
        found = _of(_tab(tabs, request, key=key).layer, layer)
        return await drawn(lambda: overlay_png(found.mask, colour=found.colour))

    @router.get("/masks/{layer}/file.{ending}")
    async def file(request: Request, key: str, layer: str, ending: str) -> Response:  # noqa: PLR0917
        desk = _tab(tabs, request, key=key).desk
        layers = _layers(desk, layer)
        names = [each.name for each in layers]
        try:
            masks, grid = [each.stored for each in layers], layers[0].grid
            content = await asyncio.to_thread(mask_file, masks, names, grid=grid, ending=ending)
        except EOError as error:
            raise _refused(error) from error
        headers = {
            "Content-Disposition": f'attachment; filename="{_file_name(desk, layers)}.{ending}"',
            "Cache-Control": "private, no-store",
        }
        return Response(content, media_type=MEDIA_TYPES[ending], headers=headers)

    return router


def endings(layer: MaskLayer) -> dict[str, str]:
    """Ending -> title of the files that a mask can be written as."""
    return {ending: title for ending, title in FORMAT_TITLES.items() if ending == "png" or not math.isnan(layer.area_m2)}


def _layers(desk: Desk, key: str) -> list[MaskLayer]:
    """One mask, or those of an answer."""
    if key in desk.layers:
        return [desk.layers[key]]
    named = next((each.masks for each in desk.rounds if each.key == key), [])
    found = [desk.layers[name] for name in named if name in desk.layers]
    if not found:
        raise HTTPException(NOT_FOUND, "there is no such mask")
    return found


def _file_name(desk: Desk, layers: Sequence[MaskLayer]) -> str:
    """Image, question and mask in plain characters, so that files of several answers are told apart."""
    first = layers[0]
    image = desk.images.get(first.image)
    question = next((each.question for each in desk.rounds if first.key in each.masks), "")
    title = "" if image is None else IMAGE_ENDINGS.sub("", image.title)
    parts = (title, question, first.name if len(layers) == 1 else "masks")
    return "_".join(file_stem(part) for part in parts if part)


def _tab(tabs: Tabs, request: Request, *, key: str) -> Tab:
    return _of(lambda each: tabs.find(str(request.session.get(BROWSER, "")), each), key)


def _of(find: Callable[[str], Found], key: str) -> Found:
    try:
        return find(key)
    except AccessError as error:
        raise HTTPException(NOT_FOUND, "there is no such thing here") from error


def _refused(error: EOError) -> HTTPException:
    """What is told of an error: an address that names nothing, or a file that cannot be read."""
    status = NOT_FOUND if isinstance(error, ConfigError) else UNPROCESSABLE
    return HTTPException(status, "there is no such picture" if status == NOT_FOUND else "this picture cannot be drawn")
