"""Archives that clients send: unpacked below one folder, within limits of size, number and ratio, files alone."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from eocore.data.io.image_listing import IMAGE_ENDINGS
from eocore.data.io.products.registry import PRODUCTS
from eocore.errors import DataError
from eocore.serve.options import MIB, Limits

CHUNK = 2**20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MAX_DEPTH = 12
"""Folders in one another; those of a SAFE are seven."""
SMALL = 2**16
"""Below this unpacked size [bytes] the ratio says nothing: texts of one repeated line are packed well."""


def unpack(archive: Path, folder: Path, *, limits: Limits) -> Path:
    """Unpacks a zip, and returns the product folder or the one image in it.

    Args:
        archive: the file.
        folder: new or empty; what is unpacked lies below it.
        limits: of size, number and ratio.

    Raises:
        DataError: the archive is broken, encrypted or of another kind, exceeds a limit, names a place outside of itself or a link, or holds
            neither one product nor one image.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked(opened, limits)
            left = limits.unpacked_mib * MIB
            for member, path in members:
                left -= _write(opened, member, target=folder / path, left=left, limits=limits)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise DataError(
            f"the archive is broken or of a kind that is not read ({type(error).__name__}). Pack it again as a plain zip."
        ) from error
    return _found(folder)


def _checked(opened: zipfile.ZipFile, limits: Limits) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    members = [member for member in opened.infolist() if not member.is_dir()]
    if not 0 < len(members) <= limits.archive_files:
        raise DataError(f"the archive holds {len(members)} files; 1 to {limits.archive_files} are taken. Pack the product alone.")
    total = sum(member.file_size for member in members)
    if total > limits.unpacked_mib * MIB:
        raise _too_large(limits)
    found = [(member, _place(member)) for member in members]
    names = {str(path).casefold() for _, path in found}
    if len(names) < len(found):
        raise DataError("the archive names a file twice. Pack it again.")
    for member in members:
        if member.flag_bits & 1 or member.compress_type not in METHODS:
            raise DataError("the archive is encrypted, or packed by a method that is not read. Pack it as a plain zip (deflate).")
        if member.file_size > SMALL and member.file_size > limits.archive_ratio * max(member.compress_size, 1):
            raise DataError(f"a file of the archive is packed more than {limits.archive_ratio} to 1, as no image is. It is not unpacked.")
    return found


def _place(member: zipfile.ZipInfo) -> PurePosixPath:
    """Where a member goes. Raises DataError where that is outside, or no plain file."""
    name = member.filename
    path = PurePosixPath(name)
    parts = path.parts
    is_plain = not path.is_absolute() and ".." not in parts and "\\" not in name and ":" not in name and name.isprintable()
    if not is_plain or not parts or len(parts) > MAX_DEPTH or len(name) > 1000:
        raise DataError("the archive names a file outside of itself, or one whose name cannot be used. Pack it again.")
    mode = member.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise DataError("the archive holds a link or a special file. Pack plain files alone.")
    return path


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, *, target: Path, left: int, limits: Limits) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(member) as source, target.open("xb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > left:  # whatever the header says
                raise _too_large(limits)
            file.write(chunk)
    return written


def _too_large(limits: Limits) -> DataError:
    return DataError(f"the archive holds more than the {limits.unpacked_mib} MiB that this server unpacks. Send the bands that you need.")


def _found(folder: Path) -> Path:
    """The product folder, or the one image."""
    for candidate in _folders(folder):
        if any(kind.is_product(candidate) for kind in PRODUCTS.values()) and not (candidate / candidate.name).is_dir():
            return candidate
    images = [path for path in sorted(folder.rglob("*")) if path.name.lower().endswith(IMAGE_ENDINGS)]
    if len(images) == 1:
        return images[0]
    raise DataError(
        f"the archive holds no product ({', '.join(PRODUCTS)}) and {len(images)} images; expected one product, or one image. Pack "
        "the folder of the product as it was delivered."
    )


def _folders(folder: Path) -> Iterator[Path]:
    """The folder and those in it, two levels down."""
    yield folder
    for first in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield first
        yield from sorted(path for path in first.iterdir() if path.is_dir())
