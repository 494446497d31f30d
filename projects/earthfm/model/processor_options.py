"""What a processor is set to; in processor_config.json and in configs the fields stand side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .olmoearth import VERSIONS
from .sensor_inputs import SENSORS

FITS = ("resize", "crop")
CAPTION_PROMPT = "Describe this satellite image."
"""Source: EarthFM-VLM-Bridge, its data set of ChatEarthNet."""
INPUTS = {"multispectral": "sentinel2_l2a", "sar": "sentinel1", "landsat": "landsat", "rgb": "sentinel2_l2a"}
"""Role of an image -> the sensor that the encoder takes it for."""


@dataclass(frozen=True, kw_only=True)
class ProcessorOptions:
    """Fields of `EarthFmProcessor`.

    Attributes:
        version: of the encoder; decided by the model.
        patch_size: side of a patch [px]; decided by the model.
        num_queries: embeddings of a sample's images; decided by the model.
        inputs: role of an image -> sensor of the encoder. Several images of one role with a time each are a series.
        image_size: side of the square that the encoder sees [px]; None = the image as it is, which must be a multiple of the patch size.
            OlmoEarth was trained on 1 to 128 px.
        fit: "crop": the square from the image's centre, pixels as they are; "resize": the short side becomes `image_size` first.
        fill_missing: take images of the visible bands alone: nine of twelve are then made up.
        month_without_time: 1 to 12: what the encoder is told of images without a time (upstream: January, always).
        display_mean, display_std: of Sentinel-2 bands in pictures of 8 bits, by name, as measured on the data.
        template: name of the chat template.
        caption_prompt: what is asked where an image has captions alone, in training and evaluation.
        lead: stands before each question and answer, as part of it; the template writes none.

    Raises:
        ValueError: a choice is unknown or a number out of range.
    """

    version: str = "v1"
    patch_size: int = 8
    num_queries: int = 32
    inputs: Mapping[str, str] = field(default_factory=lambda: dict(INPUTS))
    image_size: int | None = None
    fit: str = "crop"
    fill_missing: bool = False
    month_without_time: int = 1
    display_mean: Mapping[str, float] | None = None
    display_std: Mapping[str, float] | None = None
    template: str = "question_answer"
    lead: str = " "
    caption_prompt: str = CAPTION_PROMPT

    def __post_init__(self) -> None:
        if self.version not in VERSIONS or self.fit not in FITS:
            raise ValueError(f"version='{self.version}' is one of {', '.join(VERSIONS)}, fit='{self.fit}' one of {', '.join(FITS)}.")
        strange = sorted(set(self.inputs.values()) - set(SENSORS))
        if strange or not self.inputs:
            raise ValueError(f"inputs name the sensors {', '.join(strange) or 'none'}; choices: {', '.join(SENSORS)}.")
        if self.image_size is not None and (self.image_size < 1 or self.image_size % self.patch_size):
            raise ValueError(f"image_size={self.image_size} px must be a multiple of the patch size {self.patch_size} px, or None.")
        if not 1 <= self.month_without_time <= 12:
            raise ValueError(f"month_without_time={self.month_without_time}, expected 1 (January) to 12.")
        if any(not value > 0 for value in (self.display_std or {}).values()):
            raise ValueError(f"display_std={dict(self.display_std or {})}: deviations are positive.")

    @property
    def roles(self) -> tuple[str, ...]:
        """Of the images that the model reads, in the order of the encoder's sensors; files of options sort the mapping."""
        return tuple(sorted(self.inputs, key=lambda role: (SENSORS.index(self.inputs[role]), role)))
