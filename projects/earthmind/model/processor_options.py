"""What a processor is set to, in groups; in processor_config.json and in configs all of it stands side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from eocore.portable.vision_layout import VisionOptions

from .grounding_images import GroundingOptions

MODALITIES = ("rgb", "multispectral", "sar")
MODALITY_ORDER = ("sar", "rgb", "multispectral")
"""Order of the sensors' tokens at one tile position; the upstream code puts a position's SAR tokens before its RGB tokens."""
DEFAULT_PRESENTATION = {
    "rgb": {"views": [["red", "green", "blue"]], "stretch": {"method": "range", "low": 0, "high": 255}},
    "multispectral": {"views": [["B04", "B03", "B02"]], "stretch": {"method": "percentile", "low": 2, "high": 98}},
    "sar": {"views": [["VV", "VH", "zero"]], "stretch": {"method": "percentile", "low": 2, "high": 98}},
}


@dataclass(frozen=True, kw_only=True)
class ProcessorOptions(VisionOptions, GroundingOptions):
    """Fields of `EarthMindProcessor`: those of both groups, and

    Attributes:
        modality_order: order of the sensors within a tile position or of their blocks; names every modality.
        template: name of the chat template, a .jinja file of `eocore.portable`.
        fusion_text: with `fuse_sensors`, the words that the fusion reads, see `HcaSettings.text_span`.

    Raises:
        ValueError: a choice or a modality is unknown, or `modality_order` does not name each modality once.
    """

    modality_order: Sequence[str] = MODALITY_ORDER
    template: str = "phi3_chat"
    fusion_text: str = "question"

    def __post_init__(self) -> None:
        VisionOptions.__post_init__(self)
        GroundingOptions.__post_init__(self)
        given = {name: dict(rule) for name, rule in (self.presentation or {}).items()}
        object.__setattr__(self, "presentation", {**DEFAULT_PRESENTATION, **given})
        object.__setattr__(self, "modality_order", tuple(self.modality_order))
        drawn_on = {part.split(":", 1)[0] for channel in self.grounding_channels for part in channel.split("|")}
        unknown = sorted({*self.presentation, *self.grounding_order, *drawn_on} - set(MODALITIES))
        if unknown:
            raise ValueError(f"modalities {unknown} are unknown; choices: {', '.join(MODALITIES)}.")
        if sorted(self.modality_order) != sorted(MODALITIES):
            raise ValueError(f"modality_order={list(self.modality_order)} must name each modality once: {', '.join(MODALITIES)}.")
