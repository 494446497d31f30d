"""What a processor is set to; in processor_config.json and in configs the fields stand side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from .channels import PRESETS

UNITS = ("measured", "display")
FITS = ("resize", "crop")
ABSENT = ("error", "mean")
LONG_TEXTS = ("error", "cut")
DEFAULT_CHANNELS = 10


@dataclass(frozen=True, kw_only=True)
class ProcessorOptions:
    """Fields of `MsClipProcessor`.

    Attributes:
        channels: of the patch embedding, each "role:band", or several of these with `|` between: the first whose role is there counts.
        mean, std: of each channel, in the unit of its image: reflectance [1], sigma0 [dB]; of pictures on a 0..1 scale.
        image_size: side of the image that the model sees [px].
        unit: "measured": channels are what sensors measured. "display": channels are those of a picture, 0..1; reflectance is shown
            linearly, with `display_white` as 1.
        display_white: reflectance that is shown white; brighter stays white. Source of 0.2: upstream's RGB sets, DN 2000.
        fit: "resize": the short side becomes `image_size`, bicubic, and the centre is cut out. "crop": the centre of the image as it is.
        absent: what a channel is without its role or band: "error", or the "mean", which says nothing to the model.
        context_length: most tokens of a text, its start and end among them.
        long_texts: what becomes of a longer one: "error", or "cut" to it, as CLIP does.

    Raises:
        ValueError: a choice is unknown, or the numbers of channels, means and deviations disagree.
    """

    channels: Sequence[str] = ()
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    image_size: int = 224
    unit: str = "measured"
    display_white: float = 0.2
    fit: str = "resize"
    absent: str = "error"
    context_length: int = 77
    long_texts: str = "error"

    def __post_init__(self) -> None:
        if not self.channels:
            for name in ("channels", "mean", "std"):
                object.__setattr__(self, name, PRESETS[DEFAULT_CHANNELS][name])
        for name, choices in (("unit", UNITS), ("fit", FITS), ("absent", ABSENT), ("long_texts", LONG_TEXTS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"processor.{name}='{getattr(self, name)}' is unknown; choices: {', '.join(choices)}.")
        for name in ("channels", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not len(self.channels) == len(self.mean) == len(self.std):
            raise ValueError(
                f"the processor has {len(self.channels)} channels, {len(self.mean)} means and {len(self.std)} deviations; give one of each."
            )
        wrong = [part for part in chain(*(channel.split("|") for channel in self.channels)) if part.count(":") != 1]
        if wrong or not all(value > 0 for value in self.std):
            raise ValueError(f"channels are 'role:band' and deviations positive numbers; found {wrong or list(self.std)}.")
        if min(self.image_size, self.context_length - 2) < 1 or not self.display_white > 0:
            raise ValueError("image_size, context_length (from 3 on) and display_white must be positive.")

    @property
    def sources(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """(role, band) of each alternative of each channel."""
        return tuple(tuple((part.split(":")[0], part.split(":")[1]) for part in channel.split("|")) for channel in self.channels)

    @property
    def roles(self) -> tuple[str, ...]:
        """Of the images that the model reads, in the order of the channels."""
        return tuple(dict.fromkeys(role for channel in self.sources for role, _ in channel))
