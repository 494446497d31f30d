"""What the parsers of question files share: one question about one image a record."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

    def ask(
        self,
        sample_id: str,
        image: str,
        *,
        task: str,
        question: str,
        answer: str,
        source: str,
        regions: Sequence[MaskRef] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> Record:
        """The record of a question.

        Raises:
            AnnotationError, DataError: the image's name is no path inside its folder, or there is none.
        """
        filled = {"{question}": question.strip(), "{phrase}": question.strip().rstrip(".")}
        parts = [
            Text(re.sub(r"\{(question|phrase)\}", lambda match: filled[match[0]], part.text)) if isinstance(part, Text) else part
            for part in read_parts(self.prompt, "user")
        ]
        return Record(
            sample_id=sample_id,
            images=self.locate_images(image, source),
            turns=(Turn("user", about_images(*parts)), Turn("assistant", (Text(answer),))),
            regions=tuple(regions),
            task=task,
            source=source,
            meta={"image": image, **(meta or {}), "answer": answer},
        )
