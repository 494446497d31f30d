"""Questions whose answers the map gives."""

from collections import Counter

import numpy as np
import pytest

from eocore.synthetic.land_map import LandClass, LandMap, QuestionOptions
from eocore.synthetic.questions import Choice, Question, caption, describe_landscape

NAMES = {1: "water", 2: "forest", 3: "grass", 4: "built area", 5: "bare ground", 6: "cropland"}
CLASSES = {number: LandClass(name, "building" if number == 4 else "", "buildings" if number == 4 else "") for number, name in NAMES.items()}
ALL = QuestionOptions(questions=99, choices=99)


def land(buildings: int = 2, water: int = 30, classes: dict[int, LandClass] = CLASSES) -> LandMap:
    """(100, 100): water in the north, grass below, buildings in the grass."""
    class_map, objects = np.full((100, 100), 3, np.uint8), np.zeros((100, 100), np.int32)
    class_map[:water] = 1
    for number in range(buildings):
        place = np.s_[60:75, 5 + 18 * number : 20 + 18 * number]
        class_map[place], objects[place] = 4, number + 1
    return LandMap(class_map, classes, objects, countable=frozenset({4}))


def asked(map_: LandMap, seed: int = 0, options: QuestionOptions = ALL) -> dict[str, Question]:
    return {question.text: question for question in describe_landscape(map_, np.random.default_rng(seed), options=options).questions}


def chosen(map_: LandMap, seed: int = 0) -> list[Choice]:
    return list(describe_landscape(map_, np.random.default_rng(seed), options=ALL).choices)


def test_same_generator_same_questions():
    one, again, other = (describe_landscape(land(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.questions == again.questions
    assert one.choices == again.choices
    assert one.choices != other.choices


def test_presence_is_true_and_balanced():
    answers = Counter()
    for seed in range(40):
        for question in asked(land(), seed).values():
            if question.kind == "presence":
                name = question.text.removeprefix("Is there ").removesuffix(" in the image?")
                assert question.answer == ("yes" if name in ("water", "grass", "built area") else "no")
                answers[question.answer] += 1
    assert answers["yes"] == answers["no"] > 0


def test_comparison_is_true_both_ways():
    order, seen = ["grass", "water", "built area"], set()
    for seed in range(40):
        for question in asked(land(), seed).values():
            if question.kind == "comparison":
                first, second = question.text.removeprefix("Is there more ").removesuffix("?").split(" than ")
                assert question.answer == ("yes" if order.index(first) < order.index(second) else "no")
                seen.add(question.answer)
    assert seen == {"yes", "no"}


def test_majority_and_count():
    questions = asked(land(buildings=3))
    assert questions["What covers most of the image?"].answer == "grass"
    assert questions["How many buildings are there?"].answer == "3"


def test_no_majority_where_two_classes_are_near():
    assert "What covers most of the image?" not in asked(land(buildings=0, water=48))


def test_numbers_above_four_are_not_asked_for():
    assert "How many buildings are there?" not in asked(land(buildings=5))


def test_every_choice_has_four_candidates_and_one_right_one():
    for seed in range(30):
        for choice in chosen(land(), seed):
            assert len(set(choice.candidates)) == 4
            assert choice.answer in choice.candidates


def test_choices_are_true():
    present, wanted = {"water", "grass", "built area"}, set()
    for seed in range(30):
        for choice in chosen(land(buildings=1), seed):
            wanted.add(choice.kind)
            if choice.kind == "scene_classification":
                assert choice.answer == "grass"
            elif choice.kind == "object_existence":
                assert present & set(choice.candidates) == {choice.answer}
            elif choice.kind == "hallucination_detection":
                assert set(choice.candidates) - present == {choice.answer}
            elif choice.kind == "object_counting":
                assert choice.answer == "1"
    assert wanted == {"scene_classification", "object_existence", "hallucination_detection", "object_counting", "spatial_relationship"}


def test_places_are_asked_for_only_where_clear():
    places = {choice.text: choice.answer for choice in chosen(land(buildings=1)) if choice.kind == "spatial_relationship"}
    assert places == {"Where is the water?": "north", "Where is the built area?": "west"}  # the grass is all around
    everything = describe_landscape(land(buildings=1), np.random.default_rng(0), options=ALL)
    assert {question.text: question.answer for question in everything.questions if question.kind == "place"} == places


def test_every_place_of_the_answer_is_equally_frequent():
    places = Counter(choice.candidates.index(choice.answer) for seed in range(200) for choice in chosen(land(), seed))
    assert max(places.values()) < 1.3 * min(places.values())


def test_existence_needs_three_absent_classes():
    few = {number: CLASSES[number] for number in (1, 2, 3, 4)}
    assert "object_existence" not in {choice.kind for choice in chosen(land(classes=few))}


def test_kinds_take_turns():
    for seed in range(20):
        kinds = [
            choice.kind for choice in describe_landscape(land(), np.random.default_rng(seed), options=QuestionOptions(choices=4)).choices
        ]
        assert len(set(kinds)) == len(kinds) == 4


@pytest.mark.parametrize(
    ("map_", "sentence"),
    [
        (land(buildings=0, water=0), "The scene shows mostly grass."),
        (land(buildings=1), "The scene shows mostly grass with water and one building."),
        (land(buildings=2, water=1), "The scene shows mostly grass with two buildings."),
        (land(buildings=0), "The scene shows mostly grass with water."),
        (LandMap(np.zeros((9, 9), int), CLASSES, np.zeros((9, 9), int)), ""),
    ],
)
def test_caption_names_classes_by_area(map_, sentence):
    assert caption(map_, min_area=0.015) == sentence


def test_a_map_without_known_classes_asks_nothing():
    nothing = describe_landscape(LandMap(np.zeros((9, 9), int), CLASSES, np.zeros((9, 9), int)), np.random.default_rng(0))
    assert (nothing.phrases, nothing.questions, nothing.choices, nothing.captions, nothing.regions) == ((), (), (), (), ())
