"""Everything that a record says, changed with its image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from eocore.data.augmentation.coordinates import find_coordinates, move_coordinates, turn_point
from eocore.data.augmentation.direction_words import find_directions, turn_words
from eocore.data.augmentation.unsafe_words import UnsafeWordsError, check_turn_words, is_mirrored
from eocore.data.changes import change_headers
from eocore.data.io.readers import SceneHeader, scene_header
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.portable.messages import Text, Turn
from eocore.sensors import orientation

SAID_META = ("answer", "candidates")
"""What evaluation knows of a record that its words say too."""
PIXELS = "pixels"
_QUARTER_TURNS = (orientation.Turn(transpose=True, reverse_cols=True), orientation.Turn(transpose=True, reverse_rows=True))
BoxScale = float | str | None
"""What coordinates in texts are fractions of (1, 100, 1000), or "pixels" of the first image; None = texts hold none."""

Change = Callable[[str], str]


def check_box_scale(owner: str, scale: BoxScale) -> None:
    """Raise ConfigError unless `scale` says what coordinates are fractions of."""
    is_number = isinstance(scale, int | float) and not isinstance(scale, bool) and scale > 0
    if scale is not None and scale != PIXELS and not is_number:
        raise ConfigError(
            f"{owner}: box_scale must be the number that coordinates in texts are fractions of (1, 100, 1000), '{PIXELS}' or None; found "
            f"{scale!r}."
        )


def said(record: Record) -> Iterator[str]:
    """All texts of a record."""
    for turn in record.turns:
        yield from (part.text for part in turn.parts if isinstance(part, Text))
    for expression in record.expressions:
        yield expression.text
        yield expression.place
    yield from record.captions
    for name in SAID_META:
        value = record.meta.get(name)
        yield from (text for text in (value if isinstance(value, list | tuple) else [value]) if isinstance(text, str))


def with_words(record: Record, change: Change) -> Record:
    """The record with a change of each of its texts; labels stay."""
    turns = tuple(
        Turn(turn.role, tuple(Text(change(part.text)) if isinstance(part, Text) else part for part in turn.parts)) for turn in record.turns
    )
    expressions = tuple(replace(item, text=change(item.text), place=change(item.place)) for item in record.expressions)
    meta = {**record.meta, **{name: _changed(record.meta[name], change) for name in SAID_META if name in record.meta}}
    captions = tuple(map(change, record.captions))
    return replace(record, turns=turns, expressions=expressions, captions=captions, meta=meta)


def _changed(value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(value)
    return type(value)(map(change, value)) if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value) else value


@lru_cache(maxsize=2**16)
def says_nothing_of_directions(text: str) -> bool:
    """Whether a text stays true however its image is turned; most texts do, and many recur."""
    try:
        return not any(turn_words(text, turn) != text for turn in _QUARTER_TURNS) and not find_coordinates(text)
    except UnsafeWordsError:
        return False


def turn_record_words(record: Record, turn: orientation.Turn, *, box_scale: BoxScale) -> Record:
    """The record as it is true of its turned images.

    Raises:
        UnsafeWordsError: a text or label holds words that cannot be changed safely.
        DataError: coordinates are pixels, and the header of the first image cannot be read.
    """
    texts = [text for text in said(record) if not says_nothing_of_directions(text)]
    if not texts and all(map(says_nothing_of_directions, record.labels)):
        return record
    others = "\n".join(said(record))
    for label in record.labels:
        check_turn_words(label, turn)
        if find_directions(label, others=others):
            raise UnsafeWordsError(f"label '{label}' names a direction, and the class must stay")
    scale = scale_of_coordinates(record, texts, box_scale=box_scale)
    known: dict[str, str] = {}

    def change(text: str) -> str:
        if says_nothing_of_directions(text):
            return text
        if text not in known:
            turned = turn_words(text, turn, others=others)
            known[text] = turned if scale is None else _move(turned, turn, scale=scale)
        return known[text]

    return with_words(record, change)


def _move(text: str, turn: orientation.Turn, *, scale: tuple[float, float]) -> str:
    """Coordinates of a text after the turn; pixels of an image whose sides are exchanged stay fractions of the same sides."""
    if not turn.transpose or scale[0] == scale[1]:
        return move_coordinates(text, turn_point(turn), scale=scale, mirrored=is_mirrored(turn))
    if not find_coordinates(text):
        return text
    raise UnsafeWordsError(f"'{find_coordinates(text)}' counts pixels of an image that is not square")


def scale_of_coordinates(record: Record, texts: Sequence[str], *, box_scale: BoxScale) -> tuple[float, float] | None:
    """What x and y in the texts of a record are fractions of; None where no text holds coordinates.

    Raises:
        UnsafeWordsError: there are coordinates, and nothing says what they are fractions of.
        DataError: they are pixels, and the header of the first image cannot be read.
    """
    found = next((numbers for text in texts if (numbers := find_coordinates(text))), "")
    if not found:
        return None
    if box_scale is None:
        raise UnsafeWordsError(f"'{found}' may be coordinates, and box_scale does not say of which scale")
    if box_scale == PIXELS:
        height, width = first_size(record)
        return float(width), float(height)
    return float(box_scale), float(box_scale)


def first_size(record: Record) -> tuple[int, int]:
    """(height, width) [px] of the first image of a record after the changes it has so far, by its header.

    Raises:
        DataError: the header cannot be read.
    """
    return headers_of(record)[0].size


def headers_of(record: Record) -> list[SceneHeader]:
    """The headers of a record's images after the changes it has so far.

    Raises:
        DataError: a header cannot be read.
    """
    header_of = record.augmentation.header_of or scene_header
    return change_headers([header_of(ref) for ref in record.images], record.augmentation.changes)
