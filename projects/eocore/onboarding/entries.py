"""Rows of a table -> entries of the published formats: LLaVA conversations, and the referring form."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import Entry
from eocore.data.formats.llava import conversation
from eocore.data.io.readers import SceneHeader, scene_header
from eocore.data.records import ImageRef
from eocore.errors import AnnotationError
from eocore.onboarding.choices import CAPTION, CHAT, CLASSIFICATION, REFERRING, DatasetChoices
from eocore.onboarding.columns import Columns
from eocore.onboarding.images import FoundImage
from eocore.onboarding.masks import MaskReader
from eocore.onboarding.sensors import SensorChoice

FILES = {CHAT: "chat.json", REFERRING: "referring.jsonl", CAPTION: "captions.json", CLASSIFICATION: "labels.json"}
"""Task -> annotation file of a split."""
DESCRIBE = "Describe the image."
CLASSIFY = "Which class does this image show?"
MOST_CLASSES_NAMED = 30
"""More classes are not listed in the question."""


@dataclass(frozen=True)
class Sample:
    """A row with the images it is about, the one that masks lie on first.

    Attributes:
        row: of the table.
        images: group -> image.
    """

    row: Entry
    images: Mapping[str, FoundImage]

    @property
    def anchor(self) -> FoundImage:
        """The image that masks lie on."""
        return next(iter(self.images.values()))


class EntryMaker:
    """Makes entries of samples.

    Args:
        columns: of the table.
        choices: of the user.
        root: folder of the paths of images and masks.
        sensors: group -> what its images are read as.
        classes: that a label may be.
    """

    def __init__(
        self,
        columns: Columns,
        choices: DatasetChoices,
        *,
        root: Path,
        sensors: Mapping[str, SensorChoice],
        classes: Sequence[str] = (),
    ) -> None:
        self._columns, self._root, self._sensors = columns, root, sensors
        self._masks = MaskReader(root, choices.boxes)
        self._headers: dict[str, SceneHeader] = {}
        self._counts: Counter[str] = Counter()
        few = f" Choose from: {', '.join(classes)}." if 0 < len(classes) <= MOST_CLASSES_NAMED else ""
        self._describe, self._classify = choices.question or DESCRIBE, choices.question or CLASSIFY + few

    def make(self, task: str, sample: Sample, *, image: str) -> list[dict[str, Any]]:
        """The entries of a row.

        Args:
            task: one of TASKS.
            sample: the row.
            image: the name that its images have in the annotations.

        Raises:
            DataError: the row lacks what the task needs.
            ConfigError: it may mean several things.
        """
        makers = {CHAT: self._chat, REFERRING: self._referring, CAPTION: self._captions, CLASSIFICATION: self._label}
        return makers[task](sample, image)

    def _id(self, sample: Sample) -> str:
        """The image's name and a number: several rows may be about one image."""
        name = sample.anchor.path
        self._counts[name] += 1
        return f"{name}-{self._counts[name]}"

    def _talk(self, sample: Sample, image: str, *, question: str, answer: str) -> dict[str, Any]:
        return self._checked(sample, image, said=[{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}])

    def _checked(self, sample: Sample, image: str, *, said: Any) -> dict[str, Any]:
        conversation(Entry({"conversations": said}, sample.row.source), has_image=True)
        return {"id": self._id(sample), "image": image, "conversations": said}

    def _chat(self, sample: Sample, image: str) -> list[dict[str, Any]]:
        fields = self._columns.fields
        if "conversations" in fields:
            return [self._checked(sample, image, said=sample.row.values.get(fields["conversations"]))]
        question, answer = (text_of(sample.row, fields[name]) for name in ("question", "answer"))
        return [self._talk(sample, image, question=question, answer=answer)]

    def _captions(self, sample: Sample, image: str) -> list[dict[str, Any]]:
        column = self._columns.text(CAPTION)
        value = sample.row.values.get(column)
        several = value if isinstance(value, list | tuple) else [value]
        texts = [text_of(Entry({column: text} if text is not None else {}, sample.row.source), column) for text in several]
        if not texts:
            raise AnnotationError(f"{sample.row.source}: field '{column}' is an empty list; expected a caption.")
        return [self._talk(sample, image, question=self._describe, answer=text) for text in texts]

    def _label(self, sample: Sample, image: str) -> list[dict[str, Any]]:
        return [self._talk(sample, image, question=self._classify, answer=text_of(sample.row, self._columns.text(CLASSIFICATION)))]

    def _referring(self, sample: Sample, image: str) -> list[dict[str, Any]]:
        fields, row = self._columns.fields, sample.row
        if fields["mask"] not in row.values:
            raise AnnotationError(f"{row.source}: no mask in column {fields['mask']}; write null for a phrase without a target.")
        header = self._header(sample)
        value = _whole(row, fields["mask_value"]) if fields.get("mask_value") in row.values else None
        mask = self._masks.read(row.values[fields["mask"]], header, source=row.source, value=value)
        height, width = header.turn.size((header.height, header.width))
        phrase = text_of(row, fields["phrase"])
        return [{"sample_id": self._id(sample), "image": image, "height": height, "width": width, "expression": phrase, "mask": mask}]

    def _header(self, sample: Sample) -> SceneHeader:
        path = sample.anchor.path
        if path not in self._headers:
            choice = self._sensors[next(iter(sample.images))]
            ref = ImageRef(choice.role, choice.sensor, (str(self._root / path),), bands=choice.bands)
            self._headers[path] = scene_header(ref)
        return self._headers[path]


def text_of(row: Entry, column: str) -> str:
    """The text or number of a cell, as text. Raises AnnotationError where there is none."""
    value = row.values.get(column)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return row.text(column).strip()


def _whole(row: Entry, column: str) -> int:
    """The whole number of a cell. Raises AnnotationError otherwise."""
    text = text_of(row, column)
    if not text.isdecimal():
        raise AnnotationError(f"{row.source}: field '{column}' is {text!r}; expected the whole number of a class.")
    return int(text)


def entry_text(entries: Sequence[Mapping[str, Any]], file: str) -> str:
    """The content of an annotation file."""
    if file.endswith(".jsonl"):
        return "".join(json.dumps(entry) + "\n" for entry in entries)
    return json.dumps(list(entries), indent=1) + "\n"


def short_answers(entries: Sequence[Mapping[str, Any]], most_words: int = 3) -> bool:
    """Whether most last answers of conversations are of a few words, which are compared word by word; longer ones are not."""
    lengths = sorted(len(str(entry["conversations"][-1]["value"]).split()) for entry in entries)
    return bool(lengths) and lengths[len(lengths) // 2] <= most_words
