"""A folder of images with one annotations.json that says of each image what is asked: classes, questions, captions, phrases with boxes.

The schema is that of the types below; data/README.md shows it. `tools/prepare/task_sets.py` writes it from releases.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, PositiveInt

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, as_entries, each, read_object
from eocore.data.records import Expression, MaskRef, Record
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.files import write_file
from eocore.json_fields import CLOSED, parse_fields
from eocore.portable.messages import IMAGE_PLACEHOLDER, Text, Turn, about_images
from eocore.registry import DATASETS

ANNOTATION_FILE, IMAGE_FOLDER = "annotations.json", "images"
Task = Literal["classification", "vqa", "caption", "grounding"]
TASKS: tuple[Task, ...] = get_args(Task)
_REMEDY = "Correct the entry; data/README.md has the schema."


def _is_text(text: str) -> str:
    if not text.strip() or IMAGE_PLACEHOLDER in text:
        raise ValueError(f"expected a text that is not empty, without {IMAGE_PLACEHOLDER}")
    return text


Words = Annotated[str, AfterValidator(_is_text)]
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in fractions of the image's width and height."""


def _is_box(box: Box) -> Box:
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise ValueError("expected [x0, y0, x1, y1] in fractions of the image, 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1")
    return box


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """What every entry says. Attributes: `image`, below images/; `split`, "" = none; `type`, by which scores are given again."""

    __pydantic_config__ = CLOSED
    image: Words
    split: str = ""
    type: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassAnnotation(Annotation):
    """The class of an image, one of the file's `classes`."""

    label: Words
    task: Literal["classification"] = "classification"


@dataclass(frozen=True, kw_only=True)
class QuestionAnnotation(Annotation):
    """A question and its answer."""

    question: Words
    answer: Words
    task: Literal["vqa"] = "vqa"


@dataclass(frozen=True, kw_only=True)
class CaptionAnnotation(Annotation):
    """All captions of an image."""

    captions: Annotated[list[Words], Field(min_length=1)]
    task: Literal["caption"] = "caption"


@dataclass(frozen=True, kw_only=True)
class PhraseAnnotation(Annotation):
    """A phrase and the box it refers to; `size`: (height, width) of the image [px], in whose pixels overlaps are taken."""

    phrase: Words
    box: Annotated[Box, AfterValidator(_is_box)]
    size: tuple[PositiveInt, PositiveInt]
    task: Literal["grounding"] = "grounding"


AnyAnnotation = ClassAnnotation | QuestionAnnotation | CaptionAnnotation | PhraseAnnotation
_KINDS: dict[str, type[AnyAnnotation]] = dict(
    zip(TASKS, (ClassAnnotation, QuestionAnnotation, CaptionAnnotation, PhraseAnnotation), strict=True)
)


def write_task_annotations(folder: Path, annotations: Sequence[AnyAnnotation], *, classes: Sequence[str] = ()) -> dict[str, int]:
    """Writes `annotations.json` into `folder`; returns the number of entries by split ("all" where they have none).

    Raises:
        DataError: no entry.
        AnnotationError: an entry breaks the schema, as a box that leaves its image; nothing is written then.
    """
    if not annotations:
        raise DataError(f"{folder}: there is nothing to write; the release has no entry that is asked about. Check --source and --splits.")
    entries = [{key: value for key, value in asdict(item).items() if value != ""} for item in annotations]
    for number, entry in enumerate(entries):
        read_annotation(Entry(entry, f"{folder / ANNOTATION_FILE} annotations#{number}, image {entry['image']}"))
    write_file(folder / ANNOTATION_FILE, json.dumps({"classes": list(classes), "annotations": entries}, indent=0).encode())
    splits = [item.split or "all" for item in annotations]
    return {split: splits.count(split) for split in dict.fromkeys(splits)}


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class TaskAnnotationsDataset(RecordDataset):
    """Records of an annotations.json. Classes become labels, captions captions, phrases referring phrases with their box: transforms as
    `ComposeClassification`, `ComposeCaption` and `ComposeGrounding` ask for them. Questions become turns.

    Meta holds `image`, `split`, `type`, and what scoring needs: `answer`, `candidates` (classes), `references` (captions), `boxes` with
    `box_scale` and `image_size` (phrases).

    Args:
        annotations: the file.
        images: role -> image source; `{name}` is the image field. {} = pictures in images/ beside the file.
        tasks: what to take; () = all.
        split: the split to take; "" = all.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the name of the file's folder.
        estimate, where: see `RecordDataset`.

    Raises:
        ConfigError: an unknown task.
        AnnotationError: the file breaks the schema.
        DataError: the file is missing, or has no entry of the split and the tasks.
    """

    tasks: Sequence[Task] = ()
    split: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.tasks) - set(TASKS))
        if unknown:
            raise ConfigError(f"TaskAnnotationsDataset: tasks must be some of {', '.join(TASKS)}, found {', '.join(unknown)}.")
        folder = Path(self.annotations).parent
        self.name = self.name or folder.name
        if not self.images:
            self.images = {"rgb": {"root": str(folder / IMAGE_FOLDER), "pattern": "{name}", "sensor": "rgb_uint8"}}
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        content = read_object(path, "with 'annotations'")
        classes = content.get("classes", [])
        if not isinstance(classes, list) or not all(isinstance(name, str) and name.strip() for name in classes):
            raise AnnotationError(f"{path}: 'classes' must be a list of names, found {classes!r:.80}. {_REMEDY}")
        entries = as_entries(content.get("annotations"), f"{path} annotations")
        read = each(entries, lambda entry: (entry.source, read_annotation(entry)))
        chosen = [
            (source, item)
            for source, item in read
            if (not self.tasks or item.task in self.tasks) and (not self.split or item.split == self.split)
        ]
        if read and not chosen:
            found = ", ".join(sorted({f"{item.task} ({item.split or 'no split'})" for _, item in read}))
            raise DataError(f"{path}: no entry of split '{self.split}' and tasks {list(self.tasks)}; it has {found}. Correct the config.")
        numbered = list(enumerate(chosen))
        return each(numbered, lambda pair: self._record(pair[1][1], f"{self.name}-{pair[0]}", source=pair[1][0], classes=classes))

    def _record(self, item: AnyAnnotation, number: str, *, source: str, classes: list[str]) -> Record:
        meta: dict[str, Any] = {"image": item.image} | {key: getattr(item, key) for key in ("split", "type") if getattr(item, key)}
        common: dict[str, Any] = {"images": self.locate_images(item.image, source), "task": item.task, "source": source}
        if isinstance(item, ClassAnnotation):
            if item.label not in classes:
                raise AnnotationError(f"{source}: class '{item.label}' is none of the file's 'classes' {classes!r:.120}. {_REMEDY}")
            meta = {"type": item.label, **meta, "answer": item.label, "candidates": classes}
            return Record(number, labels=(item.label,), meta=meta, **common)
        if isinstance(item, CaptionAnnotation):
            captions = tuple(item.captions)
            return Record(number, captions=captions, meta={**meta, "answer": captions[0], "references": list(captions)}, **common)
        if isinstance(item, QuestionAnnotation):
            turns = (Turn("user", about_images(Text(item.question))), Turn("assistant", (Text(item.answer),)))
            return Record(number, turns=turns, meta={**meta, "answer": item.answer}, **common)
        return Record(number, expressions=(_expression(item, source),), meta={**meta, **_box_meta(item)}, **common)


def read_annotation(entry: Entry) -> AnyAnnotation:
    """The entry in its type. Raises AnnotationError where it breaks the schema."""
    task = entry.values.get("task")
    if task not in _KINDS:
        raise AnnotationError(f"{entry.source}: 'task' is {task!r:.60}, expected one of {', '.join(TASKS)}. {_REMEDY}")
    return parse_fields(json.dumps(entry.values), _KINDS[str(task)], source=entry.source, remedy=_REMEDY, error=AnnotationError)


def _expression(item: PhraseAnnotation, source: str) -> Expression:
    (height, width), (x0, y0, x1, y1) = item.size, item.box
    return Expression(item.phrase, MaskRef("box", [x0 * width, y0 * height, x1 * width, y1 * height], source))


def _box_meta(item: PhraseAnnotation) -> dict[str, Any]:
    return {"boxes": [list(item.box)], "box_scale": 1.0, "image_size": list(item.size)}
