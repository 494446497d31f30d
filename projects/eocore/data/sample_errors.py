"""What a processor finds wrong with a record, as errors of the framework."""

from collections.abc import Iterator
from contextlib import contextmanager

from eocore.data.records import Record
from eocore.errors import AlignmentError, BandError, LengthError
from eocore.portable.position_limit import SampleTooLongError
from eocore.portable.vision_layout import SampleError


@contextmanager
def named_after(record: Record) -> Iterator[None]:
    """What the processor finds wrong with a record, as errors of the framework that say where the record stands.

    Raises:
        LengthError, AlignmentError, BandError: as the processor's `SampleTooLongError`, `SampleError` and any other ValueError.
    """
    try:
        yield
    except SampleTooLongError as error:
        raise LengthError(f"{record.source}: {error}") from error
    except SampleError as error:
        raise AlignmentError(f"{record.source}: {error}") from error
    except ValueError as error:  # the presentation asks for something that the scene does not have
        raise BandError(f"{record.source}: {error}") from error
