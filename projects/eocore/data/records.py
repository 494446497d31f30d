"""A `Record`: one annotated sample as parsed, before any image is opened."""

import re
from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from eocore.data.changes import NOT_AUGMENTED, Augmentation
from eocore.errors import AnnotationError
from eocore.portable.messages import Image, Turn, joined
from eocore.portable.series import is_moment

Window = tuple[int, int, int, int]
"""(row, col, height, width) [px]."""

_ROLE = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class ImageRef:
    """The file or files of one image.

    Attributes:
        role: what the image is to the model, in a word that the model's processor declares (rgb, multispectral, sar, dem, before, ...).
        sensor: name in the sensor registry, which gives bands, unit and scaling.
        paths: one file, one file per band, or the folder of a product as delivered (eocore.data.io.products).
        bands: names of the layers in file order where the file deviates from the sensor's own order, "-" for a layer to leave out; of a
            product, the bands to read; empty = the sensor's order, or all bands.
        window: the part that is the image, on the finest grid of the files; only that part is read. None = all.
        time: when it was taken, as an ISO 8601 date or date-time; or, where only the order is known, "before", "after" or "image 1",
            "image 2", ..., of a video "frame 1", ... (see `eocore.portable.series`); "" = unknown.
        gsd_m: of a product: pixel size that all its bands are put on [m]; None = its finest (Landsat: 30 m).
        noise_removal: of a Sentinel-1 product: subtract the thermal noise that it states.
        item: which image, where a file holds many (see `ZarrImage` and `VideoFrame` of `eocore.data.io`); "" = the file is one image.
        remote: paths may be addresses on web servers; set by a command that was told to read these, never by what annotations say.
    """

    role: str
    sensor: str
    paths: tuple[str, ...]
    _: KW_ONLY
    bands: tuple[str, ...] = ()
    window: Window | None = None
    time: str = ""
    gsd_m: float | None = None
    noise_removal: bool = False
    item: str = ""
    remote: bool = False

    @property
    def label(self) -> str:
        """Role and time, by which a record's images are told apart."""
        return f"{self.role} {self.time}".rstrip()


def is_role(word: Any) -> bool:
    """Whether `word` can name the role of an image: lower-case letters, digits and underscores, beginning with a letter."""
    return isinstance(word, str) and _ROLE.fullmatch(word) is not None


def is_gsd(value: Any) -> bool:
    """Whether `value` is a pixel size: a positive number, not infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def is_time(text: Any) -> bool:
    """Whether `text` is an ISO 8601 date or date-time."""
    try:
        return isinstance(text, str) and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


@dataclass(frozen=True)
class MaskRef:
    """A mask as an annotation gives it; `eocore.data.io.masks.decode_mask` turns it into (H, W) bool.

    Attributes:
        kind: "polygon" (list of [x0, y0, x1, y1, ...] rings, OR-ed), "rle" (COCO {size, counts}),
            "box" ([x0, y0, x1, y1] px, far edge exclusive), or "file" ({"path": ..., "value": int or None}: pixels equal to value, or > 0).
        data: as `kind` says. Coordinates are pixels of the image it lies on.
        source: "file:line" or "file#entry" of the mask itself, for messages; "" = the record's, which may hold masks of several lines.
        image: number of the record's image that it lies on.
    """

    kind: Literal["polygon", "rle", "box", "file"]
    data: Any
    source: str = field(default="", compare=False)
    _: KW_ONLY
    image: int = 0


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
        images: in order; any subset of the roles that a model knows may be present. Images of one role differ in `time`: a series.
            Masks lie on the pixels of the first, unless they name another. None in samples of text alone.
        turns: user and assistant messages in turn, beginning with the user. Empty while only `expressions`, `captions` or `labels` are set.
        masks: those that the `Seg` parts of the assistant turns refer to by index, in order.
        regions: those that the `Region` parts of the user turns refer to by index.
        independent: each question is asked anew: it sees the images and itself, not the other questions and answers.
        captions: texts that each describe the images as a whole; what contrastive models learn from.
        labels: names of what the images show: one, or several where several may apply.
        expressions: referring phrases that a transform (`ComposeReferring`) makes turns and masks of.
        task: what is asked, as evaluation names it: "vqa", "mcq", "caption", "classification", "referring", "region", "chat", ...
        source: "file:line" or "file#entry", for messages.
        meta: what evaluation needs besides: `answer`, `candidates`, `type`, flags such as `cloudy`.
        augmentation: what is to be done to its images after they are read; words are changed already.

    Raises:
        AnnotationError: a role is no plain word, a time is not ISO 8601, or two images have the same role and time.
    """

    sample_id: str
    images: tuple[ImageRef, ...]
    turns: tuple[Turn, ...] = ()
    masks: tuple[MaskRef, ...] = ()
    regions: tuple[MaskRef, ...] = ()
    independent: bool = False
    expressions: tuple[Expression, ...] = ()
    task: str = "chat"
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    captions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    augmentation: Augmentation = NOT_AUGMENTED

    def __post_init__(self) -> None:
        for ref in self.images:
            if not is_role(ref.role):
                raise AnnotationError(
                    f"{self.source}: an image has the role {ref.role!r}; expected a word of lower-case letters, digits and underscores, "
                    "such as 'rgb' or 'sar', which the model's processor declares. Correct it."
                )
            if ref.time and not is_moment(ref.time):
                raise AnnotationError(
                    f"{self.source}: the {ref.role} image has the time {ref.time!r}; expected an ISO 8601 date or date-time, such as "
                    "'2024-05-31' or '2024-05-31T10:15:00Z', or its order: 'before', 'after', 'image 1'. Correct it."
                )
        labels = [ref.label for ref in self.images]
        if len(set(labels)) < len(labels):
            label = next(label for label in labels if labels.count(label) > 1)
            raise AnnotationError(
                f"{self.source}: {labels.count(label)} images of sample '{self.sample_id}' are '{label}'; images of one role need "
                "different times, by which they are told apart. Give each its time, or leave the duplicates out."
            )

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of its images, each once, in their order."""
        return tuple(dict.fromkeys(ref.role for ref in self.images))

    def images_of(self, role: str) -> tuple[ImageRef, ...]:
        """Its images of one role, in their order."""
        return tuple(ref for ref in self.images if ref.role == role)


def with_roles(record: Record, roles: Collection[str]) -> Record:
    """The record with its images of some roles alone; parts that show the others one by one are left out with them."""
    kept = [index for index, ref in enumerate(record.images) if ref.role in roles]
    moved: dict[int | None, int | None] = {None: None, **{index: position for position, index in enumerate(kept)}}
    turns = [
        Turn(
            turn.role,
            joined(
                Image(moved[part.index]) if isinstance(part, Image) else part
                for part in turn.parts
                if not isinstance(part, Image) or part.index in moved
            ),
        )
        for turn in record.turns
    ]
    masks, regions = (tuple(_moved(mask, record, kept=kept) for mask in group) for group in (record.masks, record.regions))
    expressions = tuple(one if one.mask is None else replace(one, mask=_moved(one.mask, record, kept=kept)) for one in record.expressions)
    images = tuple(record.images[index] for index in kept)
    return replace(record, images=images, turns=tuple(turns), masks=masks, regions=regions, expressions=expressions)


def _moved(mask: MaskRef, record: Record, *, kept: list[int]) -> MaskRef:
    """The mask on the same image where that is kept, else on the first kept one of the same moment, else on the first."""
    if mask.image in kept:
        return replace(mask, image=kept.index(mask.image))
    moment = record.images[mask.image].time if mask.image < len(record.images) else ""
    return replace(mask, image=next((number for number, index in enumerate(kept) if record.images[index].time == moment), 0))
