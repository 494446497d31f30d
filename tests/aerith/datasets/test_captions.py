import numpy as np
import pytest

from aerith.datasets.captions import AerithCleanCaptions, AerithImageAlone
from eocore.data.records import Record
from eocore.errors import DataError
from eocore.portable.messages import Image, as_turns

RNG = np.random.default_rng(0)


def test_an_answer_or_a_caption_stands_behind_the_image_alone() -> None:
    asked = Record("a", (), turns=tuple(as_turns([("user", "<image>\nWhat?"), ("assistant", "A lake.")])))
    described = Record("b", (), captions=("A road.", "One road."))
    for record, text in ((asked, "A lake."), (described, "A road.")):
        question, answer = AerithImageAlone()(record, RNG).turns
        assert question.parts == (Image(),) and answer.words == text


def test_nothing_to_learn_is_said() -> None:
    with pytest.raises(DataError, match=r"f\.json#1: sample 'c' has no answer"):
        AerithImageAlone()(Record("c", (), source="f.json#1"), RNG)


def test_captions_are_cleaned_as_lhrs_bot_does() -> None:
    record = Record("d", (), captions=('A "Large"  lake (blue); it is: round!', "word " * 60), meta={"references": ["A Lake."]})
    cleaned = AerithCleanCaptions()(record, RNG)
    assert cleaned.captions == ("a large lake blue it is round", " ".join(["word"] * 50))
    assert cleaned.meta["references"] == ["A Lake."]
    assert AerithCleanCaptions(max_words=2)(record, RNG).captions == ("a large", "word word")


@pytest.mark.parametrize(("captions", "found"), [((), "no caption"), (("A lake.", " .. !"), "a caption without words")])
def test_captions_of_which_nothing_is_left_are_refused(captions: tuple[str, ...], found: str) -> None:
    with pytest.raises(DataError, match=rf"f\.json#1: sample 'c' has {found}"):
        AerithCleanCaptions()(Record("c", (), captions=captions, source="f.json#1"), RNG)
