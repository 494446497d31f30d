"""Records on Zenodo, fetched: resumed where they were cut short, checked by md5, zip files unpacked inside their folder."""

import hashlib
import http.client
import json
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from eocore.errors import DataError
from eocore.files import require_space
from eocore.hub_files import ZenodoFiles
from eocore.progress import Progress

ZENODO = "https://zenodo.org"
CHUNK = 2**20
TIMEOUT_S = 60.0
PART = ".part"
UNPACKED = ".unpacked"
"""Ending of an empty file beside a zip file whose content is there, whole."""


@dataclass(frozen=True)
class RecordFile:
    """One file of a record.

    Attributes:
        name: below the record's folder.
        size: [bytes].
        md5: its checksum.
        address: where it is fetched from.
    """

    name: str
    size: int
    md5: str
    address: str


def list_record(wanted: ZenodoFiles, *, endpoint: str = ZENODO) -> list[RecordFile]:
    """The files of a record.

    Raises:
        DataError: Zenodo cannot be reached, or lists other files than are known here.
    """
    address = f"{endpoint}/api/records/{wanted.record}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
            content = json.load(answer)
        files = [
            RecordFile(str(entry["key"]), int(entry["size"]), str(entry["checksum"]).removeprefix("md5:"), str(entry["links"]["self"]))
            for entry in content["files"]
        ]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{address} could not be read ({type(error).__name__}: {error}). Check the network, or fetch by hand.") from error
    strange = [
        file.name for file in files if PurePosixPath(file.name).name != file.name or not file.address.startswith(("http:", "https:"))
    ]
    unknown = [start for start in wanted.md5_starts if not any(file.md5.startswith(start) for file in files)]
    if strange or unknown:
        raise DataError(
            f"{address} lists no file of the checksums {', '.join(unknown)}, or names that are none ({', '.join(strange)}): it is another "
            "record than expected. Nothing was fetched."
        )
    return files


def download_record(wanted: ZenodoFiles, root: Path, *, endpoint: str = ZENODO) -> Path:
    """The folder with a record's files, zip files unpacked beside themselves; what is there already is not fetched again.

    Raises:
        DataError: a file cannot be fetched, differs from its checksum, or a zip file would write outside the folder.
        OutputError: the disk is full.
    """
    files, target = list_record(wanted, endpoint=endpoint), root / wanted.folder
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = target / file.name
        if not path.is_file():
            _fetch(file, path)
        if path.suffix == ".zip" and not path.with_name(path.name + UNPACKED).is_file():
            unpack(path)
    return target


def _fetch(file: RecordFile, path: Path) -> None:
    part = path.with_name(path.name + PART)
    have = part.stat().st_size if part.is_file() else 0
    require_space(path, file.name, needed=max(file.size - have, 0))
    if have < file.size:
        _append(file, part, have=have)
    digest = hashlib.md5(usedforsecurity=False)
    with part.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    if digest.hexdigest() != file.md5:
        found = part.stat().st_size
        part.unlink()
        raise DataError(
            f"{file.address} gave {found} bytes with the md5 {digest.hexdigest()[:12]}..., expected {file.size} bytes with {file.md5[:12]}"
            "...; they were removed. Fetch it again."
        )
    part.rename(path)


def _append(file: RecordFile, part: Path, *, have: int) -> None:
    """Fetches what is missing of a part. Raises DataError where the connection ends early; what came stays for the next call."""
    request = urllib.request.Request(file.address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            with part.open("ab" if resumed else "wb") as out, Progress(file.name, total=file.size, unit="bytes") as progress:
                progress.advance(have if resumed else 0)
                while block := answer.read(CHUNK):
                    out.write(block)
                    progress.advance(len(block))
        if part.stat().st_size < file.size:
            raise ConnectionError(f"{part.stat().st_size} of {file.size} bytes came")
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise DataError(
            f"{file.address} was cut short ({type(error).__name__}: {error}). Run the command again: it goes on there."
        ) from error


def unpack(path: Path) -> None:
    """Unpacks a zip file into its folder, and notes that it is done.

    Raises:
        DataError: it is damaged, or a name in it leads out of the folder, or is a link; then nothing of it is unpacked.
        OutputError: the disk is full.
    """
    folder = path.parent
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            for entry in entries:
                inside = (folder / entry.filename).resolve().is_relative_to(folder.resolve())
                if not inside or (entry.external_attr >> 28) == 0xA:
                    raise DataError(
                        f"{path} holds '{entry.filename[:80]}', which leads out of its folder. Nothing was unpacked; do not use it."
                    )
            require_space(path, "its content", needed=sum(entry.file_size for entry in entries))
            with Progress(f"unpacking {path.name}", total=len(entries), unit="files") as progress:
                for entry in entries:
                    archive.extract(entry, folder)
                    progress.advance()
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}). Remove it and fetch it again.") from error
    path.with_name(path.name + UNPACKED).touch()
