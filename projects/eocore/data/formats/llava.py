"""Question answering and captions in the LLaVA JSON form: a list of {id, image, conversations: [{from, value}, ...]}."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, each, read_entries
from eocore.data.formats.images import check_one_image
from eocore.data.records import ImageRef, Record
from eocore.errors import AnnotationError, ConfigError
from eocore.log import get_logger
from eocore.portable.messages import IMAGE_PLACEHOLDER, REGION_PLACEHOLDER, Part, Turn, about_images, as_turns, read_parts
from eocore.registry import DATASETS

ROLES = {"human": "user", "gpt": "assistant"}
TASKS = ("vqa", "caption", "chat")
FIELDS = ("id", "image", "conversations", "question", "answer")
"""Read by the parser; other plain fields become meta."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class LlavaDataset(RecordDataset):
    """Conversations about an image, or about none.

    An entry's `window`, [row, col, height, width] [px], makes that part of the image's files the image; nothing else of them is read.

    `<image>` may stand anywhere in the first question; where it is left out it is put before it, as the upstream code does. Plain
    further fields (`type`, `cloudy`) become the record's meta, beside `image`, as the entry names it, and `answer`, the last answer.

    Args:
        annotations: JSON list, or JSON lines of the same objects.
        images: role -> image source.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        task: "vqa", "caption" or "chat".
        id_field: field that names the sample; None = file stem and number of the entry.
        remove_duplicates: leave out entries with the same image and conversation as an earlier one, and count them in
            `num_duplicates`. VRSBench's training file has such.

    Raises:
        ConfigError: unknown task, and as RecordDataset says.
        AnnotationError: an entry breaks the form.
    """

    task: str = "vqa"
    id_field: str | None = "id"
    remove_duplicates: bool = False

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"{type(self).__name__}: task must be one of {', '.join(TASKS)}, found '{self.task}'.")
        self.num_duplicates = 0
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        records = each(enumerate(read_entries(path)), lambda item: self._record(item[1], f"{path.stem}-{item[0]}"))
        return self._distinct(records) if self.remove_duplicates else records

    def image_field(self, entry: Entry) -> str:
        """The entry's image as the image sources' patterns take it."""
        check_one_image(entry)
        return entry.file_name("image")

    def turns_of(self, entry: Entry) -> tuple[Turn, ...]:
        """The conversation of an entry."""
        return conversation(entry, has_image="image" in entry.values)

    def _record(self, entry: Entry, numbered: str) -> Record:
        turns = self.turns_of(entry)
        return Record(
            sample_id=entry.identifier(self.id_field) if self.id_field is not None else numbered,
            images=self._images(entry),
            turns=turns,
            task=self.task,
            source=entry.source,
            meta=entry.extras(*FIELDS)
            | ({"image": entry.file_name("image")} if "image" in entry.values else {})
            | {"answer": turns[-1].text},
        )

    def _images(self, entry: Entry) -> tuple[ImageRef, ...]:
        return self.locate_images(self.image_field(entry), entry.source, window=entry.window()) if "image" in entry.values else ()

    def _distinct(self, records: list[Record]) -> list[Record]:
        seen: set[Any] = set()
        distinct = []
        for record in records:
            content = (record.images, record.turns)
            if content not in seen:
                seen.add(content)
                distinct.append(record)
        self.num_duplicates = len(records) - len(distinct)
        get_logger().info("%s: %d of %d entries repeat an earlier one and are left out", self.name, self.num_duplicates, len(records))
        return distinct


def conversation(entry: Entry, *, has_image: bool) -> tuple[Turn, ...]:
    """The turns of a LLaVA entry, `<image>` in the first question if the entry has an image.

    Raises:
        AnnotationError: messages not in turn, no last answer, a second `<image>`, or a `<region>`.
    """
    turns = messages_of(entry)
    first = Turn("user", read_question(turns[0][1], entry.source, has_image=has_image))
    return as_turns([first, *turns[1:]])


def messages_of(entry: Entry) -> list[tuple[str, str]]:
    """The `conversations` of an entry as (role, text), user and assistant in turn; at least one question with its answer.

    Raises:
        AnnotationError: messages not in turn, no last answer, or no messages.
    """
    messages: list[tuple[str, str]] = []
    for position, message in enumerate(entry.entries("conversations")):
        role = ROLES.get(message.text("from"))
        if role != ("user", "assistant")[position % 2]:
            raise AnnotationError(f"{message.source}: 'from' is '{message.text('from')}'; human and gpt take turns, the human first.")
        messages.append((role, message.text("value")))
    if len(messages) % 2:
        raise AnnotationError(f"{entry.source}: the conversation ends with a question; its answer is what a model is trained on. Add it.")
    return messages


def read_question(question: str, source: str, *, has_image: bool) -> tuple[Part, ...]:
    """The parts of a first question; if there is an image, it is shown once, in front where `<image>` is left out.

    Raises:
        AnnotationError: `<image>` twice or without an image, or a literal `<region>`.
    """
    count = question.count(IMAGE_PLACEHOLDER)
    if count > has_image:
        raise AnnotationError(
            f"{source}: {IMAGE_PLACEHOLDER} stands {count} times in the question but the entry has "
            f"{'one image' if has_image else 'no image'}. Correct the text; several sensors of one location share one."
        )
    if REGION_PLACEHOLDER in question:
        raise AnnotationError(
            f"{source}: the question holds a literal {REGION_PLACEHOLDER}, which stands for a region mask; this format has none."
        )
    parts = read_parts(question, "user")
    return about_images(*parts) if has_image and not count else parts
