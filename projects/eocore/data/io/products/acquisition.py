"""When an image was taken, and how much of it clouds cover, as the metadata of products say."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from eocore.errors import DataError

WHOLE_PERCENT = 100.0


@dataclass(frozen=True)
class Acquisition:
    """What is stated of a product.

    Attributes:
        time: ISO 8601 date-time in UTC, to the second; "" = not stated.
        cloud_cover: share of the scene under clouds [%]; None = not stated, or not of this kind of image.
    """

    time: str = ""
    cloud_cover: float | None = None


def as_time(text: str, *, path: Path) -> str:
    """A date-time of the metadata at `path` to the second; "" where there is none. Raises DataError where it is no date-time."""
    if not text:
        return ""
    try:
        return datetime.fromisoformat(text).replace(microsecond=0, tzinfo=None).isoformat()
    except ValueError as error:
        raise DataError(f"{path}: {text[:60]!r} is no date-time in ISO 8601. Copy or fetch the product again.") from error


def as_cloud_cover(percent: float, *, path: Path) -> float:
    """The share. Raises DataError where it is outside of 0 to 100."""
    if not 0 <= percent <= WHOLE_PERCENT:
        raise DataError(f"{path}: {percent:g} % of the scene are said to be under clouds; expected 0 to 100. Copy or fetch it again.")
    return percent
