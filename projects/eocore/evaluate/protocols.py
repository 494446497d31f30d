"""What a model can do for an evaluation: generate answers, score classes, embed images and texts.

A predictor, which a system makes of a model folder (`eocore.system.System.predictor`), implements one protocol or more. A task names
those that it can be evaluated through (`eocore.evaluate.tasks`). Everything is batched: N samples, C classes, M texts, D width.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:  # names of tasks and settings are listed without numpy and torch
    import numpy as np

    from eocore.data.dataset import Scenes
    from eocore.data.records import Record
    from eocore.portable.series import Moment

Sample: TypeAlias = "tuple[Record, Scenes]"
"""A record, and its scenes in the order of its images."""

TEMPLATES = (
    "a centered satellite photo of {label}.",
    "a centered satellite photo of a {label}.",
    "a centered satellite photo of the {label}.",
)
"""Source: Radford et al. 2021 (CLIP), the prompts for EuroSAT."""


class AnswerLike(Protocol):
    """What is generated for one sample: text, and masks (K, H, W) bool."""

    text: str
    masks: "np.ndarray"


Answerer = Callable[[Sequence[Sample]], Sequence[AnswerLike]]
"""What may also be a `PreparingAnswerer`."""


@runtime_checkable
class PreparingAnswerer(Protocol):
    """An answerer of two steps: the first runs in the threads that read, while the second answers an earlier batch."""

    def prepare(self, sample: Sample) -> Any:
        """What `answer` takes for this sample."""

    def answer(self, prepared: Sequence[Any]) -> Sequence[AnswerLike]:
        """One answer a sample."""


class LongAnswers(NamedTuple):
    """Answers about large pictures.

    Attributes:
        texts: one a picture.
        tokens: that are remembered of a prompt and its answer, the most of the batch.
        cache_bytes: of keys and values, for each picture.
    """

    texts: Sequence[str]
    tokens: int
    cache_bytes: float


Shown: TypeAlias = "np.ndarray | Sequence[Moment]"
"""A picture (H, W, 3) uint8, or the moments of a series of pictures."""


@runtime_checkable
class AnswersLong(Protocol):
    """A model that reads pictures of any number of tiles, or series, compressed or shortened: `eo needle-test`.

    Attributes:
        can_compress: whether it has compression tokens.
        window_side: side of a tile [px].
    """

    can_compress: bool
    window_side: int

    def answer_long(self, shown: Sequence[Shown], text: str, *, num_tiles: int, long: str, max_new_tokens: int) -> LongAnswers:
        """The answer to one question about each picture, cut into so many tiles, or series, a tile each moment; `long`: METHOD:RATIO.

        Raises DataError where the model cannot take them.
        """

    def most_tiles(self, long: str) -> int | None:
        """Tiles whose tokens, shortened so, its language model has positions for; None = any number. Known before weights are.

        Raises DataError where the method cannot be used with this model.
        """


@runtime_checkable
class Generates(Protocol):
    """A model that answers with text, masks and boxes.

    Attributes:
        boxes_by_masks: whether it shows positions by masks: where boxes are asked for, it is asked for a mask, and the box around the
            mask counts.
    """

    boxes_by_masks: bool

    def answerer(self, max_new_tokens: int) -> Any:
        """An `Answerer` or `PreparingAnswerer` of the last question of each record.

        Raises:
            DataError: (the answerer) a sample does not fit the model.
        """


class ClassPrompts(NamedTuple):
    """The classes to choose among, and the texts that stand for each.

    Attributes:
        classes: C names, in the order of the scores.
        texts: of each class, one or more texts, e.g. of several templates.
    """

    classes: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]


@runtime_checkable
class Scores(Protocol):
    """A model that scores classes. One with a fixed list of classes reads `prompts.classes`, one that reads text the texts."""

    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> "np.ndarray":
        """(N, C) scores, higher = more likely; comparable among the samples of a class and among the classes of a sample.

        Args:
            images: N samples, or what `PreparesImages.prepare_image` made of them.
            prompts: the classes.

        Raises:
            ConfigError: the model does not know a class.
            DataError: a sample does not fit the model.
        """


@runtime_checkable
class Embeds(Protocol):
    """A model with one space of vectors for images and texts; the nearer, the greater the cosine."""

    def embed_images(self, images: Sequence[Any]) -> "np.ndarray":
        """(N, D) vectors of N samples, or of what `PreparesImages.prepare_image` made of them.

        Raises:
            DataError: a sample does not fit the model.
        """

    def embed_texts(self, texts: Sequence[str]) -> "np.ndarray":
        """(M, D) vectors of M texts."""


@runtime_checkable
class EmbedsImages(Protocol):
    """A model with a space of vectors for images, which texts need not have a place in; whatever `Embeds` is one too."""

    def embed_images(self, images: Sequence[Any]) -> "np.ndarray":
        """See `Embeds`."""


@runtime_checkable
class PreparesImages(Protocol):
    """Optional beside `Scores` and `Embeds`: what of a sample needs no model, done in the threads that read."""

    def prepare_image(self, sample: Sample) -> Any:
        """What `class_scores` and `embed_images` take for this sample; called by several threads at once.

        Raises:
            DataError: the sample does not fit the model.
        """


PixelScale = Literal["logits", "relative"]
"""Whether a pixel's scores say of each text by itself how probable it is, or only which text fits better."""


@runtime_checkable
class ScoresPixels(Protocol):
    """Optional beside the others: a model that says of every pixel how well texts fit it, as numbers that can be averaged where windows of
    a scene overlap.

    Attributes:
        pixel_scale: of its scores.
        window_side: of the square images that it sees best [px].
    """

    pixel_scale: PixelScale
    window_side: int

    def pixel_scores(self, samples: Sequence[Sample], texts: Sequence[str]) -> "list[np.ndarray]":
        """Of each sample (C, H, W) float32 scores of C texts on the pixels of its first scene.

        Raises:
            DataError: a sample or a text does not fit the model.
        """


@runtime_checkable
class LoadsWeights(Protocol):
    """Optional: a predictor that reads its weights later than it is made; without samples to predict they are never read."""

    def load(self) -> None:
        """Reads the weights. Raises CheckpointError where the folder is damaged."""


PROTOCOLS: Mapping[str, type] = {"generates": Generates, "scores": Scores, "embeds": Embeds}
"""Name -> protocol."""


def implemented(predictor: object) -> tuple[str, ...]:
    """Names of the protocols a predictor implements; one that embeds also scores, by the cosines of class prompts."""
    found = [name for name, protocol in PROTOCOLS.items() if isinstance(predictor, protocol)]
    return tuple(dict.fromkeys([*found, *(["scores"] if "embeds" in found else [])]))
