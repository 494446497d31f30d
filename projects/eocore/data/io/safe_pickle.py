"""Pickles of plain values, read without running anything in them: annotation files of the REFER form."""

import io
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from eocore.data.formats.entries import read_bytes
from eocore.errors import AnnotationError

MAX_PICKLE_BYTES = 512 * 2**20
"""Larger pickled annotation files are refused: the largest upstream one (RISBench, 52,472 expressions) stays far below."""

_PICKLE_FAULTS = (
    pickle.UnpicklingError,
    struct.error,
    AssertionError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""What a broken pickle can raise. Source: Python documentation, pickle.UnpicklingError, which names some and rules out none."""


def read_plain_pickle(path: str | Path) -> Any:
    """What a pickle of plain values (lists, dicts, texts, numbers) holds.

    Any reference to a class or function is refused before it is looked up, so nothing in the file can run. Byte strings of Python 2
    are read as UTF-8.

    Raises:
        DataError: the file is missing, cannot be read, or exceeds `MAX_PICKLE_BYTES`.
        AnnotationError: the file names a global, or is broken.
    """
    raw = read_bytes(path, limit=MAX_PICKLE_BYTES, kind="a pickle")
    unpickler = _PlainUnpickler(io.BytesIO(raw), encoding="utf-8")
    unpickler.path = str(path)
    try:
        return unpickler.load()
    except _PICKLE_FAULTS as error:
        raise AnnotationError(f"{path}: broken pickle ({type(error).__name__}: {error}). Fetch or export the file again.") from error


class _PlainUnpickler(pickle._Unpickler):
    """The unpickler written in Python: the one in C keeps a table as long as the largest number in the file.

    So a few bytes could take gigabytes; and so could byte arrays, whose memory is taken before they are read. No annotation holds those.
    """

    dispatch: ClassVar = {code: read for code, read in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}
    path = ""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise AnnotationError(
            f"{self.path}: the pickle asks for '{module_name}.{global_name}'; annotations hold plain values only, and a class or function "
            "named here could run any code. Nothing was run. Export the file as JSON lines instead."
        )
