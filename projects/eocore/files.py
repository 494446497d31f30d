"""Writing results: files that appear whole or not at all, and one readable error where the disk is full or may not be written to."""

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eocore.errors import EOError, OutputError

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file would exceed the allowed size"}
DENIED = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "the operation is not permitted",
    errno.ENOTDIR: "a file is in the place of a folder",
    errno.EEXIST: "a file is in the place of a folder",
    errno.EISDIR: "a folder is in the place of a file",
}
NO_FOLDER = {errno.ENOENT: "its folder cannot be made there, or has gone"}
REMEDIES = {
    **dict.fromkeys(FULL, "Free space or choose a folder on another disk, then run the same command again."),
    **dict.fromkeys((*DENIED, *NO_FOLDER), "Correct it or choose another folder, then run the same command again."),
}
UNCHANGED = "What was there before is unchanged."
TEMPORARY = ".part"
_UNITS = ("B", "kB", "MB", "GB", "TB")


@contextmanager
def writing(path: Path, what: str, *, follows: str = UNCHANGED, needed: int | None = None) -> Iterator[None]:
    """Turns a failed write inside the block into an `OutputError`.

    Args:
        path: file or folder that is written.
        what: is written, for the message.
        follows: what the failure means for the user's files.
        needed: size of what is written [bytes]; None = not known.

    Raises:
        OutputError: the disk is full, or `path` may not be written to; whichever library met it.
    """
    try:
        yield
    except EOError:
        raise
    except Exception as error:  # safetensors, torch, Pillow and GDAL have classes of their own for what the system refuses
        number = output_errno(error) or _no_folder(error, path)
        if number is None:
            raise
        raise OutputError(
            f"{path}: {what} cannot be written: {_reason(number, path, needed=needed)}. {follows} {REMEDIES[number]}"
        ) from error


def _no_folder(error: BaseException, path: Path) -> int | None:
    """ENOENT where what is missing is on the way to `path`, or in it; None for a file that was to be read."""
    name = getattr(error, "filename", None)
    if not isinstance(error, FileNotFoundError) or not isinstance(name, str):
        return None
    missing, target = Path(name).absolute(), path.absolute()
    return errno.ENOENT if target.is_relative_to(missing) or missing.is_relative_to(target) else None


def output_errno(error: BaseException) -> int | None:
    """The errno of a failed write, found in the error, in its text, or in an error it was raised from; None for any other error."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.errno in (*FULL, *DENIED):
            return current.errno
        for number in (*FULL, errno.EROFS):  # the texts of Rust and C libraries end with the system's own
            if os.strerror(number).lower() in str(current).lower():
                return number
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return None


@contextmanager
def keeping(folder: Path, what: str, *, follows: str) -> Iterator[None]:
    """As `writing`, for a long block that also reads: only a full disk counts, and what is refused inside `folder`."""
    try:
        yield
    except EOError:
        raise
    except Exception as error:
        number = output_errno(error)
        if number is None or (number not in FULL and not _lies_in(error, folder)):
            raise
        raise OutputError(
            f"{folder}: {what} cannot be written: {_reason(number, folder, needed=None)}. {follows} {REMEDIES[number]}"
        ) from error


def _lies_in(error: Exception, folder: Path) -> bool:
    name = getattr(error, "filename", None)
    return isinstance(name, str) and Path(name).absolute().is_relative_to(folder.absolute())


def refusal(error: OSError, path: Path) -> str:
    """Why `path` cannot be written, as a part of a message."""
    number = output_errno(error)
    return _reason(number, path, needed=None) if number is not None else str(error.strerror or error)


def describe_failure(error: OSError) -> str | None:
    """One line for a failed write that no `writing` block met; None where `error` is something else."""
    number = output_errno(error)
    if number is None:
        return None
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    where = f"{path}: " if path else ""
    return f"{where}{_reason(number, path, needed=None)}. {REMEDIES[number]}"


def require_space(folder: Path, what: str, *, needed: int) -> None:
    """Raise OutputError where the disk of `folder` has less than `needed` bytes free, before anything is written."""
    free = shutil.disk_usage(_existing(folder)).free
    if free < needed:
        raise OutputError(
            f"{folder}: {what} cannot be written: {_reason(errno.ENOSPC, folder, needed=needed)}. {UNCHANGED} {REMEDIES[errno.ENOSPC]}"
        )


def require_writable(folder: Path, what: str) -> None:
    """Raise OutputError if `folder`, or the nearest folder above it that exists, refuses a new file; long work is asked this first."""
    with writing(folder, what, follows="Nothing was done yet."):
        nearest = _existing(folder)
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
        try:
            tempfile.TemporaryFile(dir=nearest).close()
        except FileNotFoundError as error:  # what /proc and its like answer
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest)) from error


def require_writable_file(path: Path, what: str) -> None:
    """Raise OutputError if a file cannot be written at `path`: it is a folder, or `require_writable` refuses the folder it lies in."""
    if path.is_dir():
        raise OutputError(f"{path}: {what} cannot be written: it is a folder. Nothing was done yet. Give the path of a file.")
    require_writable(path.parent, what)


def write_file(path: Path, content: str | bytes) -> None:
    """Writes a file that is there whole or not at all, with its folder; one of the same name is replaced. Text becomes UTF-8.

    Raises:
        OutputError: it cannot be written; an earlier file stands.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    aside = path.with_name(path.name + TEMPORARY)
    with writing(path, "the file", needed=len(data)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(data)
            os.replace(aside, path)
        except OSError:
            _remove(aside)
            raise


def grant_default_mode(*paths: Path) -> None:
    """Gives files the permissions that a file newly made beside them has: those of the umask, or of the folder's default access list.

    safetensors and `tempfile` make files that only their owner can read, whatever the umask says.

    Args:
        paths: files of one folder or tree, made by this process; what a new file beside the first would get is given to all.
    """
    if not paths:
        return
    sample = paths[0].with_name(f".mode-{secrets.token_hex(8)}")
    sample.touch(exist_ok=False)
    try:
        mode = stat.S_IMODE(sample.stat().st_mode)
    finally:
        sample.unlink()
    for path in paths:
        path.chmod(mode)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _reason(number: int, path: Path | None, *, needed: int | None) -> str:
    """Why, with the space there is and the space it takes, where they are known."""
    sizes = []
    if number == errno.ENOSPC and path is not None:
        sizes.append(f"{format_size(shutil.disk_usage(_existing(path)).free)} free")
    if number in FULL and needed is not None:
        sizes.append(f"{format_size(needed)} needed")
    return {**FULL, **DENIED, **NO_FOLDER}[number] + (f" ({', '.join(sizes)})" if sizes else "")


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(location for location in (path, *path.parents) if location.exists())


def format_size(count: float) -> str:
    """A number of bytes with the unit that keeps it below a thousand."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
