"""Transforms that make questions and answers of what a record holds: labels, captions, or phrases with masks; and that mark questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eocore.data.io.masks import decode_mask, mask_to_box
from eocore.data.records import Expression, Record
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.portable.messages import IMAGE_PLACEHOLDER, Image, Part, Text, Turn, about_images, joined, without_images
from eocore.registry import TRANSFORMS
from eocore.text import display_name

FRACTIONS = 1.0
"""`box_scale` of boxes in fractions of the image's sides."""
MOST_DECIMALS = 6


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class ComposeClassification:
    """Asks for the one label of a record; the answer is the label.

    Args:
        templates: questions, one is drawn for each record; `{classes}` becomes the `candidates` of meta, with commas.
        as_words: write classes and answers as words in lower case, "BareLand" as "bare land".

    Raises:
        ConfigError: no template, or one with `<image>`.
    """

    templates: Sequence[str] = ("Classify the image from the following classes: {classes}.",)
    as_words: bool = False

    def __post_init__(self) -> None:
        _check_texts(type(self).__name__, "templates", texts=self.templates)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with one question. Raises DataError unless it has one label, and candidates where the question names them."""
        if len(record.labels) != 1:
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has {len(record.labels)} labels, expected one. Use {type(self).__name__} on "
                "data of one class an image."
            )
        question = _draw(self.templates, rng)
        if "{classes}" in question:
            classes = record.meta.get("candidates")
            if not isinstance(classes, list | tuple) or not classes:
                raise DataError(
                    f"{record.source}: the question names all classes, but sample '{record.sample_id}' has no 'candidates' in its meta. "
                    "Use a data set that lists its classes, or a question without {classes}."
                )
            question = question.replace("{classes}", ", ".join(self._named(str(name)) for name in classes))
        return replace(record, turns=_turns(record, question, answer=self._named(record.labels[0])), task="classification")

    def _named(self, label: str) -> str:
        return display_name(label) if self.as_words else label


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class ComposeCaption:
    """Asks for a description; the answer is one of the record's captions. Meta gets `answer`, and all captions as `references`.

    Args:
        prompts: what is asked, one is drawn for each record; "" shows the images alone.

    Raises:
        ConfigError: no prompt, or one with `<image>`.
    """

    prompts: Sequence[str] = ("Describe the image.",)

    def __post_init__(self) -> None:
        _check_texts(type(self).__name__, "prompts", texts=self.prompts)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with one question. Raises DataError where it has no caption."""
        if not record.captions:
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has no caption. Use {type(self).__name__} on images with captions only."
            )
        caption = _draw(record.captions, rng)
        meta = {**record.meta, "answer": caption, "references": list(record.captions)}
        return replace(record, turns=_turns(record, _draw(self.prompts, rng), answer=caption), task="caption", meta=meta)


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class ComposeGrounding:
    """Asks where referring phrases are; an answer is the axis-aligned box around the phrase's mask, "[x0, y0, x1, y1]".

    Coordinates are fractions of the image's width and height, of the far edge of the last pixel. Meta gets `boxes` (those of the last
    question, unrounded) and `box_scale`, by which answers are scored.

    Args:
        num_expressions: questions of one conversation; fewer where the record has fewer phrases.
        templates: questions, each with `{phrase}` once; one is drawn for each.
        decimals: of the coordinates, 1 to 6.

    Raises:
        ConfigError: a count below 1, no template or one without its placeholder, or other decimals.
    """

    num_expressions: int = 1
    templates: Sequence[str] = ("Where is {phrase}? Answer with its box.",)
    decimals: int = 2

    def __post_init__(self) -> None:
        _check_texts("ComposeGrounding", "templates", texts=self.templates)
        if any(template.count("{phrase}") != 1 for template in self.templates):
            raise ConfigError(f"ComposeGrounding: each of templates must hold {{phrase}} once, found {list(self.templates)!r}.")
        if self.num_expressions < 1 or not 1 <= self.decimals <= MOST_DECIMALS:
            raise ConfigError(
                f"ComposeGrounding: num_expressions must be at least 1 and decimals 1 to {MOST_DECIMALS}, found {self.num_expressions} and "
                f"{self.decimals}."
            )

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with turns.

        Raises:
            DataError: it has no phrase, or does not say the size of its image.
            AnnotationError: a phrase has no target, or its mask no pixel.
        """
        if not record.expressions:
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has no referring phrase. Use ComposeGrounding on referring data only."
            )
        count = min(self.num_expressions, len(record.expressions))
        chosen = [record.expressions[int(index)] for index in rng.choice(len(record.expressions), size=count, replace=False)]
        turns: list[Turn] = []
        box: list[float] = []
        for expression in chosen:
            box = box_of(expression, record)
            question = _draw(self.templates, rng).replace("{phrase}", expression.text.strip().rstrip(".").rstrip())
            asked = _turns(record, question, answer=box_answer(box, decimals=self.decimals))
            turns += asked if not turns else (Turn("user", (Text(question),)), asked[1])
        meta = {**record.meta, "boxes": [box], "box_scale": FRACTIONS, "answer": turns[-1].text}
        return replace(record, turns=tuple(turns), expressions=tuple(chosen), task="grounding", meta=meta)


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class PrefixQuestions:
    """Puts words in front of every question, behind the images that it shows, as "[VQA] Is there a bridge?"; a question that begins with
    them stays as it is.

    Args:
        prefix: the words, with the space behind them.

    Raises:
        ConfigError: it is empty, or holds `<image>`.
    """

    prefix: str

    def __post_init__(self) -> None:
        _check_texts(type(self).__name__, "prefix", texts=[self.prefix] if self.prefix.strip() else [])

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with other questions. Raises DataError where it has none."""
        if not record.turns:
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has no question to put '{self.prefix.strip()}' before. Use "
                f"{type(self).__name__} on conversations, or after what composes them."
            )
        turns = [Turn("user", self._prefixed(turn.parts)) if turn.role == "user" else turn for turn in record.turns]
        return replace(record, turns=tuple(turns))

    def _prefixed(self, parts: Sequence[Part]) -> tuple[Part, ...]:
        """The parts of a question with the prefix behind leading images and their line break."""
        images = next((number for number, part in enumerate(parts) if not isinstance(part, Image)), len(parts))
        first = parts[images] if images < len(parts) else Text("")
        if images and isinstance(first, Text):
            words = first.text.lstrip().removeprefix(self.prefix)
            return joined([*parts[:images], Text("\n" + self.prefix + words), *parts[images + 1 :]])
        if isinstance(first, Text) and first.text.startswith(self.prefix):
            return tuple(parts)
        return joined([*parts[:images], Text(("\n" if images else "") + self.prefix), *parts[images:]])


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class DrawTurns:
    """Of a conversation with more questions some, drawn anew each time and in their order, so that none is left out for good.

    Args:
        most: questions kept. LHRS-Bot keeps 10.

    Raises:
        ConfigError: it is below 1.
    """

    most: int = 10

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ConfigError(f"DrawTurns: most must be at least 1, found {self.most}.")

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with at most so many questions. Raises DataError where turns refer to masks or regions, which would be left over."""
        count = len(record.turns) // 2
        if count <= self.most:
            return record
        if record.masks or record.regions:
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has {count} questions that refer to masks or regions; DrawTurns takes out "
                "turns of words alone. Leave the transform out."
            )
        chosen = np.sort(rng.choice(count, size=self.most, replace=False))
        turns = [turn for index in chosen for turn in record.turns[2 * index : 2 * index + 2]]
        first = without_images(turns[0].parts)
        turns[0] = Turn("user", about_images(*first) if record.images else first)
        return replace(record, turns=tuple(turns), meta={key: value for key, value in record.meta.items() if key != "answer"})


def box_of(expression: Expression, record: Record) -> list[float]:
    """[x0, y0, x1, y1] around the mask of a phrase, in fractions of the image's width and height.

    Raises:
        AnnotationError: the phrase has no target, or its mask no pixel.
        DataError: meta does not give `image_size` ([height, width] [px]), or the mask cannot be drawn.
    """
    size = record.meta.get("image_size")
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise DataError(
            f"{record.source}: sample '{record.sample_id}' does not say how large its image is ('image_size' in meta is {size!r}); boxes "
            "in fractions of it cannot be made. Use a data set that reads height and width."
        )
    height, width = size
    if expression.mask is None:
        raise AnnotationError(f"{record.source}: phrase '{expression.text}' has no target; a box cannot answer it. Leave the entry out.")
    drawn = decode_mask(expression.mask, (height, width), source=expression.mask.source or record.source, root=None)
    box = expression.mask.data if expression.mask.kind == "box" else mask_to_box(drawn)
    if box is None:
        raise AnnotationError(f"{record.source}: the mask of phrase '{expression.text}' has no pixel, so no box. Correct the entry.")
    left, top, right, bottom = box
    return [left / width, top / height, right / width, bottom / height]


def box_answer(box: Sequence[float], *, decimals: int) -> str:
    """ "[0.12, 0.30, 0.40, 0.55]"."""
    return "[" + ", ".join(f"{value:.{decimals}f}" for value in box) + "]"


def _turns(record: Record, question: str, *, answer: str) -> tuple[Turn, Turn]:
    words = (Text(question),) if question else ()
    asked = about_images(*words) if record.images and words else (Image(),) if record.images else words
    return Turn("user", asked), Turn("assistant", (Text(answer),))


def _draw(texts: Sequence[str], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]


def _check_texts(owner: str, argument: str, *, texts: Sequence[str]) -> None:
    if isinstance(texts, str) or not texts or any(IMAGE_PLACEHOLDER in text for text in texts):
        raise ConfigError(f"{owner}: {argument} must be at least one text without {IMAGE_PLACEHOLDER}, found {texts!r}.")
