"""Transforms of series: which of its images a record keeps, and in which order they are shown."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from eocore.data.records import Record
from eocore.errors import ConfigError, DataError
from eocore.portable.messages import Text, Turn
from eocore.registry import TRANSFORMS

DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
"""An ISO 8601 date, alone or at the beginning of a date-time."""


@TRANSFORMS.register_module()
class ShiftDates:
    """Moves all dates of a record, those of its images and those in its words alike, by one number of days drawn anew each time.

    Order, intervals and answers stay right, but nothing of a date can be learnt by heart: it has to be read. Seasons move too, so it is
    not for questions that ask for them.

    Args:
        days: most by which dates move, to either side.

    Raises:
        ConfigError: `days` is below 1.
    """

    def __init__(self, days: int) -> None:
        if days < 1:
            raise ConfigError(f"ShiftDates: days is {days}; expected at least 1.")
        self.days = days

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with other dates. Raises DataError where one leaves the calendar."""
        by = timedelta(days=int(rng.integers(-self.days, self.days + 1)))
        try:
            return replace(
                record,
                images=tuple(replace(ref, time=_shifted(ref.time, by)) for ref in record.images),
                turns=tuple(Turn(turn.role, tuple(_shifted(part, by) for part in turn.parts)) for turn in record.turns),
                expressions=tuple(replace(one, text=_shifted(one.text, by)) for one in record.expressions),
                captions=_shifted(record.captions, by),
                meta=_shifted(record.meta, by),
            )
        except OverflowError as error:
            raise DataError(
                f"{record.source}: a date of sample '{record.sample_id}' would leave the calendar (years 1 to 9999) when it is moved by "
                f"{by.days} days. Correct the date, or give ShiftDates fewer days."
            ) from error


def _shifted(value: Any, by: timedelta) -> Any:
    """Texts, alone, as parts of a message, or in lists and mappings, with their dates moved; all else as it is."""
    if isinstance(value, str):
        return DATE.sub(lambda found: _moved(found[0], by), value)
    if isinstance(value, Text):
        return Text(_shifted(value.text, by))
    if isinstance(value, Mapping):
        return {key: _shifted(item, by) for key, item in value.items()}
    return type(value)(_shifted(item, by) for item in value) if type(value) in (list, tuple) else value


def _moved(text: str, by: timedelta) -> str:
    try:
        return (date.fromisoformat(text) + by).isoformat()
    except ValueError:  # digits that are no date, such as 2021-13-45
        return text


@TRANSFORMS.register_module()
class ReverseSeries:
    """Exchanges what the first and the last moment show, and so on, while times, words and masks stay: a control that order matters.

    A model that reads the order answers wrongly then; what happened is told the other way round.
    """

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with the files of its images in reverse. Raises DataError where its images are no series."""
        times = list(dict.fromkeys(ref.time for ref in record.images))
        if len(times) < 2:
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has images of {len(times)} moment; ReverseSeries needs a series. Leave the "
                "transform out."
            )
        opposite = dict(zip(times, reversed(times), strict=True))
        shown = {(ref.role, ref.time): ref for ref in record.images}
        images = []
        for ref in record.images:
            other = shown.get((ref.role, opposite[ref.time]))
            if other is None:
                raise DataError(
                    f"{record.source}: sample '{record.sample_id}' has no {ref.role} image of {opposite[ref.time]} to show in place "
                    f"of that of {ref.time}. Reverse series alone whose dates all have the same roles."
                )
            images.append(replace(other, time=ref.time))
        return replace(record, images=tuple(images))
