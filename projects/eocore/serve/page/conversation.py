"""A question of a tab put to the service, and its answer brought onto the desk piece by piece."""

import asyncio
import math
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from eocore.data.records import MaskRef, Window
from eocore.errors import ConfigError, EOError
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile
from eocore.serve.page.desk import Desk, DeskImage, MaskLayer, Piece, Region, Round
from eocore.serve.page.messages import told
from eocore.serve.requests import ChatTurn, Done, Event, GenerateRequest, MaskMark, Masks, ModelCard, TextDelta
from eocore.serve.service import Service
from eocore.serve.views.mask_results import area_m2

EMPTY = "The model's answer is empty."
CUT_SHORT = "The answer is as long as it may be; the options below allow more."
STOPPED = "Stopped."


def begin_round(desk: Desk, card: ModelCard, *, question: str, max_pixels: float = math.inf) -> tuple[Round, GenerateRequest]:
    """The round of a question on the desk, and the request that answers it.

    Args:
        desk: of the tab; the round is added to it.
        card: of the model that is asked.
        question: as typed.
        max_pixels: of an image that the model may see whole; of a larger one it sees the region alone.

    Raises:
        ConfigError: nothing was typed, the region lies on no image that the model sees, or one of several images of a role has no date.
    """
    if not question.strip():
        raise ConfigError("Type a question first.")
    shown, region = desk.shown(series=card.reads_series), desk.region
    is_series = set(shown) != {image.role for image in shown.values()}
    if is_series:
        _check_dates(shown)
    if region is not None:
        shown = _region_first(shown, region) if not is_series else _with_region(shown, region)
    use = desk.region_use if can_point(desk, card, max_pixels=max_pixels) else "cut"
    keys = {role: image.key for role, image in shown.items()}
    is_cut = region is not None and use == "cut"
    past = [] if is_cut else desk.earlier_turns(keys, card.name)
    made = Round(question=question.strip(), model=card.name, images=keys, region=region, is_new=not past)
    made.region_use = use if region else "point"
    settings = desk.settings
    request = GenerateRequest(
        model=card.name,
        turns=(*(ChatTurn(role, text) for role, text in past), ChatTurn("user", made.question)),
        images=_files(shown, region if is_cut else None, dated=is_series),
        regions=() if region is None or is_cut else (_mask_ref(region, [image.key for image in shown.values()].index(region.image)),),
        max_new_tokens=settings.max_new_tokens,
        generation=settings.generation(),
        seed=settings.seed if settings.samples else None,
    )
    desk.rounds.append(made)
    desk.begins_anew = False
    return made, request


def can_point(desk: Desk, card: ModelCard, *, max_pixels: float) -> bool:
    """Whether the model can see the region in the whole image: it reads regions, and no image that it sees is larger than it may be."""
    shown = desk.shown(series=card.reads_series)
    return card.reads_regions and all(math.prod(image.size) <= max_pixels for image in shown.values())


async def answer(service: Service, desk: Desk, *, made: Round, request: GenerateRequest) -> None:
    """Brings the answer onto the desk; an error becomes the round's note. Cancelling stops the answer, which stays as far as it came.

    Args:
        service: that is asked.
        desk: of the round.
        made: to fill.
        request: from `begin_round`.
    """
    try:
        async with aclosing(service.generate(request)) as events:
            async for event in events:
                await _take(desk, made, event=event)
        made.state = "done"
        if not made.text.strip() and not made.masks:
            made.note = made.note or EMPTY
    except asyncio.CancelledError:
        made.state, made.note, made.answer = "stopped", STOPPED, made.answer or made.text
        raise
    except Exception as error:
        if not isinstance(error, EOError):
            get_logger().exception("an error while a question was answered")
        made.state, made.note = "failed", told(error, service)


async def _take(desk: Desk, made: Round, *, event: Event) -> None:
    if isinstance(event, TextDelta):
        if made.pieces and made.pieces[-1].mask is None:
            made.pieces[-1].text += event.text
        else:
            made.pieces.append(Piece(event.text))
    elif isinstance(event, MaskMark):
        made.pieces.append(Piece(mask=event.index, phrase=event.phrase))
    elif isinstance(event, Masks):
        await asyncio.to_thread(_add_layers, desk, made, masks=event)
    elif isinstance(event, Done):
        made.answer = event.text
        made.note = CUT_SHORT if event.finish_reason == "length" else ""


def _add_layers(desk: Desk, made: Round, *, masks: Masks) -> None:
    """A layer for each mask, named by the phrase it shows. Those of earlier answers are switched off: one over another tells nothing."""
    first = desk.images.get(made.images.get(masks.grid.role, ""))
    if first is None:  # it was taken off the desk meanwhile
        return
    phrases = {piece.mask: piece.phrase for piece in made.pieces if piece.mask is not None}
    for layer in desk.layers.values():
        layer.is_visible = layer.is_visible and layer.key in made.masks
    for index, stored in enumerate(masks.masks):
        # of several dates, the image that the answer or the question names; all lie on the pixels of the first
        image = desk.images.get(made.images[masks.drawn_on[index]]) if masks.drawn_on else first
        if image is None:
            continue
        window = _window_of(made, image, desk=desk)
        layer = MaskLayer(
            image=image.key,
            phrase=phrases.get(index, ""),
            number=max((each.number for each in desk.layers.values()), default=0) + 1,
            mask=np.ascontiguousarray(first.raster.header.turn.apply(stored)),
            stored=stored,
            grid=masks.grid,
            window=window,
            colour=desk.next_colour(),
            area_m2=area_m2(stored, grid=masks.grid),
        )
        desk.layers[layer.key] = layer
        made.masks.append(layer.key)


def _window_of(made: Round, image: DeskImage, *, desk: Desk) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the image that the model saw."""
    height, width = image.size
    if made.region is None or made.region_use == "point":
        return 0, 0, width, height
    return _scaled(made.region, image, first=desk.images.get(made.region.image, image))


def _inside(bounds: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, width, height = bounds
    left, top = min(max(left, 0), size[1] - 1), min(max(top, 0), size[0] - 1)
    return left, top, max(min(width, size[1] - left), 1), max(min(height, size[0] - top), 1)


def _region_first(shown: Mapping[str, DeskImage], region: Region) -> dict[str, DeskImage]:
    """The image that the region lies on first. Raises ConfigError where the model does not see it."""
    role = next((role for role, image in shown.items() if image.key == region.image), None)
    if role is None:
        raise ConfigError("The region lies on an image that the model does not see. Remove the region, or give that image a role.")
    return {role: shown[role], **shown}


def _with_region(shown: dict[str, DeskImage], region: Region) -> dict[str, DeskImage]:
    """The images as they are: of several dates, their order is that of the dates. Raises ConfigError as `_region_first`."""
    _region_first(shown, region)
    return shown


def _check_dates(shown: Mapping[str, DeskImage]) -> None:
    """Raise ConfigError if one of several images of a role has no date."""
    undated = [image.title for image in shown.values() if not image.time]
    if undated:
        raise ConfigError(
            f"{undated[0]} has no date, and the model sees several images of one role, which dates tell apart. Give it one under Images, "
            "or let the model see one image of each role."
        )


def _files(shown: Mapping[str, DeskImage], cut: Region | None, *, dated: bool) -> dict[str, ImageFile]:
    """Name -> file, with its date among several; of the region alone where one is cut out: the same part of every image."""
    files = {name: replace(image.file, time=image.time if dated else image.file.time) for name, image in shown.items()}
    if cut is None:
        return files
    first = next(image for image in shown.values() if image.key == cut.image)
    return {name: replace(files[name], window=_stored_window(image, cut, first=first)) for name, image in shown.items()}


def _stored_window(image: DeskImage, region: Region, *, first: DeskImage) -> Window:
    """(row, col, height, width) of the stored pixels."""
    left, top, width, height = _scaled(region, image, first=first)
    return image.raster.header.turn.stored_window((top, left, height, width), size=image.size)


def _scaled(region: Region, image: DeskImage, *, first: DeskImage) -> tuple[int, int, int, int]:
    """(left, top, width, height) of a region of the first on another image. Images of one place have the same edges, maybe other pixels."""
    scale_y, scale_x = image.size[0] / first.size[0], image.size[1] / first.size[1]
    left, top, width, height = region.bounds
    scaled = (round(left * scale_x), round(top * scale_y), max(round(width * scale_x), 1), max(round(height * scale_y), 1))
    return _inside(scaled, image.size)


def _mask_ref(region: Region, image: int) -> MaskRef:
    """As requests take it: pixels of the image of that number."""
    if region.kind == "box":
        left, top, width, height = region.bounds
        return MaskRef("box", [left, top, left + width, top + height], "the drawn region", image=image)
    return MaskRef("polygon", [[number for point in region.points for number in point]], "the drawn region", image=image)
