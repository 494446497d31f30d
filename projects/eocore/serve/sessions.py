"""Files that clients send, a folder for each session; deleted with it, and with the server.

The page makes one session for each browser tab, and keeps the object, never a path, in that tab's own state:

```python
session = service.sessions.create()
stored = await session.receive(upload.name, upload.chunks())  # AsyncIterable[bytes]; limits hold while they come
stored.facts  # sensor, bands, size, place, from the header
request = GenerateRequest(model=..., turns=..., images={stored.facts.role: stored.file()})
service.sessions.drop(session)  # when the tab is gone; idle ones are dropped by themselves
```

`stored.file(sensor=..., bands=..., window=(row, col, height, width))` names what a file does not tell, or a part of a large raster. No
session finds another's files: they are found by the session object alone, and ids are random.
"""

import asyncio
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from eocore.data.records import Window
from eocore.errors import AccessError, BusyError, ConfigError, DataError, EOError
from eocore.files import writing
from eocore.folder_lock import LOCK, FolderLock
from eocore.predict.image_files import ImageFile
from eocore.serve.archives import unpack
from eocore.serve.image_facts import ImageFacts, check_size, image_facts
from eocore.serve.options import MIB, Limits

MAGICS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "GeoTIFF", b"MM\0*": "GeoTIFF", b"II+\0": "GeoTIFF"}
MAGICS |= {b"MM\0+": "GeoTIFF", b"PK\x03\x04": "zip"}
"""First bytes -> kind of a file that may be sent."""
NAME_CHARACTERS = 100
OWNER_ONLY = 0o700
MARK = ".eocore_uploads"
"""File in the folder of a store, which may be emptied."""
LET_GO_S = 2.0
"""A server that was killed needs moments to let go of its folder [s]."""


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image of a session.

    Attributes:
        image_id: random.
        name: as it was sent, cleaned; of an archive, the product's or image's.
        path: of the file, or of the product folder. Never shown to a client.
        num_bytes: stored.
        facts: from its header.
    """

    image_id: str
    name: str
    path: Path = field(repr=False)
    num_bytes: int
    facts: ImageFacts

    def file(self, *, sensor: str = "", bands: Sequence[str] = (), window: Window | None = None) -> ImageFile:
        """The image as a request names it."""
        return ImageFile((str(self.path),), sensor or self.facts.sensor or None, bands=tuple(bands), window=window)


class Session:
    """One client's files. Made by `SessionStore.create`.

    Args:
        session_id: random.
        folder: of the session; exists.
        limits: of files.
    """

    def __init__(self, session_id: str, folder: Path, *, limits: Limits) -> None:
        self.session_id, self._folder, self._limits = session_id, folder, limits
        self._images: dict[str, StoredImage] = {}
        self._num_bytes = 0
        self.used_at = time.monotonic()

    @property
    def images(self) -> list[StoredImage]:
        """In the order in which they came."""
        return list(self._images.values())

    def image(self, image_id: str) -> StoredImage:
        """One of this session's. Raises AccessError where it has none of that id."""
        self.used_at = time.monotonic()
        if image_id not in self._images:
            raise AccessError("this session holds no such image. Send it again.")
        return self._images[image_id]

    async def receive(self, name: str, chunks: AsyncIterable[bytes]) -> StoredImage:
        """Stores one file while it comes; a zip is unpacked.

        Raises:
            DataError: it is of no kind that is taken, broken, or larger than a limit.
            OutputError: the disk is full.
        """
        self.used_at = time.monotonic()
        if len(self._images) >= self._limits.session_files:
            raise DataError(f"this session holds {len(self._images)} files already, as many as it may. Remove some.")
        image_id = secrets.token_hex(8)
        folder = self._folder / image_id
        folder.mkdir(mode=OWNER_ONLY)
        path = folder / clean_name(name)
        try:
            await self._write(path, chunks)
            stored = await asyncio.to_thread(self._take, image_id, path)
        except BaseException as error:
            await asyncio.to_thread(shutil.rmtree, folder, True)
            if isinstance(error, EOError):
                raise without_paths(error, self._folder) from error
            raise
        self._images[image_id] = stored
        self._num_bytes += stored.num_bytes
        return stored

    async def receive_bytes(self, name: str, content: bytes) -> StoredImage:
        """The same of a file that is in memory. Raises as `receive`."""

        async def once() -> AsyncIterable[bytes]:
            yield content

        return await self.receive(name, once())

    def remove(self, image_id: str) -> None:
        """Deletes one image. Raises AccessError where the session has none of that id."""
        stored = self.image(image_id)
        del self._images[image_id]
        self._num_bytes -= stored.num_bytes
        shutil.rmtree(self._folder / image_id, ignore_errors=True)

    def close(self) -> None:
        """Deletes all."""
        self._images.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _write(self, path: Path, chunks: AsyncIterable[bytes]) -> None:
        left = min(self._limits.upload_mib * MIB, self._limits.session_mib * MIB - self._num_bytes)
        with writing(path, "the file that was sent"), path.open("xb") as file:
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise DataError(
                        f"{path.name}: larger than the {self._limits.upload_mib} MiB of one file or the {self._limits.session_mib} MiB of "
                        "a session that this server takes. Send a part of it, or remove others."
                    )
                file.write(chunk)

    def _take(self, image_id: str, path: Path) -> StoredImage:
        """Reads the header, after unpacking where it is an archive. Runs in a thread."""
        kind = kind_of(path)
        image, name = path, path.name
        if kind == "zip":
            unpacked = path.parent / "unpacked"
            unpacked.mkdir(mode=OWNER_ONLY)
            image = unpack(path, unpacked, limits=self._limits)
            path.unlink()
            name = clean_name(image.name)
            if image.is_file():
                kind_of(image)
        facts = image_facts(image)
        if facts.sensor:
            check_size(facts, max_pixels=int(self._limits.megapixels * 1e6), name=name)
        num_bytes = sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file())
        if self._num_bytes + num_bytes > self._limits.session_mib * MIB:
            raise DataError(f"{name}: with it the session would hold more than {self._limits.session_mib} MiB. Remove others first.")
        return StoredImage(image_id=image_id, name=name, path=image, num_bytes=num_bytes, facts=facts)


class SessionStore:
    """All sessions of a server.

    Args:
        root: folder of their folders, which belongs to the store alone.
        limits: of sessions and files.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root, self._limits = root, limits
        self._sessions: dict[str, Session] = {}
        self._lock = FolderLock(root)

    def open(self) -> None:
        """Makes the folder, readable by its owner alone, holds it, and empties it of what a server that was killed has left.

        Raises:
            ConfigError: a folder of something else is there, or another server holds it.
            OutputError: it cannot be made.
        """
        with writing(self._root, "the folder of uploads"):
            self._root.mkdir(parents=True, mode=OWNER_ONLY, exist_ok=True)
            if any(entry.name != LOCK for entry in self._root.iterdir()) and not (self._root / MARK).exists():
                raise ConfigError(
                    f"{self._root}: holds files that no server has put there, and would be emptied. Name a folder of its own."
                )
            holder = self._lock.take(wait_s=LET_GO_S)
            if holder is not None:
                raise ConfigError(
                    f"{self._root}: another server keeps its files there ({holder}), and both would delete each other's. Name a folder of "
                    "its own with --uploads."
                )
            self._root.chmod(OWNER_ONLY)
            (self._root / MARK).touch()
            self._empty()

    def create(self) -> Session:
        """A session without files. Raises BusyError where there are too many."""
        self.drop_idle()
        if len(self._sessions) >= self._limits.sessions:
            raise BusyError(f"{len(self._sessions)} sessions are open, as many as this server takes. Try again later.")
        session_id = secrets.token_urlsafe(24)
        folder = self._root / secrets.token_hex(16)  # no name of a folder tells an id
        folder.mkdir(mode=OWNER_ONLY)
        session = self._sessions[session_id] = Session(session_id, folder, limits=self._limits)
        return session

    def get(self, session_id: str) -> Session:
        """The session of that id. Raises AccessError where there is none, or no longer."""
        self.drop_idle()
        if session_id not in self._sessions:
            raise AccessError("there is no such session, or its files were deleted after a while without use. Begin anew.")
        session = self._sessions[session_id]
        session.used_at = time.monotonic()
        return session

    def drop(self, session: Session) -> None:
        """Deletes a session and its files; one that is gone counts for nothing."""
        if self._sessions.pop(session.session_id, None) is not None:
            session.close()

    def drop_idle(self) -> None:
        """Deletes those that were not used for the limit's time."""
        oldest = time.monotonic() - self._limits.session_idle_s
        for session in [session for session in self._sessions.values() if session.used_at < oldest]:
            self.drop(session)

    def close(self) -> None:
        """Deletes all sessions and the folder. One that was never opened, or refused, is another's and stays."""
        for session in list(self._sessions.values()):
            self.drop(session)
        if self._lock.held:
            shutil.rmtree(self._root, ignore_errors=True)
            self._lock.release()

    def _empty(self) -> None:
        for entry in self._root.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name not in (LOCK, MARK):
                entry.unlink(missing_ok=True)


def clean_name(name: str) -> str:
    """A file name of plain characters, without folders."""
    last = PurePosixPath(name.replace("\\", "/")).name
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")
    return cleaned[-NAME_CHARACTERS:] or "image"


def kind_of(path: Path) -> str:
    """PNG, JPEG, GeoTIFF or zip, by the first bytes. Raises DataError for anything else."""
    with path.open("rb") as file:
        head = file.read(16)
    kind = next((kind for magic, kind in MAGICS.items() if head.startswith(magic)), None)
    if kind is None:
        found = "is empty" if not head else "is none of these"
        raise DataError(f"{path.name}: expected PNG, JPEG, GeoTIFF, or a zip of a SAFE or Landsat product; the file {found}.")
    return kind


def without_paths(error: EOError, *roots: Path) -> EOError:
    """The error with paths below these folders cut down to file names: a client learns nothing of the server's disk."""
    text = str(error)
    for root in roots:
        text = re.sub(re.escape(str(root)) + r"(?:/[^\s/:,;)]+)*/", "", text)
        text = text.replace(str(root), "the upload")
    return type(error)(text)
