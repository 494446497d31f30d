"""What is done with the vision tokens of long inputs: compression, which a model learns, and reductions that need no training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COMPRESS = "compress"
REDUCTIONS = ("pool", "choose", "drop")
"""Methods that any model can be asked with: means of neighbouring tokens, windows chosen by the question, tokens left out at random."""
OFF = "off"
METHODS = (COMPRESS, *REDUCTIONS, OFF)
ATTENTIONS = ("auto", "sdpa", "flex")


@dataclass(frozen=True, kw_only=True)
class CompressionOptions:
    """How a language model compresses the vision tokens of long inputs (`model.compression` of a config).

    Attributes:
        window: vision tokens that are read together, and of which compression tokens alone are remembered: those of a tile, of several
            tiles, or of a date.
        ratios: vision tokens for each compression token; training draws one for every window, 1 leaves the window as it is.
        ratio: with which the model answers unless it is told otherwise; None = the first of `ratios`.
        attention: of training: "sdpa", "flex" (torch's flex attention), or "auto": flex on GPUs.
        region_token_id: the image tokens behind this one are a region's, which is never compressed; None until it is known.

    Raises:
        ValueError: a choice is unknown, a number is none, or a ratio does not divide the window.
    """

    window: int
    ratios: Sequence[int] = (2, 4, 8)
    ratio: int | None = None
    attention: str = "auto"
    region_token_id: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", list(self.ratios) if isinstance(self.ratios, list | tuple) else self.ratios)
        if not _is_count(self.window):
            raise ValueError(f"compression.window={self.window!r}: expected a whole number of vision tokens, such as those of a tile.")
        if not isinstance(self.ratios, list) or not self.ratios:
            raise ValueError(f"compression.ratios={self.ratios!r}: expected a list of ratios, such as [2, 4, 8].")
        for ratio in self.ratios:
            check_ratio(ratio, self.window)
        if self.ratio is not None:
            check_ratio(self.ratio, self.window)
        if self.attention not in ATTENTIONS:
            raise ValueError(f"compression.attention='{self.attention}' is unknown; choices: {', '.join(ATTENTIONS)}.")

    @property
    def usual_ratio(self) -> int:
        """With which the model answers unless it is told otherwise."""
        return self.ratios[0] if self.ratio is None else self.ratio


@dataclass(frozen=True)
class LongInput:
    """What a question asks for.

    Attributes:
        method: one of `METHODS`.
        ratio: vision tokens for each one that is left.
    """

    method: str
    ratio: int


def compression_fields(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """All fields of `CompressionOptions`; None where a model does not compress.

    Raises:
        ValueError: a field is unknown, missing or wrong.
    """
    if given is None:
        return None
    known = CompressionOptions.__dataclass_fields__
    unknown = sorted(set(given) - set(known))
    if unknown or "window" not in given:
        what = f"holds {', '.join(unknown)}, which nothing reads" if unknown else "does not say how many vision tokens a window has"
        raise ValueError(f"compression={dict(given)} {what}. Fields: {', '.join(known)}; window is needed.")
    return dict(vars(CompressionOptions(**given)))


def check_ratio(ratio: Any, window: int) -> None:
    """Raise ValueError if a window cannot be compressed by the ratio."""
    if not _is_count(ratio) or window % ratio:
        fitting = [number for number in range(1, window + 1) if window % number == 0]
        raise ValueError(
            f"compression ratio {ratio!r} does not divide the window of {window} vision tokens, so the last of them would have no "
            f"compression token. Ratios that do: {', '.join(map(str, fitting))}."
        )


def read_long(text: str, *, window: int, usual_ratio: int | None) -> LongInput:
    """The method and ratio of METHOD[:RATIO].

    Args:
        text: such as "compress:8", "pool:4", "choose:8", "drop:4" or "off".
        window: vision tokens of a window.
        usual_ratio: where the text names none; None: the model does not compress.

    Raises:
        ValueError: the text has another form, the model does not compress, or the ratio does not divide the window.
    """
    method, colon, number = text.partition(":")
    if method not in METHODS or (colon and not number.isdecimal()) or (method == OFF and colon):
        raise ValueError(f"long={text!r}: expected METHOD or METHOD:RATIO, with METHOD one of {', '.join(METHODS)}, as in {COMPRESS}:8.")
    if method == OFF:
        return LongInput(OFF, 1)
    if method == COMPRESS and usual_ratio is None:
        raise ValueError(
            f"long={text!r}: the model has no compression tokens. Train them (model.compression of a config), or take one of "
            f"{', '.join(REDUCTIONS)}, which need no training."
        )
    if not colon and usual_ratio is None:
        raise ValueError(f"long={text!r}: this model has no usual ratio. Name one: {text}:4.")
    ratio = int(number) if colon else int(usual_ratio or 1)
    if method != "choose":
        check_ratio(ratio, window)
    elif ratio < 1:
        raise ValueError(f"long={text!r}: expected a ratio of at least 1.")
    return LongInput(method if ratio > 1 else OFF, ratio)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
