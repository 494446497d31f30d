"""Questions of classes, captions and positions are made of what a record holds, boxes on the image's own scale, and prefixes put once."""

from typing import Any

import numpy as np
import pytest

from eocore.data.dataset import check_record
from eocore.data.records import Expression, ImageRef, MaskRef, Record
from eocore.data.task_turns import ComposeCaption, ComposeClassification, ComposeGrounding, DrawTurns, PrefixQuestions
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.portable.messages import Image, Text, read_turns
from eocore.registry import TRANSFORMS

IMAGES = (ImageRef("rgb", "rgb_uint8", ("a.png",)),)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def words(record: Record) -> list[str]:
    return [turn.text for turn in record.turns]


class TestComposeClassification:
    RECORD = Record("s", IMAGES, labels=("BareLand",), meta={"candidates": ["BareLand", "Park"]}, source="f#0")

    def test_classes_and_answer_are_those_of_the_record(self) -> None:
        made = ComposeClassification(templates=["One of: {classes}?"], as_words=True)(self.RECORD, rng())
        check_record(made)
        assert words(made) == ["<image>\nOne of: bare land, park?", "bare land"]
        assert made.task == "classification"

    def test_a_record_of_two_labels_is_refused(self) -> None:
        with pytest.raises(DataError, match="f#0: sample 's' has 2 labels, expected one"):
            ComposeClassification()(Record("s", IMAGES, labels=("a", "b"), source="f#0"), rng())

    def test_a_question_that_names_classes_needs_them(self) -> None:
        with pytest.raises(DataError, match="has no 'candidates' in its meta"):
            ComposeClassification()(Record("s", IMAGES, labels=("a",), source="f#0"), rng())
        assert words(ComposeClassification(templates=["What is it?"])(Record("s", IMAGES, labels=("a",)), rng()))[1] == "a"


class TestComposeCaption:
    RECORD = Record("s", IMAGES, captions=("one lake", "a lake"), source="f#0")

    def test_a_caption_is_drawn_and_all_are_references(self) -> None:
        generator = rng()
        made = [ComposeCaption(prompts=["Say."])(self.RECORD, generator) for _ in range(20)]
        assert {words(record)[1] for record in made} == {"one lake", "a lake"}
        assert all(record.meta["references"] == ["one lake", "a lake"] for record in made)

    def test_without_a_prompt_the_images_stand_alone(self) -> None:
        made = ComposeCaption(prompts=[""])(self.RECORD, rng())
        check_record(made)
        assert made.turns[0].parts == (Image(),)

    def test_a_record_without_captions_is_refused(self) -> None:
        with pytest.raises(DataError, match="f#0: sample 's' has no caption"):
            ComposeCaption()(Record("s", IMAGES, source="f#0"), rng())


def referring(*masks: MaskRef | None, **meta: Any) -> Record:
    expressions = tuple(Expression(f"lake {number}.", mask) for number, mask in enumerate(masks))
    return Record("s", IMAGES, expressions=expressions, source="f#0", meta={"image_size": [10, 20], **meta})


class TestComposeGrounding:
    def test_a_box_is_in_fractions_of_width_and_height(self) -> None:
        made = ComposeGrounding(templates=["[VG] {phrase}"])(referring(MaskRef("box", [2, 1, 10, 5])), rng())
        check_record(made)
        assert words(made) == ["<image>\n[VG] lake 0", "[0.10, 0.10, 0.50, 0.50]"]
        assert made.meta["boxes"] == [[0.1, 0.1, 0.5, 0.5]] and made.meta["box_scale"] == 1.0 and made.task == "grounding"

    def test_a_mask_is_taken_by_its_bounds_with_the_far_edge_of_the_last_pixel(self) -> None:
        ring = MaskRef("polygon", [[4, 2, 8, 2, 8, 6, 4, 6]])
        assert words(ComposeGrounding(decimals=3)(referring(ring), rng()))[1] == "[0.200, 0.200, 0.400, 0.600]"

    def test_several_phrases_make_a_conversation_with_the_image_once(self) -> None:
        record = referring(MaskRef("box", [0, 0, 20, 10]), MaskRef("box", [0, 0, 10, 5]))
        made = ComposeGrounding(num_expressions=5)(record, rng())
        check_record(made)
        assert len(made.turns) == 4
        assert sorted(words(made)[1::2]) == ["[0.00, 0.00, 0.50, 0.50]", "[0.00, 0.00, 1.00, 1.00]"]

    def test_what_has_no_box_is_refused(self) -> None:
        with pytest.raises(AnnotationError, match=r"phrase 'lake 0\.' has no target"):
            ComposeGrounding()(referring(None), rng())
        with pytest.raises(DataError, match="does not say how large its image is"):
            ComposeGrounding()(referring(MaskRef("box", [0, 0, 1, 1]), image_size=None), rng())
        with pytest.raises(DataError, match="has no referring phrase"):
            ComposeGrounding()(referring(), rng())
        with pytest.raises(AnnotationError, match="has no pixel"):
            ComposeGrounding()(referring(MaskRef("rle", {"size": [10, 20], "counts": [200]})), rng())

    def test_options_are_checked(self) -> None:
        with pytest.raises(ConfigError, match=r"must hold \{phrase\} once"):
            ComposeGrounding(templates=["where?"])
        with pytest.raises(ConfigError, match="decimals 1 to 6, found 1 and 0"):
            ComposeGrounding(decimals=0)


class TestPrefixQuestions:
    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ("<image>\nIs it?", "<image>\n[VQA] Is it?"),
            ("<image> Is it?", "<image>\n[VQA] Is it?"),
            ("<image>", "<image>\n[VQA] "),
            ("Look at <image>.", "[VQA] Look at <image>."),
        ],
    )
    def test_it_stands_behind_the_images_in_front(self, asked: str, expected: str) -> None:
        made = PrefixQuestions(prefix="[VQA] ")(Record("s", IMAGES, read_turns([asked, "yes", "And?", "no"])), rng())
        assert words(made) == [expected, "yes", "[VQA] And?", "no"]

    def test_a_question_that_has_it_stays(self) -> None:
        for asked in ("<image>\n[VQA] Is it?", "[VQA] Is it?"):
            record = Record("s", IMAGES if "<image>" in asked else (), read_turns([asked, "yes"]))
            assert words(PrefixQuestions(prefix="[VQA] ")(record, rng()))[0] == asked

    def test_without_images_it_stands_in_front(self) -> None:
        made = PrefixQuestions(prefix="[VQA] ")(Record("s", (), read_turns(["Is it?", "yes"])), rng())
        assert made.turns[0].parts == (Text("[VQA] Is it?"),)

    def test_a_record_without_questions_and_an_empty_prefix_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"has no question to put '\[VQA\]' before"):
            PrefixQuestions(prefix="[VQA] ")(Record("s", IMAGES, captions=("a",)), rng())
        with pytest.raises(ConfigError, match="prefix must be at least one text"):
            PrefixQuestions(prefix=" ")


class TestDrawTurns:
    RECORD = Record("s", IMAGES, read_turns(["<image>\nq0", "a0"] + [f"{kind}{number}" for number in range(1, 15) for kind in "qa"]))

    def test_some_are_drawn_in_order_with_the_image_in_front(self) -> None:
        drawn: set[str] = set()
        for seed in range(20):
            made = DrawTurns(most=3)(self.RECORD, rng(seed))
            check_record(made)
            asked, answers = words(made)[::2], words(made)[1::2]
            assert asked[0].startswith("<image>\nq") and [f"a{text[text.index('q') + 1 :]}" for text in asked] == answers
            assert answers == sorted(answers, key=lambda text: int(text[1:])) and len(answers) == 3
            drawn.update(answers)
        assert len(drawn) == 15

    def test_short_conversations_stay_and_masks_are_refused(self) -> None:
        assert DrawTurns(most=15)(self.RECORD, rng()) is self.RECORD
        with_mask = Record("s", IMAGES, read_turns(["<image>\nq", "[SEG]", "q", "a"]), masks=(MaskRef("box", [0, 0, 1, 1]),), source="f#0")
        with pytest.raises(DataError, match="f#0: sample 's' has 2 questions that refer to masks or regions"):
            DrawTurns(most=1)(with_mask, rng())
        with pytest.raises(ConfigError, match="most must be at least 1, found 0"):
            DrawTurns(most=0)


def test_the_transforms_are_registered_and_refuse_the_place_of_the_image() -> None:
    with pytest.raises(ConfigError, match="templates must be at least one text without <image>"):
        TRANSFORMS.build({"type": "ComposeClassification", "templates": ["<image> what?"]})
