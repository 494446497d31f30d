"""Images of several moments: their order, which belong together, how a prompt names them, and which of them a text means."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from eocore.portable.sample_error import SampleError

BEFORE, AFTER = "before", "after"
"""Moments of a pair of which only the order is known."""
MAX_FRAMES = 32
"""Frames of a video that are shown, unless something else is asked for."""
_NUMBERED = re.compile(r"(image|frame) ([1-9]\d*)")
"""Moments of a series of which only the order is known, and frames of a video."""
_DAY = re.compile(r"(?<![\w-])\d{4}-\d{2}-\d{2}(?!\d)")
_NAMED = re.compile(r"\b(image|frame) ([1-9]\d*)\b")
"""A day, and a numbered moment, in a question."""
_DATES = "ISO 8601 dates such as 2024-05-31 (or date-times), 'before' and 'after', or 'image 1', 'image 2', ..."


@dataclass(frozen=True)
class Moment:
    """What a sample shows of one moment; its images lie over each other and are fused.

    Attributes:
        time: a date or date-time, or a word of order (`BEFORE`, `AFTER`, "image 1"); "" = nothing is said of it.
        images: role -> scene, Pillow image, uint8 array, or what is known of one before it is read.
    """

    time: str
    images: Mapping[str, Any]


def is_moment(text: Any) -> bool:
    """Whether `text` says when an image was taken, as a date or by its order."""
    try:
        return isinstance(text, str) and bool(_rank(text))
    except ValueError:
        return False


def _rank(time: str) -> tuple[str, float]:
    """The kind of a moment, and its position among those of this kind. Raises ValueError where it is neither a date nor a word of order."""
    if time in (BEFORE, AFTER):
        return "order", float(time == AFTER)
    numbered = _NUMBERED.fullmatch(time)
    if numbered:
        return numbered[1], float(numbered[2])
    return "date", _instant(time).timestamp()


def _instant(time: str) -> datetime:
    """A date or date-time in UTC, which those without a time zone are taken to be in. Raises ValueError where it is neither."""
    taken = datetime.fromisoformat(time)
    try:
        return taken.astimezone(UTC) if taken.tzinfo else taken.replace(tzinfo=UTC)
    except OverflowError as error:  # of the years 1 and 9999, shifted out of the calendar
        raise ValueError(f"{time}: not a time of this calendar") from error


def sort_key(time: str) -> float:
    """By which the moments of a series, of one kind, are sorted. Raises ValueError where it is none."""
    return _rank(time)[1]


def check_order(times: Sequence[str], *, source: str) -> None:
    """Raise SampleError unless the moments of a series are all known, of one kind, and each later than the one before.

    Args:
        times: of the moments, in their order; one alone may be anything.
        source: of the sample, for messages.
    """
    if len(times) < 2:
        return
    listed = ", ".join(time or "none" for time in times)
    unknown = [number for number, time in enumerate(times, start=1) if not is_moment(time)]
    if unknown:
        raise SampleError(
            f"{source}: image {unknown[0]} of {len(times)} has no date ({listed}); images of several moments are told apart by it. "
            f"Expected {_DATES}: give every image its own."
        )
    ranks = [_rank(time) for time in times]
    if len({kind for kind, _ in ranks}) > 1:
        raise SampleError(f"{source}: the moments of one series are of several kinds ({listed}), so they have no order. Use one kind.")
    for number in range(1, len(ranks)):
        if ranks[number] <= ranks[number - 1]:
            fault = "is the same moment as" if ranks[number] == ranks[number - 1] else "is earlier than"
            raise SampleError(
                f"{source}: {times[number]} {fault} the image before it ({listed}); what is said to come later would not. Give the "
                "images in the order of their dates, each with a date of its own."
            )


def group_moments(images: Iterable[tuple[str, str, Any]], *, source: str) -> list[Moment]:
    """The moments of a sample, in order.

    Images of one calendar day (UTC) with unlike roles are one moment, named by the day; on a day on which a role comes twice, each time
    is one.

    Args:
        images: (role, time, image), in the order of the sample.
        source: of the sample, for messages.

    Raises:
        SampleError: see `check_order`; or one moment has two images of a role.
    """
    listed = list(images)
    if not any(time for _, time, _ in listed):
        return [Moment("", _by_role(listed, source=source))] if listed else []
    days = [day_of(time) for _, time, _ in listed]
    counts = Counter((role, day) for (role, _, _), day in zip(listed, days, strict=True))
    repeated = {day for (_, day), count in counts.items() if count > 1}
    names = [time if day in repeated else day for (_, time, _), day in zip(listed, days, strict=True)]
    joined: dict[str, list[tuple[str, str, Any]]] = {}
    for name, image in zip(names, listed, strict=True):
        joined.setdefault(name, []).append(image)
    check_order(list(joined), source=source)
    return [Moment(name, _by_role(own, source=source)) for name, own in joined.items()]


def day_of(time: str) -> str:
    """The calendar day (UTC) of a date or date-time, such as 2024-05-31; a word of order as it is."""
    try:
        return _instant(time).date().isoformat()
    except ValueError:
        return time


def _by_role(images: Iterable[tuple[str, str, Any]], *, source: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for role, time, image in images:
        if role in found:
            raise SampleError(
                f"{source}: several images have the role '{role}'{f' at {time}' if time else ''}; images of one role are told apart by "
                f"their dates. Give each its own: {_DATES}."
            )
        found[role] = image
    return found


def name_moment(time: str, roles: Iterable[str]) -> str:
    """How a prompt introduces the images of a moment."""
    return f"{time} {', '.join(roles)}: "


def named_moment(text: str, times: Sequence[str]) -> int | None:
    """Number of the moment that a text names last; None where it names none.

    Args:
        text: with dates as they are, or "before image", "image before", "image 2"; the day of a date-time names it too, and of several
            on that day the last.
        times: of the moments.
    """
    found = [
        (position, number)
        for number, time in enumerate(times)
        if (position := max(_last(text, name) for name in {time, day_of(time)})) >= 0
    ]
    return max(found)[1] if found else None


def named_without_image(text: str, times: Sequence[str]) -> list[str]:
    """The days such as 2024-05-31, or numbered images or frames, that a text names and that no moment of a series of this kind has.

    Args:
        text: a question or an answer.
        times: of the moments; none is found where these are before and after, or none is known.
    """
    kinds = {_rank(time)[0] for time in times if is_moment(time)}
    there = {day_of(time) for time in times}
    named = (
        _DAY.findall(text) if "date" in kinds else [f"{kind} {number}" for kind, number in _NAMED.findall(text.lower()) if kind in kinds]
    )
    return [name for name in dict.fromkeys(named) if name not in there]


def _last(text: str, time: str) -> int:
    """Where a moment is last named; -1 where it is not."""
    if time in (BEFORE, AFTER):
        pattern = rf"\b(?:{time} image|image {time})\b"
    else:
        pattern = rf"(?<![\w-]){re.escape(time)}(?![\w-])" if time else r"(?!)"
    return max((match.start() for match in re.finditer(pattern, text, re.IGNORECASE)), default=-1)


@dataclass(frozen=True)
class MomentNames:
    """By what a [SEG] finds the image that its mask is drawn on: the moment its answer names last before it, else the one that the question
    names last, else the last of all.

    Attributes:
        times: of the moments, in order; one alone needs no name.
        asked: number of the moment that the last question names, or of the last.
    """

    times: tuple[str, ...]
    asked: int = 0

    def of_seg(self, before: str) -> int:
        """Number of the moment of a [SEG] with this text of the answer before it."""
        named = named_moment(before, self.times)
        return self.asked if named is None else named


def names_after(times: Sequence[str], question: str) -> MomentNames:
    """The names of moments as an answer to a question finds them."""
    named = named_moment(question, times)
    return MomentNames(tuple(times), len(times) - 1 if named is None else named)
