"""Questions, answers and captions a land map can answer: short sentences in few words.

Used alike by the synthetic world and by the preparation of land-cover tiles. Everything here is a pure function of the map and the
random generator; nothing is asked whose answer would be a matter of taste (near ties, classes of a few pixels).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from eocore.synthetic.land_map import CLEAR_LEAD, LandMap, QuestionOptions
from eocore.synthetic.phrases import DIRECTIONS, Phrase, Region, can_point, direction_of, find_phrases, find_regions

NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LARGEST_COUNT = 4
"""Counts above are not asked for."""
NUM_CANDIDATES = 4
"""Of a multiple-choice question, as in EarthMind-Bench."""
MOST_TEXT = "What covers most of the image?"


@dataclass(frozen=True)
class Question:
    """An open question and its short answer; `kind` is "presence", "comparison", "majority", "count" or "place"."""

    text: str
    answer: str
    kind: str


@dataclass(frozen=True)
class Choice:
    """A question with four candidates, one of them the answer; `kind` is a task type of EarthMind-Bench."""

    text: str
    candidates: tuple[str, ...]
    answer: str
    kind: str


@dataclass(frozen=True)
class Questions:
    """All that is asked about one scene."""

    phrases: tuple[Phrase, ...]
    questions: tuple[Question, ...]
    choices: tuple[Choice, ...]
    captions: tuple[str, ...]
    regions: tuple[Region, ...]


def describe_landscape(land: LandMap, rng: np.random.Generator, *, options: QuestionOptions | None = None) -> Questions:
    """Phrases, questions, choices, captions and regions for one scene, a pure function of the arguments (`rng` moves on)."""
    options = options or QuestionOptions()
    sentence = caption(land, min_area=options.min_area)
    return Questions(
        phrases=tuple(find_phrases(land, rng, options=options)),
        questions=tuple(_take_turns(_open_questions(land, rng, options=options), rng, most=options.questions)),
        choices=tuple(_take_turns(_choices(land, rng, options=options), rng, most=options.choices)),
        captions=(sentence,) if sentence else (),
        regions=tuple(find_regions(land, options=options)),
    )


def caption(land: LandMap, *, min_area: float) -> str:
    """One sentence that names the classes by area: "The scene shows mostly grass with water and two buildings."; empty without any."""
    areas = land.present(min_area)
    if not areas:
        return ""
    rest = [_amount(land, class_id) for class_id in areas[1:]]
    listed = " and ".join([", ".join(rest[:-1]), rest[-1]] if len(rest) > 1 else rest)
    return f"The scene shows mostly {land.classes[areas[0]].name}{' with ' if rest else ''}{listed}."


def _amount(land: LandMap, class_id: int) -> str:
    """A class with its number where it can be counted: "two buildings"; else its name."""
    land_class, count = land.classes[class_id], len(land.objects_of(class_id))
    if class_id not in land.countable or not 0 < count < len(NUMBER_WORDS):
        return land_class.name
    return f"{NUMBER_WORDS[count]} {land_class.noun if count == 1 else land_class.plural}"


Asked = TypeVar("Asked", Question, Choice)


def _take_turns(items: Iterable[Asked], rng: np.random.Generator, *, most: int) -> list[Asked]:
    """Up to `most` of the items in random order; the kinds take turns, so that a frequent one does not crowd out the rest."""
    kinds: dict[str, list[Asked]] = {}
    for item in items:
        kinds.setdefault(item.kind, []).append(item)
    ranked = []
    for of_kind in kinds.values():
        ranked += [(turn + rng.random(), of_kind[index]) for turn, index in enumerate(rng.permutation(len(of_kind)))]
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])[:most]]


def _open_questions(land: LandMap, rng: np.random.Generator, *, options: QuestionOptions) -> list[Question]:
    questions = _presences(land, rng, options=options) + _comparisons(land, rng, options=options)
    if land.majority is not None:
        questions.append(Question(MOST_TEXT, land.classes[land.majority].name, "majority"))
    for text, count in _countings(land):
        questions.append(Question(text, str(count), "count"))
    questions += [Question(text, direction, "place") for text, direction in _directions(land, options=options)]
    return questions


def _presences(land: LandMap, rng: np.random.Generator, *, options: QuestionOptions) -> list[Question]:
    """As many present as absent classes, so that "yes" and "no" are equally frequent."""
    present = land.present(options.min_area)
    number = min(len(present), len(land.absent))
    asked = [(int(c), "yes") for c in rng.permutation(present)[:number]] + [(int(c), "no") for c in rng.permutation(land.absent)[:number]]
    return [Question(f"Is there {land.classes[class_id].name} in the image?", answer, "presence") for class_id, answer in asked]


def _comparisons(land: LandMap, rng: np.random.Generator, *, options: QuestionOptions) -> list[Question]:
    """One question whether there is more of one class than of another, "yes" and "no" equally frequent."""
    present = land.present(options.min_area)
    pairs = [(a, b) for i, a in enumerate(present) for b in present[i + 1 :] if land.areas[a] >= CLEAR_LEAD * land.areas[b]]
    if not pairs:
        return []
    large, small = pairs[rng.integers(len(pairs))]
    first, second, answer = (large, small, "yes") if rng.random() < 0.5 else (small, large, "no")
    return [Question(f"Is there more {land.classes[first].name} than {land.classes[second].name}?", answer, "comparison")]


def _countings(land: LandMap) -> list[tuple[str, int]]:
    """Questions for a number, with the number."""
    counts = [(class_id, len(land.objects_of(class_id))) for class_id in sorted(land.countable)]
    return [(f"How many {land.classes[class_id].plural} are there?", count) for class_id, count in counts if count <= LARGEST_COUNT]


def _choices(land: LandMap, rng: np.random.Generator, *, options: QuestionOptions) -> list[Choice]:
    present, absent = land.present(options.min_area), land.absent
    choices = []
    if land.majority is not None:
        others = [class_id for class_id in land.classes if class_id != land.majority]
        choices += _class_choices(MOST_TEXT, land, right=[land.majority], wrong=others, rng=rng, kind="scene_classification")
    choices += _class_choices("Which of these is in the image?", land, right=present, wrong=absent, rng=rng, kind="object_existence")
    choices += _class_choices(
        "Which of these is not in the image?", land, right=absent, wrong=present, rng=rng, kind="hallucination_detection"
    )
    for text, count in _countings(land):
        wrong = [str(number) for number in range(LARGEST_COUNT + 1) if number != count]
        choices.append(_choice(text, str(count), wrong=wrong, rng=rng, kind="object_counting"))
    for text, direction in _directions(land, options=options):
        wrong = [name for name in DIRECTIONS if name != direction]
        choices.append(_choice(text, direction, wrong=wrong, rng=rng, kind="spatial_relationship"))
    return choices


def _directions(land: LandMap, *, options: QuestionOptions) -> list[tuple[str, str]]:
    """Questions for the direction in which a class lies, with the direction."""
    directions = []
    for class_id in land.areas:
        mask = land.class_map == class_id
        direction = direction_of(mask) if can_point(mask, land, options=options) else None
        if direction is not None:
            directions.append((f"Where is the {land.classes[class_id].name}?", direction))
    return directions


def _class_choices(text: str, land: LandMap, *, right: list[int], wrong: list[int], rng: np.random.Generator, kind: str) -> list[Choice]:
    """A question for each right class, in random order: that one and three wrong ones; none where there are too few."""
    if len(wrong) < NUM_CANDIDATES - 1:
        return []
    names = [land.classes[class_id].name for class_id in wrong]
    return [_choice(text, land.classes[int(class_id)].name, wrong=names, rng=rng, kind=kind) for class_id in rng.permutation(right)]


def _choice(text: str, answer: str, *, wrong: list[str], rng: np.random.Generator, kind: str) -> Choice:
    candidates = [answer, *rng.permutation(wrong)[: NUM_CANDIDATES - 1]]
    return Choice(text, tuple(str(name) for name in rng.permutation(candidates)), answer, kind)
