"""Sizes of samples before any image is read, by the rules of the processor that will prepare them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from earthmind.datasets.preparation import images_of, mask_moments, read_regions
from earthmind.model.processing_earthmind import EarthMindProcessor
from eocore.data.io.readers import SceneHeader
from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.errors import LengthError
from eocore.models.vocabulary import tokenizer_digest
from eocore.portable import band_rendering
from eocore.portable.band_rendering import SceneShape

SYSTEM = Path(__file__).parent.parent
"""Folder of this system's sources."""
PORTABLE = Path(band_rendering.__file__).parent
"""Folder of the sources that its processor shares with others."""


class SampleMeasurer:
    """Sizes of what `SamplePreparer` will make of a record, from its text, its regions and the headers of its images.

    Args:
        processor: made for the model.
        max_length: most tokens of a sample; a longer one is an error.
    """

    reads_headers = True

    def __init__(self, processor: EarthMindProcessor, *, max_length: int) -> None:
        self.processor, self.max_length = processor, max_length

    @property
    def settings(self) -> dict[str, Any]:
        """All of the processor and its tokenizer that sizes depend on, fit for JSON."""
        kept = {name: value for name, value in processor_fields(self.processor).items() if name != "chat_template"}
        return {**kept, "tokenizer": tokenizer_digest(self.processor.tokenizer)}

    @property
    def code(self) -> list[Path]:
        """Folders of the sources that decide how large a sample becomes."""
        return [PORTABLE, SYSTEM / "model", SYSTEM / "building", SYSTEM / "datasets"]

    def __call__(self, record: Record, headers: Sequence[SceneHeader]) -> dict[str, int]:
        """The `eocore.data.loading.sample_stats.FIELDS`.

        Raises:
            AlignmentError, BandError: as `SamplePreparer`, as far as no pixel is needed to see it.
            LengthError: more than `max_length` tokens.
        """
        with named_after(record):
            found = self.processor.measure(
                images_of(headers, source=record.source, show=_shape),
                record.turns,
                regions=read_regions(record, headers),
                region_moments=mask_moments(record, record.regions),
                independent=record.independent,
                sample_id=record.sample_id,
            )
        if found["tokens"] > self.max_length:
            raise LengthError(
                f"{record.source}: {record.sample_id}: {found['tokens']} tokens ({found['tiles']} tiles), at most {self.max_length} are "
                "allowed; nothing was cut. Raise max_length or lower max_tiles."
            )
        return found


def _shape(header: SceneHeader) -> SceneShape:
    return SceneShape(header.height, header.width, header.bands, header.unit)


def processor_fields(processor: EarthMindProcessor) -> dict[str, Any]:
    """Option -> value that the processor took for it, and its chat template."""
    return {"chat_template": processor.chat_template, **asdict(processor.options)}
