"""What is asked of a server's models, and what comes back: plain data, which travels between processes.

Nothing here imports torch: the front process holds no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from eocore.data.records import MaskRef
from eocore.predict.image_files import ImageFile

TurnRole = Literal["user", "assistant", "system"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a served model can do.

    Attributes:
        name: by which requests name it: that of its folder.
        system: that it belongs to.
        protocols: of `eocore.evaluate.protocols`: "generates", "scores", "embeds"; and "embeds_images" where texts have no vectors, and
            "scores_pixels".
        roles: of the images that it reads; empty where the model does not say.
        draws_masks: whether its answers may hold masks.
        reads_regions: whether a question may be about regions of its image.
        reads_series: whether it reads images of several dates together.
        streams: whether its answers are handed out word by word; others come whole.
        is_ready: whether a worker has it in memory now.
    """

    name: str
    system: str
    protocols: tuple[str, ...]
    roles: tuple[str, ...] = ()
    draws_masks: bool = False
    reads_regions: bool = False
    reads_series: bool = False
    streams: bool = False
    is_ready: bool = False


@dataclass(frozen=True)
class ChatTurn:
    """One message.

    Attributes:
        role: "system" is the first only.
        text: of a user, words as they are: special tokens in it are words too. Of the assistant, `Done.text` of an earlier answer.
    """

    role: TurnRole
    text: str


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """A conversation whose last message is a question.

    Attributes:
        model: name of a served one.
        turns: questions and answers in turn, a question last.
        images: input -> file, see `eocore.predict.image_files.read_images`; the same in all rounds. Masks lie on the first. Of several
            dates "input date" -> file with its `time`, in the order of the dates.
        regions: that the last question is about, in pixels of the image that they lie on (`image`, the first) as it is read:
            MaskRef("box", [x0, y0, x1, y1]) or MaskRef("polygon", [[x0, y0, x1, y1, ...]]).
        max_new_tokens: longest answer.
        generation: options of `eocore.portable.generation_options.OPTIONS`, such as {"do_sample": True, "temperature": 0.7}.
        stop: texts that end the answer and do not belong to it.
        seed: of sampled answers; a request with a seed is answered apart from others.
    """

    model: str
    turns: tuple[ChatTurn, ...]
    images: Mapping[str, ImageFile] = field(default_factory=dict)
    regions: tuple[MaskRef, ...] = ()
    max_new_tokens: int = 256
    generation: Mapping[str, Any] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class TextDelta:
    """The next piece of an answer, without special tokens."""

    text: str


@dataclass(frozen=True)
class MaskMark:
    """Where the answer refers to a mask, between two pieces of text.

    Attributes:
        index: of the mask in the answer's `Masks`, from 0.
        phrase: of the answer, which the mask shows; "" where the model marks none. It is part of the text before.
    """

    index: int
    phrase: str = ""


@dataclass(frozen=True)
class MaskGrid:
    """The pixels that masks lie on.

    Attributes:
        role: of the image.
        size: (height, width) [px].
        crs: WKT, "" without.
        transform: the affine (a, b, c, d, e, f) of rasterio; None where the image is not georeferenced, or at tie points alone.
    """

    role: str
    size: tuple[int, int]
    crs: str = ""
    transform: tuple[float, float, float, float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Masks:
    """All masks of an answer, after its text.

    Attributes:
        masks: (K, H, W) bool, in the order of the `MaskMark`s, on the stored pixels of the image (of its window, where it has one).
        grid: where they lie.
        drawn_on: name of the image that each was drawn on, of several dates; empty = on that of the grid.
    """

    masks: np.ndarray
    grid: MaskGrid
    drawn_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """The end of an answer.

    Attributes:
        finish_reason: "stop" = the model ended it, "length" = it was as long as it may be.
        prompt_tokens, answer_tokens: of the model; 0 where the model does not tell.
        text: the answer in the model's own notation ([SEG] where masks are): the assistant's turn of the next round.
    """

    finish_reason: FinishReason
    prompt_tokens: int = 0
    answer_tokens: int = 0
    text: str = ""


Event = TextDelta | MaskMark | Masks | Done
"""Of an answer: text and marks in the order of the answer, then `Masks` where there are any, then `Done`."""


@dataclass(frozen=True, kw_only=True)
class ImagesRequest:
    """Images whose vectors, class scores or pixel scores are wanted.

    Attributes:
        model: name of a served one.
        images: of one sample, input -> file.
        classes: names to choose among, where classes are scored.
        templates: texts with `{label}` in them that stand for a class.
        texts: that pixels are scored for.
    """

    model: str
    images: Mapping[str, ImageFile]
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
