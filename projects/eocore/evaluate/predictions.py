"""The predictions file: JSONL, one line per sample and setting, written while predicting, scored later without a model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired

from pydantic import AfterValidator, Field, PositiveInt
from typing_extensions import TypedDict

from eocore.choices import Choices
from eocore.errors import DataError
from eocore.evaluate.settings import SETTINGS
from eocore.evaluate.tasks import TASKS
from eocore.evaluate.vectors import VectorFields, VectorRef
from eocore.json_fields import CLOSED, parse_fields

_SHOWN_IDS = 5
_REMEDY = "Nothing was scored. Correct the line, or remove it and predict its sample again."


class PredictionKey(NamedTuple):
    """What is unique in a predictions file: a sample of one task's data set under one setting."""

    task: str
    sensor: str
    sample_id: str


@dataclass(frozen=True)
class Prediction:
    """One line.

    With `prediction` None it stands for a sample that was annotated but not (yet, or not successfully) predicted; lists of these
    say what a complete file must hold.

    Attributes:
        sample_id: unique inside its task; not the image's name, since an image may carry many questions.
        task: one of `eocore.evaluate.tasks.TASKS`.
        image_ids: the images fed; samples that share the first one are resampled together in the intervals.
        sensor: one of `eocore.evaluate.settings.SETTINGS`.
        prompt: the user's text.
        prediction: the model's text, None where it gave none (it crashed, or an image could not be read).
        ground_truth: the annotated answer; empty where only masks are asked for.
        meta: `candidates` (list of str: options, or all classes), `type` (str), flags such as `cloudy` (bool), and whatever else helps to
            read the result. By task: `labels` (multilabel: the true classes), `references` (caption, region, open: all true texts), `boxes`
            (grounding, detection: the true boxes, each [x0, y0, x1, y1], with an angle [degrees] as fifth, or eight corner numbers),
            `box_scale` (number that stands for the whole side: 100, 1000, 1; 0 = pixels) and `image_size` ([height, width] [px]).
            `unique` and `size_group` are grouped by like `type`.
        prediction_masks: COCO RLE, one per drawn mask.
        ground_truth_masks: COCO RLE, one per asked mask; empty where the phrase has no target.
        vectors: where the numbers of a model that scores or embeds are: (C,) scores in the order of the candidates, or (1 + K, D)
            vectors of the image and of its K reference texts. `prediction` is then the best class, or empty.
    """

    sample_id: str
    task: str
    image_ids: tuple[str, ...]
    sensor: str
    prompt: str
    prediction: str | None
    ground_truth: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    prediction_masks: tuple[Mapping[str, Any], ...] = ()
    ground_truth_masks: tuple[Mapping[str, Any], ...] = ()
    vectors: VectorRef | None = None

    @property
    def key(self) -> PredictionKey:
        """What identifies the line."""
        return PredictionKey(self.task, self.sensor, self.sample_id)


def _one_of(choices: Choices[Any]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {choices}")
        return value

    return AfterValidator(check)


Id = Annotated[str, Field(min_length=1)]


class Rle(TypedDict):
    """A mask as COCO RLE; `size` is (height, width) [px]."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    size: Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
    counts: str


class PredictionLine(TypedDict):
    """The fields of a line, see `Prediction`."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    sample_id: Id
    task: Annotated[str, _one_of(TASKS)]
    image_ids: tuple[Id, ...]
    sensor: Annotated[str, _one_of(SETTINGS)]
    prompt: str
    prediction: str | None
    ground_truth: str
    meta: dict[str, Any]
    prediction_masks: NotRequired[tuple[Rle, ...]]
    ground_truth_masks: NotRequired[tuple[Rle, ...]]
    vectors: NotRequired[VectorFields]


REQUIRED_FIELDS = frozenset(PredictionLine.__required_keys__)
"""What every line has."""


def parse_prediction(line: str, *, source: str) -> Prediction:
    """The sample one line of the file describes.

    Args:
        line: JSON text.
        source: file:line, for messages.

    Raises:
        DataError: the line is no JSON object, or a field is missing, unknown or of the wrong kind.
    """
    fields = dict(parse_fields(line, PredictionLine, source=source, remedy=_REMEDY))
    vectors = fields.pop("vectors", None)
    return Prediction(**fields, vectors=VectorRef(**vectors) if vectors else None)  # type: ignore[arg-type]


def format_prediction(prediction: Prediction) -> str:
    """The line, without its line end.

    Raises:
        DataError: a value (of `meta`, as a rule) cannot be written as JSON, or the line could not be read back.
    """
    try:
        entry = asdict(replace(prediction, vectors=None))
        entry.pop("vectors")
        if prediction.vectors:
            entry["vectors"] = prediction.vectors.describe()
        line = json.dumps(entry, ensure_ascii=False)
    except TypeError as error:
        raise DataError(f"sample '{prediction.sample_id}': {error}. Give 'meta' plain str, int, float, bool, list and dict.") from error
    parse_prediction(line, source=f"sample '{prediction.sample_id}'")
    return line


def read_predictions(path: Path) -> list[Prediction]:
    """All lines of the file, in order.

    Raises:
        DataError: the file is missing, a line breaks the format, or two lines hold the same sample.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such predictions file. Predict first, or correct the path.")
    seen: dict[PredictionKey, int] = {}
    predictions = []
    with path.open(encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            prediction = parse_prediction(line.rstrip("\n"), source=f"{path}:{number}")
            first = seen.setdefault(prediction.key, number)
            if first != number:
                raise DataError(
                    f"{path}:{number}: sample '{prediction.sample_id}' ({prediction.task}, {prediction.sensor}) stands already in line "
                    f"{first}; it would count twice. Keep one of the two."
                )
            if prediction.vectors:
                prediction = replace(prediction, vectors=replace(prediction.vectors, folder=path.parent))
            predictions.append(prediction)
    return predictions


def some_ids(ids: Sequence[str]) -> str:
    """The first few ids, for a message."""
    return ", ".join(ids[:_SHOWN_IDS]) + (", ..." if len(ids) > _SHOWN_IDS else "")
