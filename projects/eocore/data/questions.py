"""Questions, answers and pointing phrases a class map can answer: short sentences in few words.

Used alike by the synthetic world and by the preparation of land-cover tiles. Everything here is a pure function of the map and the
random generator; nothing is asked whose answer would be a matter of taste (near ties, classes of a few pixels).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

DIRECTIONS = ("north", "south", "east", "west")
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LARGEST_COUNT = 4
"""Counts above are not asked for."""
CLEAR_LEAD = 1.3
"""How many times larger an area must be to be called larger."""
OFF_CENTRE = 0.17
"""Distance of a centroid from the image centre [image sides] from which on it lies in a direction..."""
CLEAR_DIRECTION = 1.7
"""...if it lies that many times further off along one axis than along the other."""
NUM_CANDIDATES = 4


@dataclass(frozen=True)
class LandClass:
    """How a class is spoken of.

    Attributes:
        name: as answer and in "the {name}", e.g. "water".
        noun: one object of it, e.g. "lake"; empty where single objects mean nothing.
        plural: several of them, e.g. "lakes".
        countable: whether "How many {plural} are there?" is asked.
    """

    name: str
    noun: str = ""
    plural: str = ""
    countable: bool = False


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
        min_area: smallest share of the image a class or object must cover to be asked for.
        max_area: largest share a phrase may point at (1 = all).
        object_share: share of the phrases that name a single object ("the lake in the north") and not a class ("the water").
        min_visible, min_hidden: under clouds, smallest shares of a phrase's pixels that must lie clear and covered.
        questions: open questions per scene; choices: multiple-choice questions per scene.
    """

    min_area: float = 0.015
    max_area: float = 0.6
    object_share: float = 0.25
    min_visible: float = 0.2
    min_hidden: float = 0.35
    questions: int = 4
    choices: int = 3


@dataclass(frozen=True)
class Phrase:
    """A phrase and the (H, W) bool mask it points at; `kind` is "class" or "object"."""

    text: str
    mask: np.ndarray
    kind: str
    class_id: int


@dataclass(frozen=True)
class Question:
    """An open question and its short answer; `kind` is "presence", "comparison", "majority" or "count"."""

    text: str
    answer: str
    kind: str


@dataclass(frozen=True)
class Choice:
    """A question with four candidates; `task_type` is one of EarthMind-Bench's."""

    text: str
    candidates: tuple[str, ...]
    answer: str
    task_type: str


@dataclass(frozen=True)
class Region:
    """An (H, W) bool mask and what it shows."""

    mask: np.ndarray
    description: str


@dataclass(frozen=True)
class Questions:
    """All that is asked about one scene."""

    phrases: tuple[Phrase, ...]
    questions: tuple[Question, ...]
    choices: tuple[Choice, ...]
    captions: tuple[str, ...]
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Landscape:
    """What the questions are asked about.

    Attributes:
        class_map: (H, W) integer; values without an entry in `classes` are no data and never asked for.
        classes: how each class is spoken of.
        objects: (H, W) integer, number of the object each pixel belongs to, 0 = none.
        nouns: another noun than the class's own for single objects, by number.
        visible: (H, W) bool, the pixels the optical image shows; None = all.
    """

    class_map: np.ndarray
    classes: Mapping[int, LandClass]
    objects: np.ndarray
    nouns: Mapping[int, str] = field(default_factory=dict)
    visible: np.ndarray | None = None

    def areas(self) -> dict[int, float]:
        """Share of the image by class, largest first; only classes that occur."""
        values, counts = np.unique(self.class_map, return_counts=True)
        areas = {int(value): count / self.class_map.size for value, count in zip(values, counts, strict=True) if int(value) in self.classes}
        return dict(sorted(areas.items(), key=lambda item: -item[1]))

    def objects_of(self, class_id: int) -> list[int]:
        """Numbers of the objects of a class."""
        return [int(number) for number in np.unique(self.objects[self.class_map == class_id]) if number]

    def noun(self, number: int, class_id: int) -> str:
        """What one object is called, empty where the class has no word for it."""
        return self.nouns.get(number, self.classes[class_id].noun)


def describe_landscape(landscape: Landscape, rng: np.random.Generator, *, options: Options = Options()) -> Questions:
    """Phrases, questions, choices, captions and regions for one scene, a pure function of its arguments."""
    return Questions(
        phrases=tuple(_phrases(landscape, rng, options)),
        questions=tuple(_draw(_open_questions(landscape, rng, options), options.questions, rng)),
        choices=tuple(_draw(_choices(landscape, rng, options), options.choices, rng)),
        captions=(caption(landscape, options.min_area),),
        regions=tuple(_regions(landscape, options)),
    )


def direction_of(mask: np.ndarray) -> str | None:
    """The direction from the image centre in which a mask lies, None where that is not clear.

    Clear: its centroid is well off the centre, mainly along one axis, and four fifths of it lie on that side.
    """
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    down, right = (rows.mean() + 0.5) / height - 0.5, (columns.mean() + 0.5) / width - 0.5
    vertical = abs(down) > abs(right)
    offset = down if vertical else right
    main, other = max(abs(down), abs(right)), min(abs(down), abs(right))
    if main < OFF_CENTRE or main < CLEAR_DIRECTION * other:
        return None
    place = (rows + 0.5) / height - 0.5 if vertical else (columns + 0.5) / width - 0.5
    if np.mean(place * np.sign(offset) > 0) < 0.8:
        return None
    if vertical:
        return "south" if offset > 0 else "north"
    return "east" if offset > 0 else "west"


def caption(landscape: Landscape, min_area: float) -> str:
    """One sentence that names the classes by area: "The scene shows mostly grass with a lake and two buildings."."""
    areas = [class_id for class_id, area in landscape.areas().items() if area >= min_area]
    if not areas:
        return "The scene shows nothing clear."
    head = f"The scene shows mostly {landscape.classes[areas[0]].name}"
    rest = [_amount(landscape, class_id) for class_id in areas[1:]]
    if not rest:
        return f"{head}."
    listed = rest[0] if len(rest) == 1 else f"{', '.join(rest[:-1])} and {rest[-1]}"
    return f"{head} with {listed}."


def _amount(landscape: Landscape, class_id: int) -> str:
    """A class with its number where it is countable: "two buildings"; else its name."""
    land_class, numbers = landscape.classes[class_id], landscape.objects_of(class_id)
    if not land_class.countable or not 0 < len(numbers) < len(NUMBER_WORDS):
        return land_class.name
    return f"{NUMBER_WORDS[len(numbers)]} {land_class.noun if len(numbers) == 1 else land_class.plural}"


def _draw(items: list, number: int, rng: np.random.Generator) -> list:
    """Up to `number` of the items, each kind alike: kinds are taken in turn, in random order."""
    kinds: dict[str, list] = {}
    for index in rng.permutation(len(items)):
        item = items[index]
        kinds.setdefault(item.task_type if isinstance(item, Choice) else item.kind, []).append(item)
    drawn: list = []
    while len(drawn) < min(number, len(items)):
        for name in list(kinds):
            drawn.append(kinds[name].pop())
            if not kinds[name]:
                del kinds[name]
    return drawn[:number]


def _can_point(mask: np.ndarray, landscape: Landscape, options: Options) -> bool:
    """Whether a mask has a fit size and, under clouds, both a clear and a covered part."""
    area = mask.mean()
    if not options.min_area <= area <= options.max_area:
        return False
    if landscape.visible is None:
        return True
    clear = landscape.visible[mask].mean()
    return bool(options.min_visible <= clear <= 1 - options.min_hidden)


def _phrases(landscape: Landscape, rng: np.random.Generator, options: Options) -> list[Phrase]:
    of_classes = [
        Phrase(f"the {landscape.classes[class_id].name}", landscape.class_map == class_id, "class", class_id)
        for class_id in landscape.areas()
    ]
    of_objects = [phrase for class_id in landscape.areas() for phrase in _object_phrases(landscape, class_id)]
    of_classes = [phrase for phrase in of_classes if _can_point(phrase.mask, landscape, options)]
    of_objects = [phrase for phrase in of_objects if _can_point(phrase.mask, landscape, options)]
    wanted = len(of_classes) * options.object_share / max(1 - options.object_share, 1e-6) if options.object_share < 1 else len(of_objects)
    number = min(int(wanted + rng.random()), len(of_objects))
    chosen = [of_objects[index] for index in rng.permutation(len(of_objects))[:number]]
    return (of_classes if options.object_share < 1 else []) + chosen


def _object_phrases(landscape: Landscape, class_id: int) -> list[Phrase]:
    """Phrases that fit exactly one object of a class: by direction, or by size."""
    masks = {number: landscape.objects == number for number in landscape.objects_of(class_id) if landscape.noun(number, class_id)}
    directions = {number: direction_of(mask) for number, mask in masks.items()}
    phrases = []
    for noun in sorted({landscape.noun(number, class_id) for number in masks}):
        alike = [number for number in masks if landscape.noun(number, class_id) == noun]
        for number in alike:
            direction = directions[number]
            if direction and sum(_reaches(masks[other], direction) for other in alike) == 1:
                phrases.append(Phrase(f"the {noun} in the {direction}", masks[number], "object", class_id))
        largest = _largest([int(masks[number].sum()) for number in alike])
        if largest is not None and len(alike) > 1:
            phrases.append(Phrase(f"the largest {noun}", masks[alike[largest]], "object", class_id))
    return phrases


def _reaches(mask: np.ndarray, direction: str) -> bool:
    """Whether a mask's centroid lies on that side of the centre at all: then another object "in the {direction}" would be ambiguous."""
    rows, columns = np.nonzero(mask)
    down, right = (rows.mean() + 0.5) / mask.shape[0] - 0.5, (columns.mean() + 0.5) / mask.shape[1] - 0.5
    offset = {"north": -down, "south": down, "east": right, "west": -right}[direction]
    return bool(offset > 0.05)


def _largest(sizes: list[int]) -> int | None:
    """Index of the size that clearly leads, None without one."""
    order = np.argsort(sizes)[::-1]
    if len(sizes) == 0 or (len(sizes) > 1 and sizes[order[0]] < CLEAR_LEAD * sizes[order[1]]):
        return None
    return int(order[0])


def _asked_classes(landscape: Landscape, options: Options) -> tuple[list[int], list[int]]:
    """Classes that are clearly in the image, and classes of which there is not one pixel."""
    areas = landscape.areas()
    return [c for c, area in areas.items() if area >= options.min_area], [c for c in landscape.classes if c not in areas]


def _open_questions(landscape: Landscape, rng: np.random.Generator, options: Options) -> list[Question]:
    present, absent = _asked_classes(landscape, options)
    names = {class_id: land_class.name for class_id, land_class in landscape.classes.items()}
    asked = _balanced(present, absent, rng)
    questions = [Question(f"Is there {names[c]} in the image?", "yes" if c in present else "no", "presence") for c in asked]
    questions += _comparisons(landscape, rng, options)
    majority = _majority(landscape)
    if majority is not None:
        questions.append(Question("What covers most of the image?", names[majority], "majority"))
    for class_id, count in _counts(landscape):
        questions.append(Question(f"How many {landscape.classes[class_id].plural} are there?", str(count), "count"))
    return questions


def _balanced(present: list[int], absent: list[int], rng: np.random.Generator) -> list[int]:
    """As many present as absent classes, at least one where there is one; an odd one out is drawn by chance."""
    number = min(len(present), len(absent))
    if number == 0:
        return []
    return [int(c) for c in rng.permutation(present)[:number]] + [int(c) for c in rng.permutation(absent)[:number]]


def _comparisons(landscape: Landscape, rng: np.random.Generator, options: Options) -> list[Question]:
    """One question whether there is more of one class than of another, "yes" and "no" alike often."""
    areas, (present, _) = landscape.areas(), _asked_classes(landscape, options)
    pairs = [(large, small) for i, large in enumerate(present) for small in present[i + 1 :] if areas[large] >= CLEAR_LEAD * areas[small]]
    if not pairs:
        return []
    large, small = pairs[rng.integers(len(pairs))]
    first, second, answer = (large, small, "yes") if rng.random() < 0.5 else (small, large, "no")
    names = landscape.classes
    return [Question(f"Is there more {names[first].name} than {names[second].name}?", answer, "comparison")]


def _majority(landscape: Landscape) -> int | None:
    """The class that covers clearly more than every other."""
    areas = list(landscape.areas().items())
    if not areas or (len(areas) > 1 and areas[0][1] < CLEAR_LEAD * areas[1][1]):
        return None
    return areas[0][0]


def _counts(landscape: Landscape) -> list[tuple[int, int]]:
    counts = [(c, len(landscape.objects_of(c))) for c, land_class in landscape.classes.items() if land_class.countable]
    return [(class_id, count) for class_id, count in counts if count <= LARGEST_COUNT]


def _choices(landscape: Landscape, rng: np.random.Generator, options: Options) -> list[Choice]:
    present, absent = _asked_classes(landscape, options)
    choices = []
    majority = _majority(landscape)
    if majority is not None:
        others = [c for c in landscape.classes if c != majority]
        choices.append(_class_choice("What covers most of the image?", majority, others, landscape, rng, task_type="scene_classification"))
    if present and len(absent) >= NUM_CANDIDATES - 1:
        answer = int(rng.choice(present))
        choices.append(_class_choice("Which of these is in the image?", answer, absent, landscape, rng, task_type="object_existence"))
    if absent and len(present) >= NUM_CANDIDATES - 1:
        answer = int(rng.choice(absent))
        choices.append(
            _class_choice("Which of these is not in the image?", answer, present, landscape, rng, task_type="hallucination_detection")
        )
    for class_id, count in _counts(landscape):
        wrong = [str(n) for n in range(LARGEST_COUNT + 1) if n != count]
        candidates = _shuffled([str(count), *rng.permutation(wrong)[: NUM_CANDIDATES - 1]], rng)
        choices.append(Choice(f"How many {landscape.classes[class_id].plural} are there?", candidates, str(count), "object_counting"))
    return choices + _places(landscape, rng, options)


def _class_choice(text: str, answer: int, others: list[int], landscape: Landscape, rng: np.random.Generator, *, task_type: str) -> Choice:
    picked = [answer, *(int(c) for c in rng.permutation(others)[: NUM_CANDIDATES - 1])]
    names = [landscape.classes[class_id].name for class_id in picked]
    return Choice(text, _shuffled(names, rng), names[0], task_type)


def _places(landscape: Landscape, rng: np.random.Generator, options: Options) -> list[Choice]:
    """Where a class lies, for every class of fit size that lies clearly in one direction."""
    places = []
    for class_id in landscape.areas():
        mask = landscape.class_map == class_id
        direction = direction_of(mask) if _can_point(mask, landscape, options) else None
        if direction is not None:
            text = f"Where is the {landscape.classes[class_id].name}?"
            places.append(Choice(text, _shuffled(list(DIRECTIONS), rng), direction, "spatial_relationship"))
    return places


def _shuffled(items: list[str], rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(str(item) for item in rng.permutation(items))


def _regions(landscape: Landscape, options: Options) -> list[Region]:
    """Every object that may be pointed at, with its class."""
    regions = []
    for class_id in landscape.areas():
        for number in landscape.objects_of(class_id):
            mask = (landscape.objects == number) & (landscape.class_map == class_id)
            if _can_point(mask, landscape, options):
                regions.append(Region(mask, landscape.classes[class_id].name))
    return regions
