"""Samples -> the batch of a training step, complete before it leaves the loader's processes."""

from collections.abc import Sequence
from dataclasses import dataclass

from earthmind.datasets.dummy_inputs import complete_batch
from earthmind.model.batching import Batch, Sample
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.processing_earthmind import EarthMindProcessor
from eocore.models.feature_cache import content_keys


@dataclass(frozen=True, kw_only=True)
class TrainingCollator:
    """Collates training samples: rows, tiles, masks and faults, keys of tiles, and dummy inputs; the task adds nothing.

    Attributes:
        processor: of the samples.
        config: of the model.
        row_length: tokens of a packed row; None = one sample a row.
        full_rows: pad packed rows up to `row_length`.
        with_keys: give each tile the key of its content, for `eocore.train.vision_cache`.
    """

    processor: EarthMindProcessor
    config: EarthMindConfig
    row_length: int | None = None
    full_rows: bool = False
    with_keys: bool = False

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """The batch.

        Raises:
            ValueError: a sample alone is longer than a row.
        """
        batch = self.processor.collate(samples, row_length=self.row_length, full_rows=self.full_rows)
        if self.with_keys and batch.vision is not None:
            batch = batch._replace(vision=batch.vision._replace(keys=content_keys(batch.vision.tiles)))
        return complete_batch(batch, self.config)
