"""Examples that work at once: scenes of the embedded world that the tiny models are trained on, made when they are asked for."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from eocore.serve.page.desk import NOT_SHOWN, Desk
from eocore.serve.page.intake import make_room, take_upload
from eocore.serve.sessions import Session
from eocore.synthetic.landscape import BURNT, FOREST, Layout
from eocore.synthetic.spectra import OPTICAL_BANDS, SAR_BANDS, digital_numbers, optical_scene, sar_scene, true_colour
from eocore.synthetic.world import NORTH_M, WEST_M, SyntheticScene, make_scene, write_geotiff

SPLIT = "test"
ORIGIN = (WEST_M, NORTH_M)
LARGE_PX = 1536
GENERAL = ("Describe the scene.", "What covers most of the image?")


@dataclass(frozen=True)
class MadeFile:
    """A file of an example.

    Attributes:
        name: as if it had been sent.
        content: bytes.
        is_shown: whether the model sees it.
    """

    name: str
    content: bytes
    is_shown: bool = True


@dataclass(frozen=True)
class Example:
    """An entry of the list.

    Attributes:
        title, about: for people.
        make: its files and the questions that are offered; the first file is shown first.
        mode: of the viewer.
        composite: in which two images are compared, "" = the first that their bands allow.
    """

    title: str
    about: str
    make: Callable[[], tuple[list[MadeFile], tuple[str, ...]]]
    mode: str = "single"
    composite: str = ""


async def open_example(example: Example, desk: Desk, *, session: Session) -> None:
    """Puts an example on the desk in place of the last one; what the user sent stays there, not shown to the model.

    Args:
        example: which.
        desk, session: of the tab.

    Raises:
        DataError: the session may hold no more files.
        OutputError: the disk is full.
    """
    made, questions = await asyncio.to_thread(example.make)
    make_room(desk, session)
    added = []
    for each in made:
        stored = await session.receive_bytes(each.name, each.content)
        added.append(await take_upload(desk, stored, questions=questions, is_own=False))
    for image, each in zip(added, made, strict=True):
        image.role = image.raster.ref.role if each.is_shown else NOT_SHOWN
    desk.mode = example.mode
    desk.left = added[0].key
    desk.right = added[1].key if example.mode != "single" else ""
    for image in added if example.mode != "single" else ():
        image.composite, image.stretch = example.composite or image.composite, "fixed"


def _pair(number: int, name: str) -> tuple[list[MadeFile], tuple[str, ...]]:
    scene = make_scene(SPLIT, number)
    return [_optical(scene, f"{name}_optical.tif"), _radar(scene, f"{name}_radar.tif")], _questions(scene)


def _clear() -> tuple[list[MadeFile], tuple[str, ...]]:
    return _pair(_first(cloudy=False), "fields_and_water")


def _cloudy() -> tuple[list[MadeFile], tuple[str, ...]]:
    return _pair(_first(cloudy=True), "under_clouds")


def _picture() -> tuple[list[MadeFile], tuple[str, ...]]:
    scene = make_scene(SPLIT, _first(cloudy=False) + 1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        Image.fromarray(true_colour(scene.optical)).save(path)
        return [MadeFile("picture.png", path.read_bytes())], _questions(scene)


def _large() -> tuple[list[MadeFile], tuple[str, ...]]:
    scene = make_scene(SPLIT, 0, size=LARGE_PX)
    return [_optical(scene, f"large_{LARGE_PX}px.tif")], _questions(scene)


def _two_dates() -> tuple[list[MadeFile], tuple[str, ...]]:
    number = next(number for number in range(100) if _burns(make_scene(SPLIT, number)))
    before = make_scene(SPLIT, number)
    burnt = np.where(before.layout.class_map == FOREST, BURNT, before.layout.class_map).astype(np.uint8)
    layout: Layout = replace(before.layout, class_map=burnt)
    draw = np.random.default_rng(number)
    after = replace(before, layout=layout, optical=optical_scene(layout, draw), sar=sar_scene(layout, draw))
    files = [_optical(before, "forest_2024-06-03.tif"), _optical(after, "forest_2024-09-21.tif")]
    return files, ("Please segment what changed.", *_questions(before))


def _burns(scene: SyntheticScene) -> bool:
    return scene.clouds is None and float((scene.layout.class_map == FOREST).mean()) > 0.15


def _first(*, cloudy: bool) -> int:
    return next(number for number in range(100) if (make_scene(SPLIT, number).clouds is not None) == cloudy)


def _questions(scene: SyntheticScene) -> tuple[str, ...]:
    asked = [f"Please segment the {phrase.text} in this image." for phrase in scene.questions.phrases[:2]]
    return (*asked, *GENERAL, *(question.text for question in scene.questions.questions[:2] if question.text not in GENERAL))


def _optical(scene: SyntheticScene, name: str) -> MadeFile:
    return MadeFile(name, _geotiff(digital_numbers(scene.optical), OPTICAL_BANDS))


def _radar(scene: SyntheticScene, name: str) -> MadeFile:
    return MadeFile(name, _geotiff(scene.sar, SAR_BANDS))


def _geotiff(layers: np.ndarray, names: tuple[str, ...]) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "layers.tif"
        write_geotiff(path, layers, names=names, origin=ORIGIN)
        return path.read_bytes()


EXAMPLES = (
    Example("Fields and water", "Sentinel-2 in 12 bands and Sentinel-1 of one place", _clear),
    Example("Under clouds", "The same sensors; radar sees what the clouds hide", _cloudy),
    Example("Two dates", "A forest before and after a fire, in short-wave infrared", _two_dates, mode="swipe", composite="swir"),
    Example("A plain picture", "PNG without a place: masks as PNG alone", _picture),
    Example("A large scene", f"{LARGE_PX} x {LARGE_PX} px, to zoom into and cut regions from", _large),
)
"""Everything in them is made by `eocore.synthetic`; nothing was photographed."""
