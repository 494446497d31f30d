"""What the parsers of question files share: one question about one image a record."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from eocore.data.dataset import RecordDataset
from eocore.data.records import MaskRef, Record
from eocore.portable.messages import Text, Turn, about_images, read_parts

SINGLE_WORD = "Answer the question using a single word or phrase."
"""How GeoChat, EarthDial and EarthMind ask for short answers."""

RGB = {"optical": ["rgb"]}
"""The settings of a benchmark of pictures."""


def pictures(root: str, pattern: str | Sequence[str] = "{name}") -> dict[str, dict[str, Any]]:
    """Image source of colour pictures below `root`."""
    return {"rgb": {"root": root, "pattern": pattern, "sensor": "rgb_uint8"}}


GEOCHAT_PICTURES = pictures("$root/GeoChat_finetuning/final_images_llava", ["{stem}.png", "{name}.png", "{stem}.jpg"])
"""Image source of GeoChat's own images, as its images.zip holds them."""


def picture_dataset(kind: str, annotations: str, *, images: str | Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Config of a data set of questions that are filled into the benchmark's prompt.

    Args:
        kind: its name in the registry DATASETS.
        annotations: path below the data root.
        images: folder of colour pictures below the data root, or modality -> image source.
        fields: others of this kind of data set.
    """
    sources = pictures(f"$root/{images}") if isinstance(images, str) else images
    return {"type": kind, "annotations": f"$root/{annotations}", "images": sources, "prompt": "$prompt", **fields}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One entry of a question file.

    Attributes:
        sample_id: unique in the file.
        image: name of its image.
        source: file and line, for messages.
        text: the question.
        answer: the true one.
        regions: shown by the prompt.
        meta: what scores need besides.
    """

    sample_id: str
    image: str
    source: str
    text: str = ""
    answer: str = ""
    regions: tuple[MaskRef, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False, repr=False)
class QuestionDataset(RecordDataset):
    """Records of one question each.

    Args:
        annotations: the annotation file.
        images: modality -> image source.
        prompt: what is asked; `{question}` stands for the entry's question, `{phrase}` for the same without its full stop;
            "" = the class's `default_prompt`.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
    """

    default_prompt: ClassVar[str] = "{question}"

    prompt: str = ""

    def __post_init__(self) -> None:
        self.prompt = self.prompt or self.default_prompt
        super().__post_init__()

    def ask(self, question: Question, *, task: str) -> Record:
        """The record of a question.

        Raises:
            AnnotationError, DataError: the image's name is no path inside its folder, or there is none.
        """
        filled = {"{question}": question.text.strip(), "{phrase}": question.text.strip().rstrip(".")}
        parts = [
            Text(re.sub(r"\{(question|phrase)\}", lambda match: filled[match[0]], part.text)) if isinstance(part, Text) else part
            for part in read_parts(self.prompt, "user")
        ]
        return Record(
            sample_id=question.sample_id,
            images=self.locate_images(question.image, question.source),
            turns=(Turn("user", about_images(*parts)), Turn("assistant", (Text(question.answer),))),
            regions=question.regions,
            task=task,
            source=question.source,
            meta={"image": question.image, **question.meta, "answer": question.answer},
        )
