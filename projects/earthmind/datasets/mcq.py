"""EarthMind-Bench: a list of {file_name: "x.json", question, candidate: [texts], answer, task_type}; open questions have no candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, each, read_entries
from eocore.data.formats.multiple_choice import read_candidates
from eocore.data.image_sources import stem_of
from eocore.data.records import Record
from eocore.errors import AnnotationError
from eocore.portable.messages import IMAGE_PLACEHOLDER, REGION_PLACEHOLDER, Image, Text, Turn
from eocore.registry import DATASETS


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class EarthMindBenchDataset(RecordDataset):
    """Multiple choice and open questions with the upstream prompt: `<image>`, the question, and each candidate on its own line.

    The sample id is the file's stem, the image's, and the number of the entry, because one image has many questions. Meta holds
    `image` (the stem), `answer`, `candidates` (multiple choice), `type` (the task type) and the plain further fields.

    Args:
        annotations: the JSON file.
        images: role -> image source; `{stem}` is the file name without .json.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        suffix: put after the prompt. The later upstream code has "\\nonly output the correct option.", the first none.

    Raises:
        AnnotationError: an entry breaks the form, repeats a candidate, or its answer is no candidate.
    """

    suffix: str = ""

    def parse(self, path: Path) -> list[Record]:
        return each(enumerate(read_entries(path)), lambda item: self._record(item[1], f"{path.stem}-{item[0]}"))

    def _record(self, entry: Entry, numbered: str) -> Record:
        answer = entry.text("answer")
        candidates = read_candidates(entry, "candidate", answer=answer) if "candidate" in entry.values else []
        stem = stem_of(entry.file_name("file_name"))
        lines = [entry.text("question"), *candidates]
        check_words(lines, entry.source)
        asked = Text("\n".join(lines) + self.suffix)
        meta = entry.extras("file_name", "question", "answer", "task_type")
        meta |= {"image": stem, "answer": answer, "type": entry.text("task_type")}
        return Record(
            sample_id=f"{numbered}-{stem}",
            images=self.locate_images(stem, entry.source),
            turns=(Turn("user", (Image(), asked)), Turn("assistant", (Text(answer),))),
            task="mcq" if candidates else "vqa",
            source=entry.source,
            meta=meta | ({"candidates": candidates} if candidates else {}),
        )


def check_words(texts: Sequence[str], source: str) -> None:
    """Raise AnnotationError if a text holds a placeholder: the image stands in front of every question, and there are no regions."""
    for text in texts:
        for mark in (IMAGE_PLACEHOLDER, REGION_PLACEHOLDER):
            if mark in text:
                raise AnnotationError(
                    f"{source}: {text!r} holds a literal {mark}, but EarthMind-Bench shows its one image in front of the question and no "
                    "regions; the model would read it as words. Remove it."
                )
