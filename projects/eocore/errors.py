"""The errors users of the framework meet, one class for each kind of cause.

Every message says what was found, what was expected, what follows and what to do; data errors name file and line.
"""

import traceback
from pathlib import Path


class EOError(Exception):
    """Base of all errors the framework raises on purpose.

    Attributes:
        told_first: of a training on several ranks: True on the rank that failed first, False on one that failed after it, None where
            ranks do not know of each other.
    """

    told_first: bool | None = None


class ConfigError(EOError):
    """A config names something that does not exist, or gives a value that cannot be used."""


class DataError(EOError):
    """A data file is missing, broken, or disagrees with what describes it."""


class NoDataError(DataError):
    """No pixel of an image, or of the part of it that is read, holds data."""


class AnnotationError(DataError):
    """An annotation file breaks its format; the message starts with file:line or file#entry."""


class DuplicateError(AnnotationError):
    """Two records share a sample id."""


class BandError(DataError):
    """A band, sensor or unit is unknown, missing, or at the wrong position."""


class AlignmentError(DataError):
    """Placeholders, tiles, masks or [SEG] tokens of one sample do not count up."""


class LengthError(DataError):
    """A sample is longer than the configured token limit."""


class SampleError(EOError):
    """A sample or batch could not be prepared for a reason nobody foresaw: a fault of the program, or data of a new kind.

    Its cause has the trace. It is no DataError, so no policy replaces the sample: that would hide a fault of the program.
    """


class UnforeseenError(EOError):
    """An error of a library or of the program itself, which nobody foresaw; its cause has the trace."""


class CheckpointError(EOError):
    """A checkpoint is missing, broken, or does not fit the model."""


class OutputError(EOError):
    """A result cannot be written: the disk is full, a quota is used up, or the folder may not be written to."""


class ServiceError(EOError):
    """A server cannot answer a request that is right in itself."""


class BusyError(ServiceError):
    """More requests wait than a server takes, or a client asks more often than it may; later it can answer."""


class TimeLimitError(ServiceError):
    """A request took longer than it may."""


class WorkerLostError(ServiceError):
    """The process that worked on a request has ended."""


class AccessError(EOError):
    """A request asks for what its sender may not have."""


def describe_unforeseen(error: BaseException) -> str:
    """Class, text and line in the code of an error that was not raised on purpose, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
