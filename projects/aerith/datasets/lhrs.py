"""The JSON files of LHRS-Bot, whose layout AerithVLM's training data has (NJU-LHRS/LHRS-Bot at 84d9fdd)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, as_entries, each, read_json, shorten
from eocore.data.records import Record
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.portable.messages import IMAGE_PLACEHOLDER, Part, Text, Turn, about_images, joined
from eocore.registry import DATASETS

IMAGE_FIELDS = ("name", "filename", "img")
"""Where the name of the image stands: a text, or a list of one."""
TASKS = ("chat", "classification", "vqa", "caption", "grounding")


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class LhrsDataset(RecordDataset):
    """A list of entries, or an object with it as `data`. An entry names its image, if it has one, as `name`, `filename` or `img`, and holds

    - `conv`: a list of {Question, Answer};
    - `question` and `answer` (RSVG, DIOR-RSVG);
    - `cap`: a caption (OSMCapAnn), with `info.location`, [city or region, country], kept in meta as `location`; or
    - `instruction`, `input` and `output`: text alone.

    How the image's file is called is the image source's `pattern`: "{name}.jpg" (DIOR-RSVG, OSM), "{name}/naip.png" (METER-ML). An
    `<image>` in a question is taken out, and all images stand in front of the first. All turns are kept: where LHRS-Bot draws 10 of
    more, put the transform `DrawTurns` behind. A missing image is an error where it is read, counted and logged where
    broken samples are replaced, and found before a training by `eo check-data`; LHRS-Bot passes over it silently.

    Args:
        annotations: the file, or a folder of them (OSMCapAnn).
        images: role -> image source; `{name}` is the image's name.
        task: "chat", "classification", "vqa", "caption" or "grounding": what evaluation scores.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the file's stem.
        estimate, where: see `RecordDataset`.

    Raises:
        ConfigError: an unknown task.
        DataError: the file is missing, or the folder holds none.
        AnnotationError: an entry breaks the form.
    """

    task: str = "chat"

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"LhrsDataset: task must be one of {', '.join(TASKS)}, found '{self.task}'.")
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise DataError(f"{path}: a folder without .json files. Correct `annotations`, or fetch them.")
        self.annotation_files[:] = files
        numbered = [(f"{file.stem}-{number}", entry) for file in files for number, entry in enumerate(_entries(file))]
        return each(numbered, lambda item: self._record(item[1], item[0]))

    def _record(self, entry: Entry, number: str) -> Record:
        image = _image_of(entry)
        common: dict[str, Any] = {
            "images": self.locate_images(image, entry.source) if image else (),
            "task": self.task,
            "source": entry.source,
        }
        meta = entry.extras(*IMAGE_FIELDS, "question", "answer", "cap", "instruction", "input", "output") | (
            {"image": image} if image else {}
        )
        if "cap" in entry.values:
            caption = entry.text("cap").strip()
            return Record(number, captions=(caption,), meta={**meta, **_location(entry), "references": [caption]}, **common)
        turns = tuple(_turns(_pairs(entry), entry.source, has_image=bool(image)))
        return Record(number, turns=turns, meta={**meta, "answer": turns[-1].text}, **common)


def _entries(path: Path) -> list[Entry]:
    content = read_json(path)
    return as_entries(content.get("data") if isinstance(content, Mapping) else content, f"{path}")


def _image_of(entry: Entry) -> str:
    """The name of its image, "" where it has none."""
    field = next((key for key in IMAGE_FIELDS if key in entry.values), None)
    if field is None:
        return ""
    value = entry.values[field]
    if isinstance(value, list | tuple):
        if len(value) != 1:
            raise AnnotationError(
                f"{entry.source}: field '{field}' names {len(value)} images, expected one: which of them is asked about cannot be told. "
                "Split the entry."
            )
        value = value[0]
    return Entry({field: value}, entry.source).file_name(field)


def _pairs(entry: Entry) -> list[tuple[str, str]]:
    """Questions with their answers."""
    if "conv" in entry.values:
        return [(part.text("Question"), part.identifier("Answer")) for part in entry.entries("conv")]
    if "question" in entry.values:
        return [(entry.text("question"), _answer(entry))]
    if "instruction" in entry.values:
        given = str(entry.values.get("input") or "").strip()
        return [(entry.text("instruction") + (f"\n{given}" if given else ""), entry.text("output"))]
    raise AnnotationError(
        f"{entry.source}: none of the fields conv, question, cap and instruction; found {shorten(list(entry.values))}. Correct the entry, "
        "or the type of the data set."
    )


def _answer(entry: Entry) -> str:
    """A text, or a box as a list of four numbers."""
    value = entry.values.get("answer")
    if isinstance(value, list | tuple) and len(value) == 4 and all(isinstance(item, int | float) for item in value):
        return "[" + ", ".join(f"{item:g}" for item in value) + "]"
    return entry.identifier("answer")


def _turns(pairs: Iterable[tuple[str, str]], source: str, *, has_image: bool) -> Iterable[Turn]:
    for number, (question, answer) in enumerate(pairs):
        words = question.replace(IMAGE_PLACEHOLDER, "").strip()
        if not words:
            raise AnnotationError(f"{source}: question {number} holds no words. Correct the entry.")
        parts: tuple[Part, ...] = about_images(Text(words)) if has_image and not number else joined([Text(words)])
        yield Turn("user", parts)
        yield Turn("assistant", (Text(answer),))


def _location(entry: Entry) -> dict[str, str]:
    info = entry.values.get("info")
    location = info.get("location") if isinstance(info, Mapping) else None
    return {"location": ", ".join(map(str, location))} if isinstance(location, list | tuple) and location else {}
