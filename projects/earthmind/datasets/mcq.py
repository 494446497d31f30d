"""EarthMind-Bench: a list of {file_name: "x.json", question, candidate: [texts], answer, task_type}; open questions have no candidate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earthmind.datasets.vqa import read_question
from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, each, read_entries, shorten
from eocore.data.image_sources import stem_of
from eocore.data.records import Record
from eocore.errors import AnnotationError
from eocore.portable.messages import IMAGE_PLACEHOLDER, Text, Turn, joined
from eocore.registry import DATASETS


@DATASETS.register_module()
class EarthMindBenchDataset(RecordDataset):
    """Multiple choice and open questions with the published prompt: `<image>`, the question, and each candidate on its own line.

    The sample id is the file's stem, the image's, and the number of the entry, because one image has many questions. Meta holds
    `image` (the stem), `answer`, `candidates` (multiple choice), `type` (the task type) and the plain further fields.

    Args:
        annotations: the JSON file.
        images: modality -> image source; `{stem}` is the file name without .json.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        suffix: put after the prompt. The later published code has "\\nonly output the correct option.", the first none.

    Raises:
        AnnotationError: an entry breaks the form, repeats a candidate, or its answer is no candidate.
    """

    def __init__(
        self,
        *,
        annotations: str,
        images: Mapping[str, Mapping[str, Any]],
        transforms: Sequence[Mapping[str, Any]] = (),
        limit: int | None = None,
        name: str = "",
        suffix: str = "",
    ) -> None:
        self.suffix = suffix
        super().__init__(annotations=annotations, images=images, transforms=transforms, limit=limit, name=name)

    def parse(self, path: Path) -> list[Record]:
        return each(enumerate(read_entries(path)), lambda item: self._record(item[1], f"{path.stem}-{item[0]}"))

    def _record(self, entry: Entry, numbered: str) -> Record:
        candidates = _candidates(entry) if "candidate" in entry.values else []
        stem = stem_of(entry.file_name("file_name"))
        answer = entry.text("answer")
        asked = "\n".join([f"{IMAGE_PLACEHOLDER}{entry.text('question')}", *candidates])
        question = read_question(asked, entry.source, has_image=True)
        meta = entry.extras("file_name", "question", "answer", "task_type")
        meta |= {"image": stem, "answer": answer, "type": entry.text("task_type")}
        return Record(
            sample_id=f"{numbered}-{stem}",
            images=self.locate_images(stem, entry.source),
            turns=(Turn("user", joined([*question, Text(self.suffix)])), Turn("assistant", (Text(answer),))),
            task="mcq" if candidates else "vqa",
            source=entry.source,
            meta=meta | ({"candidates": candidates} if candidates else {}),
        )


def _candidates(entry: Entry) -> list[str]:
    candidates = entry.items("candidate")
    if not all(isinstance(candidate, str) and candidate.strip() for candidate in candidates):
        raise AnnotationError(f"{entry.source}: field 'candidate' must be a list of texts, found {shorten(candidates)}.")
    plain = [candidate.strip().casefold() for candidate in candidates]
    if len(set(plain)) < len(plain):
        raise AnnotationError(f"{entry.source}: a candidate stands twice in {candidates!r}; the right one could not be told. Correct it.")
    if entry.text("answer").strip().casefold() not in plain:
        raise AnnotationError(
            f"{entry.source}: answer '{entry.text('answer')}' is none of {candidates!r}; no reply could be right. Correct it."
        )
    return candidates
