"""Record and scenes -> the sample the model takes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from earthmind.model.batching import Sample
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.processor_options import MODALITIES
from eocore.data.dataset import ImageRules
from eocore.data.io.masks import decode_scene_mask
from eocore.data.io.readers import SceneHeader
from eocore.data.records import MaskRef, Record
from eocore.data.sample_errors import named_after
from eocore.errors import AlignmentError
from eocore.portable.series import Moment, group_moments
from eocore.sensors.scene import Scene

SEED_RANGE = 2**31
IMAGES = ImageRules(roles=MODALITIES, tokens=256)
"""Tokens: of one 448 px tile after pixel shuffle, (448 / 14 / 2) squared, whatever the size of the image. Source: InternVL 2.5."""


class SamplePreparer:
    """Prepares training samples with the processor that ships with the model.

    Args:
        processor: made for the model.
        max_length: most tokens of a sample; a longer one is an error, nothing is cut.
    """

    def __init__(self, processor: EarthMindProcessor, *, max_length: int) -> None:
        self.processor, self.max_length = processor, max_length

    def __call__(self, record: Record, scenes: Sequence[Scene], *, rng: np.random.Generator) -> Sample:
        """The encoded sample.

        Raises:
            AlignmentError: text, images, regions and masks do not fit together, or moments of a series are not in order.
            BandError: the presentation asks for a band that the image does not have.
            LengthError: more than `max_length` tokens.
        """
        if not record.turns:
            raise AlignmentError(
                f"{record.source}: the record has no question and answer ({len(record.captions)} captions, {len(record.labels)} labels), "
                "which is what this model learns from. Use a data set of conversations, or a transform that makes turns of them."
            )
        with named_after(record):
            sample = self.processor.encode(
                images_of(scenes, source=record.source),
                record.turns,
                regions=read_regions(record, scenes),
                region_moments=mask_moments(record, record.regions),
                masks=[read_mask(mask, scenes, record=record) for mask in record.masks],
                mask_moments=mask_moments(record, record.masks),
                independent=record.independent,
                max_length=self.max_length,
                sample_id=record.sample_id,
            )
        return sample._replace(seed=int(rng.integers(SEED_RANGE)))


def images_of(
    scenes: Sequence[Scene | SceneHeader], *, source: str, show: Callable[[Any], Any] = lambda scene: scene
) -> dict[str, Any] | list[Moment]:
    """The scenes of a record as the processor takes them: by role, or the moments of a series.

    Args:
        scenes: or their headers, in order.
        source: of the record, for messages.
        show: what of each the processor takes.

    Raises:
        SampleError: see `eocore.portable.series.group_moments`.
    """
    moments = group_moments([(scene.role, scene.time, show(scene)) for scene in scenes], source=source)
    return moments if len(moments) > 1 else dict(moments[0].images) if moments else {}


def mask_moments(record: Record, masks: Sequence[MaskRef]) -> list[int]:
    """Number of the moment whose image each mask lies on."""
    moments = group_moments([(ref.role, ref.time, number) for number, ref in enumerate(record.images)], source=record.source)
    of_image = {image: number for number, moment in enumerate(moments) for image in moment.images.values()}
    return [of_image.get(mask.image, 0) for mask in masks]


def read_regions(record: Record, scenes: Sequence[Scene | SceneHeader]) -> list[np.ndarray]:
    """(H, W) bool of each region of a record that has images."""
    return [read_mask(region, scenes, record=record) for region in record.regions] if scenes else []


def read_mask(mask: MaskRef, scenes: Sequence[Scene | SceneHeader], *, record: Record) -> np.ndarray:
    """(H, W) bool mask at the size of the image that it lies on. Raises AlignmentError where the record has no such image."""
    if mask.image >= len(scenes):
        raise AlignmentError(
            f"{mask.source or record.source}: a mask lies on image {mask.image}, but the record has {len(scenes)} images, counted from 0. "
            "Correct its number."
        )
    return decode_scene_mask(mask, scenes[mask.image], source=record.source)
