"""Conversations taken apart: each question with its own answer, images, regions and masks."""

import pytest

from eocore.data.dataset import check_record
from eocore.data.records import ImageRef, MaskRef, Record
from eocore.data.single_questions import asked_masks, count_questions, split_questions
from eocore.portable.messages import Image, Text, Turn, read_turns

IMAGE = ImageRef("rgb", "rgb_uint8", ("a.png",))
BOXES = tuple(MaskRef("box", [0, 0, side, side]) for side in (1, 2, 3))


def conversation() -> Record:
    """Three questions about one image: a region and a mask, a mask, no mask."""
    texts = ["<image>\nWhat is <region>?", "A field [SEG]", "And the lake?", "[SEG] and [SEG]", "How many ships?", "2"]
    return Record("s", (IMAGE,), read_turns(texts), BOXES, (BOXES[2],), task="vqa", source="f#0", meta={"answer": "2", "type": "x"})


def test_each_question_is_a_record_of_its_own() -> None:
    first, second, third = split_questions(conversation())
    for record in (first, second, third):
        check_record(record)
    assert [record.sample_id for record in (first, second, third)] == ["s#1", "s#2", "s#3"]
    assert [[turn.text for turn in record.turns] for record in (first, second, third)] == [
        ["<image>\nWhat is <region>?", "A field [SEG]"],
        ["<image>\nAnd the lake?", "[SEG] and [SEG]"],
        ["<image>\nHow many ships?", "2"],
    ]
    assert [record.masks for record in (first, second, third)] == [BOXES[:1], BOXES[1:], ()]
    assert [len(record.regions) for record in (first, second, third)] == [1, 0, 0]
    assert third.meta == {"type": "x", "turn": 3}


def test_a_dialogue_keeps_what_was_said_before() -> None:
    first, second, third = split_questions(conversation(), turns="dialogue")
    for record in (first, second, third):
        check_record(record)
    assert [len(record.turns) for record in (first, second, third)] == [2, 4, 6]
    assert second.turns == conversation().turns[:4] and third.masks == BOXES
    assert [asked_masks(record) for record in (first, second, third)] == [BOXES[:1], BOXES[1:], ()]


@pytest.mark.parametrize("turns", ["each", "dialogue"])
def test_images_that_are_shown_one_by_one_are_those_up_to_the_question(turns: str) -> None:
    images = (IMAGE, ImageRef("sar", "sentinel1_grd", ("b.tif",)))
    talk = (
        Turn("user", (Image(0), Text("\nWhat is it?"))),
        Turn("assistant", (Text("a field"),)),
        Turn("user", (Image(1), Text("\nAnd by radar?"))),
        Turn("assistant", (Text("a field too"),)),
    )
    first, second = split_questions(Record("s", images, talk, task="vqa", source="f#0"), turns=turns)  # type: ignore[arg-type]
    check_record(first)
    check_record(second)
    assert first.images == images[:1] and second.images == images
    shown = [part.index for turn in second.turns for part in turn.parts if isinstance(part, Image)]
    assert shown == [0, 1]


def test_a_record_of_one_question_or_none_stays_as_it_is() -> None:
    single = Record("s", (IMAGE,), read_turns(["<image>What?", "A field"]), source="f#0")
    assert split_questions(single) == [single] and count_questions(single) == 1
    captions = Record("s", (IMAGE,), captions=("a field",), source="f#0")
    assert split_questions(captions, turns="dialogue") == [captions] and count_questions(captions) == 0


def test_questions_without_an_image_and_independent_ones_are_asked_by_themselves() -> None:
    talk = read_turns(["What is SAR?", "Radar.", "And S1?", "A satellite."])
    second = split_questions(Record("s", (), talk, independent=True, source="f#0"), turns="dialogue")[1]
    check_record(second)
    assert [turn.text for turn in second.turns] == ["And S1?", "A satellite."] and not second.independent
