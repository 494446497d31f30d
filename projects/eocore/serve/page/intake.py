"""Files become images on a desk: those that are sent, those of an index, and examples."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from eocore.data.records import ImageRef
from eocore.predict.image_files import ImageFile, image_refs, with_sensor
from eocore.sensors.bands import get_sensor, sensor_names
from eocore.serve.page.desk import NOT_SHOWN, Desk, DeskImage, role_of
from eocore.serve.sessions import Session, StoredImage
from eocore.serve.views.composites import composites
from eocore.serve.views.facts import date_in
from eocore.serve.views.raster import RasterImage


async def take_upload(
    desk: Desk, stored: StoredImage, *, sensor: str = "", questions: Sequence[str] = (), is_own: bool = True
) -> DeskImage:
    """Puts a file that was sent on the desk.

    Args:
        desk: of the tab that sent it.
        stored: in the tab's session.
        sensor: of it, where the file does not tell.
        questions: that are offered about it.
        is_own: False for an example, which gives way to the next one.

    Raises:
        DataError: it cannot be read.
        BandError: its bands are not those of its sensor.
    """
    file = stored.file(sensor=sensor)
    assert file.sensor
    role = role_of(get_sensor(file.sensor).unit)
    ref = ImageRef(role, file.sensor, file.paths)
    image = await asyncio.to_thread(desk_image, ref, file, title=stored.name, questions=questions)
    image.image_id, image.is_own = stored.image_id, is_own
    desk.add(image)
    return image


async def take_images(desk: Desk, files: Mapping[str, ImageFile], *, title: str, session: Session) -> None:
    """Puts images of one place on the desk; what the user sent stays there, not shown to the model.

    Args:
        desk, session: of a tab.
        files: input -> file.
        title: for people.

    Raises:
        DataError: a file cannot be read.
        BandError: a sensor cannot be told, or does not fit.
    """
    known = {name: with_sensor(name, file) for name, file in files.items()}
    refs = image_refs(known)
    made = [
        await asyncio.to_thread(desk_image, ref, file, title=title if len(refs) == 1 else f"{title} ({role})")
        for (role, ref), file in zip(refs.items(), known.values(), strict=True)
    ]
    make_room(desk, session)
    for image in made:
        desk.add(image)
    desk.left = made[0].key


def desk_image(ref: ImageRef, file: ImageFile, *, title: str, questions: Sequence[str] = ()) -> DeskImage:
    """An image as a desk holds it; reads its header.

    Args:
        ref: of the image.
        file: the same for the model's readers.
        title: for people.
        questions: that are offered about it.

    Raises:
        DataError: it cannot be read.
        BandError: its bands are not those of its sensor.
    """
    raster = RasterImage(ref)
    first = composites(ref.sensor, raster.header.bands)[0]
    made = DeskImage(title=title, role=ref.role, file=file, raster=raster, composite=first.name, questions=tuple(questions))
    made.time = next(filter(None, map(date_in, paths_of(made))), "")
    return made


def fitting_sensors(layers: Sequence[str]) -> tuple[str, ...]:
    """Names of the sensors that have bands of all these names; of all sensors where none has."""
    fitting = tuple(name for name in sensor_names() if set(layers) <= set(get_sensor(name).band_names))
    return fitting or sensor_names()


def make_room(desk: Desk, session: Session) -> None:
    """For images of another place: takes examples and results away; what the user sent stays with its masks, not shown to the model."""
    for key, image in list(desk.images.items()):
        if image.is_own:
            image.role = NOT_SHOWN
        else:
            forget(desk, session, key=key)
    desk.region, desk.right, desk.mode = None, "", "single"


def forget(desk: Desk, session: Session, *, key: str) -> None:
    """Takes an image off the desk, and deletes its file where it was sent."""
    image = desk.images.get(key)
    desk.remove(key)
    if image is not None and image.image_id in {stored.image_id for stored in session.images}:
        session.remove(image.image_id)


def paths_of(image: DeskImage) -> list[str]:
    """Names in which a date may stand: of the image as it was sent, and of its files."""
    return [image.title, *(Path(path).name for path in image.file.paths)]
