"""Conversations about several images, or videos, in the LLaVA form, as TEOChat, ChangeChat and Video-XL release them."""

from dataclasses import dataclass, replace
from pathlib import Path

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, each, read_entries
from eocore.data.formats.llava import messages_of
from eocore.data.formats.series import in_order
from eocore.data.io.video_files import frame_refs, is_video
from eocore.data.records import ImageRef, Record, is_time
from eocore.errors import AnnotationError, ConfigError
from eocore.portable.messages import IMAGE_PLACEHOLDER, Turn, as_turns, with_images
from eocore.portable.series import MAX_FRAMES, is_moment, sort_key
from eocore.registry import DATASETS

VIDEO_PLACEHOLDER = "<video>"
LISTS = ("video", "image")
"""Fields that name the images; TEOChat calls a list of images a video, Video-XL means a file."""
TIMES = "timestamp"
FIELDS = ("id", *LISTS, TIMES, "conversations", "task")
TASKS = ("vqa", "caption", "chat")


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ImageListDataset(RecordDataset):
    """{"video" or "image": [files], "conversations": [{from, value}], "task": ..., "timestamp": [dates]}: TEOChatlas, ChangeChat-105k; and
    Video-XL's train_example.json, whose `video` is one video file (extra `video`) and whose `image` one picture.

    `<video>` or `<image>` in the first question stands for all images; where TEOChat puts "Image 1: " in front of each, our prompts name
    each by its date, or as "image 1" where the entry has no `timestamp`. Images with dates are put in their order, as TEOChat does; of a
    video, frames at even distances are shown, "frame 1", "frame 2", ... The entry's `task` becomes `type` of meta. Sources:
    github.com/ermongroup/TEOChat (videollava/eval/inference.py), github.com/hanlinwu/DeltaVLM (docs/DATA.md),
    github.com/VectorSpaceLab/Video-XL (assets/train_example.json).

    Args:
        annotations: JSON list, or JSON lines of the same objects.
        images: role -> image source; `{name}` is a file as the entry lists it.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        task: "vqa", "caption" or "chat".
        max_frames_num: most frames that are shown of a video file.

    Raises:
        ConfigError: unknown task, fewer frames than one, or a video without PyAV.
        AnnotationError: an entry breaks the form, or two of its images have one date.
    """

    task: str = "vqa"
    max_frames_num: int = MAX_FRAMES

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"ImageListDataset: task must be one of {', '.join(TASKS)}, found '{self.task}'.")
        if self.max_frames_num < 1:
            raise ConfigError(f"ImageListDataset: max_frames_num={self.max_frames_num}; expected at least 1.")
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        return each(enumerate(read_entries(path)), lambda item: self._record(item[1], f"{path.stem}-{item[0]}"))

    def _record(self, entry: Entry, numbered: str) -> Record:
        turns = _turns(entry)
        kind = {"type": entry.text("task")} if "task" in entry.values else {}
        return Record(
            sample_id=entry.identifier("id") if "id" in entry.values else numbered,
            images=self._images(entry),
            turns=turns,
            task=self.task,
            source=entry.source,
            meta=entry.extras(*FIELDS) | kind | {"answer": turns[-1].text},
        )

    def _images(self, entry: Entry) -> tuple[ImageRef, ...]:
        fields = [name for name in LISTS if name in entry.values]
        if not fields:
            raise AnnotationError(f"{entry.source}: no images; expected {' or '.join(LISTS)} with the files in order, or one file.")
        if len(fields) > 1:
            raise AnnotationError(
                f"{entry.source}: both {' and '.join(fields)} name images, and a sample shows one of them. Leave one out."
            )
        (field,) = fields
        if isinstance(entry.values[field], str):
            return self._one_file(entry, entry.text(field))
        files = entry.items(field)
        if not all(isinstance(file, str) for file in files):
            raise AnnotationError(f"{entry.source}: '{field}' must list file names, found {files!r}.")
        times = _times(entry, len(files))
        named = zip(files, times, strict=True)
        refs = [replace(ref, time=time) for file, time in named for ref in self.locate_images(file, entry.source)]
        return in_order(sorted(refs, key=lambda ref: sort_key(ref.time)) if TIMES in entry.values else refs, source=entry.source)

    def _one_file(self, entry: Entry, file: str) -> tuple[ImageRef, ...]:
        """A picture, or the frames of a video."""
        if TIMES in entry.values:
            raise AnnotationError(
                f"{entry.source}: '{TIMES}' belongs to a list of images, but '{file}' is one file. Leave it out, or list them."
            )
        refs = self.locate_images(file, entry.source)
        if not is_video(file):
            return refs
        return tuple(frame for ref in refs for frame in frame_refs(ref, self.max_frames_num, root=self.image_root(ref)))


def _times(entry: Entry, count: int) -> list[str]:
    """When each image was taken; its number where nothing is said."""
    if TIMES not in entry.values:
        return [f"image {number}" for number in range(1, count + 1)]
    times = entry.items(TIMES)
    if len(times) != count or not all(map(_is_date, times)):
        raise AnnotationError(
            f"{entry.source}: '{TIMES}' is {times!r}; expected {count} ISO 8601 dates, one for each image. Correct it, or leave it out: "
            "the images are then named by their numbers."
        )
    return [str(time) for time in times]


def _is_date(time: object) -> bool:
    return is_time(time) and is_moment(time)


def _turns(entry: Entry) -> tuple[Turn, ...]:
    messages = [(role, _one_placeholder(text, entry.source) if role == "user" else text) for role, text in messages_of(entry)]
    return with_images(as_turns(messages))


def _one_placeholder(text: str, source: str) -> str:
    """The question with one placeholder for all images, where neighbouring ones stood."""
    parts = [part for part in text.replace(VIDEO_PLACEHOLDER, IMAGE_PLACEHOLDER).split(IMAGE_PLACEHOLDER)]
    if any(part.strip() for part in parts[1:-1]):
        raise AnnotationError(
            f"{source}: words stand between the {IMAGE_PLACEHOLDER} of {text[:60]!r}; one stands for all images, which the prompt names "
            "one by one. Put them in front of the question."
        )
    return parts[0] if len(parts) == 1 else f"{parts[0]}{IMAGE_PLACEHOLDER}{parts[-1]}"
