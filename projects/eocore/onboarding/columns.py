"""What the columns of a table hold, told by their names; where two readings are possible, the option that decides is asked for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eocore.errors import ConfigError
from eocore.onboarding.choices import CAPTION, CHAT, CLASSIFICATION, REFERRING, TASKS, DatasetChoices, Findings

FIELDS: Mapping[str, tuple[str, ...]] = {
    "conversations": ("conversations",),
    "question": ("question", "prompt", "instruction", "query"),
    "answer": ("answer", "response", "reply"),
    "phrase": ("phrase", "expression", "referring_expression"),
    "mask": ("mask", "mask_path", "mask_file", "segmentation", "polygon", "box", "bbox"),
    "mask_value": ("mask_value", "mask_class"),
    "caption": ("caption", "captions", "description", "text"),
    "label": ("label", "class", "category", "label_name", "class_name"),
    "split": ("split", "subset", "partition"),
    "place": ("place", "location", "scene", "site", "tile", "region", "area"),
}
"""Field -> names of columns that hold it, in any case."""
TEXT_FIELDS = {CHAT: "answer", REFERRING: "phrase", CAPTION: "caption", CLASSIFICATION: "label"}
"""Task -> the field that `--text-column` names."""
IMAGE_NAMES = ("image", "img", "file", "filename", "file_name", "filepath", "path", "picture", "chip")
SENSOR_NAMES = (
    "rgb",
    "optical",
    "multispectral",
    "ms",
    "s2",
    "sentinel2",
    "sentinel_2",
    "sar",
    "s1",
    "sentinel1",
    "sentinel_1",
    "radar",
    "landsat",
)
_AROUND = re.compile(r"^(?:image|img|path|file)_|_(?:image|img|path|file|filename)$")


@dataclass(frozen=True)
class Columns:
    """Which column holds what.

    Attributes:
        tasks: what is learnt.
        images: group -> column of its image; the group is the column's name where there are several.
        fields: field of FIELDS -> column.
    """

    tasks: tuple[str, ...]
    images: Mapping[str, str]
    fields: Mapping[str, str] = field(default_factory=dict)

    def text(self, task: str) -> str:
        """The column of a task's answer, phrase, caption or label."""
        return self.fields[TEXT_FIELDS[task]]


def choose_columns(names: Sequence[str], choices: DatasetChoices, *, findings: Findings) -> Columns:
    """Which column holds what.

    Args:
        names: of the columns.
        choices: of the user, which go first.
        findings: takes what was told from names.

    Raises:
        ConfigError: a column that is named is not there, a field has several or no columns, or several tasks can be learnt.
    """
    fields = _fields(names, choices)
    tasks = _tasks(fields, names, choices=choices)
    fields |= _chosen_texts(tasks, names, choices=choices)
    for task in tasks:
        _check_complete(task, fields, names=names)
    images = _images(names, choices, taken=set(fields.values()))
    used = {column: name for name, column in fields.items()} | {column: f"image ({group})" for group, column in images.items()}
    findings.guessed.append(f"learns {', '.join(tasks)}; columns: " + ", ".join(f"{column} = {name}" for column, name in used.items()))
    unused = [name for name in names if name not in used]
    if unused:
        findings.guessed.append(f"columns that are not used: {', '.join(unused)}")
    return Columns(tasks, images, fields)


def plain_name(column: str) -> str:
    """A column's name in lower case, words joined by "_"."""
    return re.sub(r"[^a-z0-9]+", "_", column.strip().lower()).strip("_")


def _fields(names: Sequence[str], choices: DatasetChoices) -> dict[str, str]:
    """Field -> column, of those that options name and those that go by one of the known names."""
    text_fields = set(TEXT_FIELDS.values())
    chosen = dict(choices.columns)
    for column in (*chosen.values(), *choices.text_columns.values(), *choices.image_columns.values()):
        if column not in names:
            raise ConfigError(f"the table has no column {column!r}. Its columns: {', '.join(names)}.")
    given = {*chosen.values(), *choices.text_columns.values(), *choices.image_columns.values()}
    for known, words in FIELDS.items():
        found = [name for name in names if plain_name(name) in words and name not in given]
        if known in chosen or not found or (known == "split" and choices.fractions is not None):
            continue
        if len(found) > 1:
            option = "--text-column" if known in text_fields else f"--{known}-column"
            raise ConfigError(f"columns {', '.join(found)} may each be the {known}. Say which with {option} COLUMN.")
        chosen[known] = found[0]
    return chosen


def _tasks(fields: Mapping[str, str], names: Sequence[str], *, choices: DatasetChoices) -> tuple[str, ...]:
    unknown = [task for task in (*choices.tasks, *filter(None, choices.text_columns)) if task not in TASKS]
    if unknown:
        raise ConfigError(f"there is no task {unknown[0]!r}. Choices: {', '.join(TASKS)}.")
    if choices.tasks:
        return choices.tasks
    possible = [
        *([CHAT] if "conversations" in fields or {"question", "answer"} <= set(fields) else []),
        *([REFERRING] if "mask" in fields else []),
        *([CAPTION] if "caption" in fields else []),
        *([CLASSIFICATION] if "label" in fields else []),
    ]
    if len(possible) == 1:
        return (possible[0],)
    what = f"several things can be learnt from them: {', '.join(possible)}" if possible else "they tell nothing that can be learnt"
    raise ConfigError(
        f"the columns are {', '.join(names)}: {what}. Say what is meant with --task {' '.join(possible[:1] or ['chat'])} (several are "
        "possible), and with --text-column COLUMN which column holds the answer, phrase, caption or label."
    )


def _chosen_texts(tasks: Sequence[str], names: Sequence[str], *, choices: DatasetChoices) -> dict[str, str]:
    """Field -> column of `--text-column`."""
    chosen = {}
    for task, column in choices.text_columns.items():
        if not task and len(tasks) > 1:
            raise ConfigError(f"--text-column {column}: there are several tasks. Write --text-column {tasks[0]}={column}.")
        chosen[TEXT_FIELDS[task or tasks[0]]] = column
    return chosen


def _check_complete(task: str, fields: Mapping[str, str], *, names: Sequence[str]) -> None:
    """Raise ConfigError if a column of a task is not known."""
    needed = {CHAT: ("question", "answer"), REFERRING: ("phrase", "mask")}.get(task, (TEXT_FIELDS[task],))
    if task == CHAT and "conversations" in fields:
        return
    for name in needed:
        if name not in fields:
            option = "--text-column" if name == TEXT_FIELDS[task] else f"--{name}-column"
            raise ConfigError(
                f"task {task}: no column is known to hold the {name}; the columns are {', '.join(names)}. Name it with {option} COLUMN, or "
                "name another --task."
            )


def _images(names: Sequence[str], choices: DatasetChoices, *, taken: set[str]) -> dict[str, str]:
    """Group -> column."""
    if choices.image_columns:
        return dict(choices.image_columns)
    free = [name for name in names if name not in taken]
    plain = [name for name in free if _names_any(name, IMAGE_NAMES)]
    by_sensor = [name for name in free if _names_any(name, SENSOR_NAMES)]
    if by_sensor and plain:
        raise ConfigError(
            f"columns {', '.join([*plain, *by_sensor])} may each name the image. Say which do with --image-column COLUMN [COLUMN ...]: "
            "several are the sensors of one sample."
        )
    found = by_sensor or plain
    if not found or (plain and len(plain) > 1):
        what = (
            f"columns {', '.join(plain)} may each name the image"
            if plain
            else f"no column of {', '.join(names)} is known to name the image"
        )
        raise ConfigError(f"{what}. Name it with --image-column COLUMN; several columns are the sensors of one sample.")
    return {name: name for name in found}


def _names_any(column: str, words: Sequence[str]) -> bool:
    """Whether a column goes by one of the words, with or without "image" or the like around it."""
    plain = plain_name(column)
    return plain in words or _AROUND.sub("", plain) in words
