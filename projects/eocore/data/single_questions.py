"""Records of several questions as one record for each question, which is what evaluation asks and counts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from eocore.data.records import MaskRef, Record
from eocore.portable.messages import Image, Part, Region, Seg, Text, Turn, about_images, joined

TurnsMode = Literal["each", "dialogue"]
TURNS_MODES: tuple[TurnsMode, ...] = get_args(TurnsMode)
"""How a question of a conversation is asked: by itself, or after the questions and true answers before it."""
TURN = "turn"
"""Field of `meta`: which question of its conversation a record asks, 1 = the first."""


def count_questions(record: Record) -> int:
    """Questions of a record."""
    return sum(turn.role == "user" for turn in record.turns)


def split_questions(record: Record, *, turns: TurnsMode = "each") -> list[Record]:
    """One record for each question of a conversation; a record of one question or none stays as it is.

    Ids are "ID#1", "ID#2", ...; `meta` says which question it is (`turn`) and keeps no `answer`, since the answer is that of the question.
    A question is about all images shown up to it. Questions that were independent of each other are asked by themselves in either mode.

    Args:
        record: checked.
        turns: one of TURNS_MODES.
    """
    if count_questions(record) < 2:
        return [record]
    alone = turns == "each" or record.independent
    return [_question(record, number, alone=alone) for number in range(count_questions(record))]


def _question(record: Record, number: int, *, alone: bool) -> Record:
    before, own = record.turns[: 2 * number], record.turns[2 * number : 2 * number + 2]
    seen = [part.index for turn in (*before, own[0]) for part in turn.parts if isinstance(part, Image)]
    shown = [index for index in seen if index is not None]
    opening = own[0].parts if not alone else _with_earlier_images(own[0].parts, shown, has_images=bool(record.images))
    chosen = ((() if alone else before) + (Turn("user", opening), *own[1:])) if own else ()
    images = tuple(record.images[index] for index in sorted(shown)) if shown else record.images
    regions, masks = (_indices(chosen, kind) for kind in (Region, Seg))
    moved = {Image: sorted(shown), Region: regions, Seg: masks}
    return replace(
        record,
        sample_id=f"{record.sample_id}#{number + 1}",
        images=images,
        turns=tuple(Turn(turn.role, tuple(_moved(part, moved) for part in turn.parts)) for turn in chosen),
        regions=tuple(record.regions[index] for index in regions),
        masks=tuple(record.masks[index] for index in masks),
        independent=False,
        meta={**{name: value for name, value in record.meta.items() if name != "answer"}, TURN: number + 1},
    )


def _with_earlier_images(parts: Sequence[Part], shown: Sequence[int], *, has_images: bool) -> tuple[Part, ...]:
    """A question with the images in front that the questions before it have shown."""
    own = [part for part in parts if isinstance(part, Image)]
    earlier = [index for index in shown if Image(index) not in own]
    if earlier:
        return joined([*(Image(index) for index in earlier), Text("\n"), *parts])
    return about_images(*parts) if has_images and not own else tuple(parts)


def _indices(turns: Sequence[Turn], kind: type[Region] | type[Seg]) -> list[int]:
    return sorted(part.index for turn in turns for part in turn.parts if isinstance(part, kind))


def _moved(part: Part, kept: dict[type, list[int]]) -> Part:
    """The part with the index that its image, region or mask has among those that are kept."""
    if isinstance(part, Text) or part.index is None:
        return part
    return type(part)(kept[type(part)].index(part.index))


def asked_masks(record: Record) -> tuple[MaskRef, ...]:
    """The masks of a record's last answer; all of them where no turn refers to any."""
    answers = [turn for turn in record.turns if turn.role == "assistant"]
    if len(answers) < 2:
        return record.masks
    return tuple(record.masks[part.index] for part in answers[-1].parts if isinstance(part, Seg))
