"""Everything asked about one image becomes one sample, in an order drawn anew, with nothing lost or mixed up."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eocore.data.conversation import ImageConversations, join
from eocore.data.dataset import RecordDataset, SampleKey, check_record
from eocore.data.records import ImageRef, MaskRef, Record
from eocore.errors import AnnotationError, ConfigError
from eocore.portable.messages import read_turns
from eocore.registry import DATASETS


class NamedDataset(RecordDataset):
    """`annotations` "word": two text records, without images, so that all datasets ask about the same (no) files."""

    def parse(self, path: Path) -> list[Record]:
        turns = [read_turns([f"{path} {n}?", f"{path} {n}"]) for n in range(2)]
        return [Record(f"{path}{n}", {}, turn, source=f"{path}#{n}") for n, turn in enumerate(turns)]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    DATASETS.register_module(module=NamedDataset)
    yield
    DATASETS.module_dict.pop("NamedDataset")


def build(max_questions: int = 12) -> ImageConversations:
    datasets = [{"type": "NamedDataset", "annotations": word, "images": {}} for word in ("count", "name")]
    return ImageConversations(datasets=datasets, max_questions=max_questions)


def questions(conversations: ImageConversations, seed: int) -> list[str]:
    record, _ = conversations.read(SampleKey(0, 0), np.random.default_rng(seed))
    check_record(record)
    assert [turn.text for turn in record.turns[1::2]] == [turn.text.removesuffix("?") for turn in record.turns[::2]]
    return [turn.text for turn in record.turns[::2]]


def test_records_of_one_image_are_one_sample_with_every_question_once() -> None:
    conversations = build()
    assert len(conversations) == 1
    assert sorted(questions(conversations, 0)) == ["count 0?", "count 1?", "name 0?", "name 1?"]


def test_the_order_is_drawn_anew_and_every_question_comes_first_sometimes() -> None:
    conversations = build()
    assert questions(conversations, 3) == questions(conversations, 3)
    assert {questions(conversations, seed)[0] for seed in range(40)} == {"count 0?", "count 1?", "name 0?", "name 1?"}


def test_a_limit_leaves_questions_out_by_chance() -> None:
    conversations = build(max_questions=2)
    draws = [questions(conversations, seed) for seed in range(40)]
    assert {len(draw) for draw in draws} == {2}
    assert len({question for draw in draws for question in draw}) == 4


def test_masks_and_regions_keep_the_order_of_their_turns_and_the_image_stays_in_front() -> None:
    first, second = MaskRef("box", [0, 0, 1, 1]), MaskRef("box", [1, 1, 2, 2])
    asked = Record("a", (), read_turns(["<image>\nWhere is it?", "[SEG]"]), masks=(first,))
    region = Record("b", (), read_turns(["<image>\nWhat is <region>?", "[SEG] it"]), masks=(second,), regions=(first,))
    joined = join([asked, region])
    assert [turn.text for turn in joined.turns] == ["<image>\nWhere is it?", "[SEG]", "What is <region>?", "[SEG] it"]
    assert joined.masks == (first, second) and joined.regions == (first,)


def test_independent_questions_stand_as_they_would_alone() -> None:
    scene, region = (ImageRef("rgb", "rgb_uint8", ("a.png",)),), MaskRef("box", [0, 0, 1, 1])
    asked = Record("a", scene, read_turns(["<image>\nWhere?", "a", "What?", "b"]))
    other = Record("b", scene, read_turns(["<image>Which of <region>?", "c"]), regions=(region,))
    joined = join([asked, other], independent=True)
    assert joined.independent and not join([asked, other]).independent
    assert [turn.text for turn in joined.turns] == ["<image>\nWhere?", "a", "\nWhat?", "b", "Which of <region>?", "c"]
    assert joined.regions == (region,)
    check_record(joined)
    assert [turn.text for turn in join([other, asked], independent=True).turns][::2] == ["<image>Which of <region>?", "\nWhere?", "\nWhat?"]


def test_an_image_amid_its_question_cannot_be_shared() -> None:
    record = Record("a", (ImageRef("rgb", "rgb_uint8", ("a.png",)),), read_turns(["In <image>, what?", "a"]), source="x:3")
    with pytest.raises(AnnotationError, match=r"x:3: <image> does not stand in front of 'In <image>, what[?]'"):
        join([record], independent=True)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="at least one dataset and max_questions of at least 1, found 0 and 12"):
        ImageConversations(datasets=[])
    with pytest.raises(ConfigError, match="found 2 and 0"):
        build(max_questions=0)
