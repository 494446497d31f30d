"""Images in requests: data URLs and files of forms, stored in a session that lasts as long as the request."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from eocore.errors import ConfigError, DataError
from eocore.predict.image_files import ImageFile
from eocore.serve.api.schema import ImageUrl
from eocore.serve.service import Service
from eocore.serve.sessions import Session, StoredImage

_DATA_URL = re.compile(r"data:(?P<kind>[a-z]+/[a-z0-9.+-]+)(?:;[a-z]+=[A-Za-z0-9._-]+)*;base64,", re.I)
ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/jpg": "jpg",
    "image/tiff": "tif",
    "image/geotiff": "tif",
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
}
"""Media type of a data URL -> ending of the file."""


@asynccontextmanager
async def request_session(service: Service) -> AsyncIterator[Session]:
    """A session that is deleted with the request."""
    session = service.sessions.create()
    try:
        yield session
    finally:
        service.sessions.drop(session)


async def read_images(session: Session, images: Sequence[ImageUrl]) -> dict[str, ImageFile]:
    """Input -> file of the images of a conversation; one that is sent again is the same.

    Raises:
        DataError: a URL is no data URL of a kind that is read, or its image cannot be read.
        ConfigError: two images have one role.
    """
    found: dict[str, ImageFile] = {}
    digests: dict[str, str] = {}
    for number, image in enumerate(images, start=1):
        name, content = decode(image.url, number)
        stored_as = hashlib.sha256(content).hexdigest()
        if stored_as in digests.values() and (image.role is None or digests.get(image.role) == stored_as):
            continue
        stored = await session.receive_bytes(name, content)
        role, file = named(stored, role=image.role, sensor=image.sensor, bands=image.bands or ())
        put_image(found, role, file=file)
        digests[role] = stored_as
    return found


def put_image(images: dict[str, ImageFile], role: str, *, file: ImageFile) -> None:
    """Adds an image. Raises ConfigError where there is one of that role already."""
    if role in images:
        raise ConfigError(f"two images are '{role}'; a model reads one of each role. Name another with image_url.role, or send one.")
    images[role] = file


def named(stored: StoredImage, *, role: str | None, sensor: str | None, bands: Sequence[str]) -> tuple[str, ImageFile]:
    """The role of an image, and the file as a request names it. Raises DataError where its sensor is not known."""
    found = role or stored.facts.role
    if not found and not sensor:
        raise DataError(
            f"{stored.name}: {len(stored.facts.bands)} layers of {stored.facts.dtype} do not tell the sensor. Name it with "
            "image_url.sensor, and the image's place in the model with image_url.role."
        )
    return found or "optical", stored.file(sensor=sensor or "", bands=bands)


def decode(url: str, number: int) -> tuple[str, bytes]:
    """File name and content of a data URL. Raises DataError where it is none of a kind that is read."""
    found = _DATA_URL.match(url[:200])
    if found is None:
        wanted = "expected a data URL (data:image/png;base64,...)"
        raise DataError(f"image {number}: {wanted}. Nothing is fetched here; send the image itself.")
    kind = found["kind"].lower()
    if kind not in ENDINGS:
        raise DataError(f"image {number}: {kind} is not read; expected one of {', '.join(ENDINGS)}.")
    try:
        return f"image{number}.{ENDINGS[kind]}", base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"image {number}: the base64 of the data URL is broken ({error}). Encode the file again.") from error
