"""A `Record`: one annotated sample as parsed, before any image is opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MODALITIES = ("rgb", "multispectral", "sar")
"""The kinds of input the models know, in the order images are listed; a model's processor decides the order of their tokens."""


Window = tuple[int, int, int, int]
"""(row, col, height, width) [px]."""


@dataclass(frozen=True)
class ImageRef:
    """The file or files of one image.

    Attributes:
        paths: one file, or one file per band.
        sensor: name in the sensor registry, which gives bands, unit and scaling.
        bands: names of the layers in file order where the file deviates from the sensor's own order; empty = the sensor's order.
        window: the part that is the image, on the finest grid of the files; only that part is read. None = all.
    """

    paths: tuple[str, ...]
    sensor: str
    bands: tuple[str, ...] = ()
    window: Window | None = None


@dataclass(frozen=True)
class MaskRef:
    """A mask as an annotation gives it; `eocore.data.io.masks.decode_mask` turns it into (H, W) bool.

    Attributes:
        kind: "polygon" (list of [x0, y0, x1, y1, ...] rings, OR-ed), "rle" (COCO {size, counts}),
            "box" ([x0, y0, x1, y1] px, far edge exclusive), or "file" ({"path": ..., "value": int or None}: pixels equal to value, or > 0).
        data: as `kind` says. Coordinates are pixels of the image the record names.
        source: "file:line" or "file#entry" of the mask itself, for messages; "" = the record's, which may hold masks of several lines.
    """

    kind: Literal["polygon", "rle", "box", "file"]
    data: Any
    source: str = field(default="", compare=False)


@dataclass(frozen=True)
class Turn:
    """One message. User text may hold `<image>` (once, first turn) and `<region>` (once per region mask, in order)."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True)
class Expression:
    """A phrase and the mask it refers to.

    Attributes:
        text: the phrase.
        mask: None when the phrase has no target in the image.
        place: where in the image the target lies, in words ("north"); "" where nothing is said.
    """

    text: str
    mask: MaskRef | None
    place: str = ""


@dataclass(frozen=True)
class Record:
    """One sample.

    Attributes:
        sample_id: unique inside its dataset.
        images: modality -> file; any subset of MODALITIES, at least one (text-only samples: none).
        turns: user and assistant messages in turn, beginning with the user. Empty while only `expressions` are set.
        masks: one per `[SEG]` in the assistant turns, in order.
        regions: one per `<region>` in the user turns, in order.
        independent: each question is asked anew: it sees the images and itself, not the other questions and answers.
        expressions: referring phrases that a transform (`ComposeReferring`) makes turns and masks of.
        task: "vqa", "mcq", "caption", "referring", "region" or "chat".
        source: "file:line" or "file#entry", for messages.
        meta: what evaluation needs besides: `answer`, `candidates`, `type`, flags such as `cloudy`.
    """

    sample_id: str
    images: Mapping[str, ImageRef]
    turns: tuple[Turn, ...] = ()
    masks: tuple[MaskRef, ...] = ()
    regions: tuple[MaskRef, ...] = ()
    independent: bool = False
    expressions: tuple[Expression, ...] = ()
    task: str = "chat"
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
