"""Transforms of series: which of its images a record keeps, and in which order they are shown."""

from dataclasses import replace

import numpy as np

from eocore.data.records import Record
from eocore.errors import DataError
from eocore.registry import TRANSFORMS


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
