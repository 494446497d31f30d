"""Boxes in answers and annotations, in every form that models and files write them. docs/scoring.md has the forms as a table."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eocore.evaluate.metrics.boxes import Box
from eocore.evaluate.scoring.parsing.text import said

_N = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
_APART = r"[\s,;]+"
_ANGLED = re.compile(rf"(\{{\s*)?((?:<\s*{_N}\s*>\s*,?\s*){{4,}})(?:\|\s*<?\s*({_N})\s*>?)?")
_LOCATED = re.compile(r"(?:<loc_?\d+>[\s,]*){4,8}")
_GROUP = re.compile(rf"([\[({{])\s*({_N}(?:{_APART}{_N})*)\s*[,;]?\s*(?:\|\s*({_N})\s*)?[\])}}]")
_TAGGED = re.compile(rf"<(?:box|bbox|\|box_start\|)>\s*({_N}(?:{_APART}{_N}){{3,7}})\s*</?(?:box|bbox|\|box_end\|)>", re.IGNORECASE)
_BARE = re.compile(rf"(?<![\w.,:-])({_N}(?:\s*[,;]\s*{_N}|\s+{_N})*)(?![\w%]|\.\d)")
_NAMED = re.compile(
    rf"(?<![a-z])([xy](?:[_ ]?(?:min|max|[012]))?|left|top|right|bottom|width|height|w|h)\W{{0,3}}[:=]\W{{0,3}}?({_N})", re.IGNORECASE
)
_BETWEEN_CORNERS = re.compile(
    r"\s*(?:,|;|-|\u2013|to|and|x)?\s*"
    r"|\s*(?:,|;)?\s*(?:and |to )?(?:the |its )?(?:bottom|lower)[\s-]*right(?: corner)?(?: (?:is|at|is at|of))?\s*[:=]?\s*",
    re.IGNORECASE,
)
_BOX_KEYS = (
    "bbox_2d", "bbox", "bboxes", "box", "boxes", "box_2d", "bounding_box", "bounding_boxes", "boundingbox", "bbox2d", "obb", "rbox", "hbb",
    "polygon", "points", "coordinates", "coords", "location", "position", "quad",
)  # fmt: skip
_CORNER_KEYS = (
    ("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)  # fmt: skip
_SIZE_KEYS = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_PAIR_KEYS = (("top_left", "bottom_right"), ("topleft", "bottomright"), ("upper_left", "lower_right"), ("min", "max"))
_ANGLE_KEYS = ("angle", "theta", "rotation", "degrees")
_TEXT_KEYS = ("answer", "response", "result", "prediction", "output", "text", "content")
_OTHER_KEYS = re.compile(
    r"labels?|scores?|conf(?:idence)?s?|prob(?:abilit(?:y|ies))?|class(?:es|_?ids?|_?names?)?|categor(?:y|ies)(?:_ids?)?|ids?|area|count|num\w*"
    r"|size|image_?size|image_?(?:width|height)|width|height|attributes?|descriptions?|reason\w*|scale|colou?rs?|phrase|question|type"
)
_KEYED_START = re.compile(rf"[\"'](?:{'|'.join(_BOX_KEYS)})[\"']\s*:\s*(?=[\[{{\"'])", re.IGNORECASE)
_JSON_LIKE = re.compile(r"```|[\[{]\s*[{\"']|[\"']\s*:\s*\[")
_TRAILING_COMMA = re.compile(r",\s*([\]}])")
_UNIT = re.compile(r"(?<=\d)\s?(?:%|(?:px|pixels?)\b)", re.IGNORECASE)
_JSON_START = re.compile(r"[\[{]\s*(?=[\[{\"']|[-+.\d])")
MAX_NUMBER = 1e7
"""No coordinate of an image is beyond it."""
_LONGEST_NUMBER = 40


@dataclass(frozen=True)
class ReadBoxes:
    """The boxes of a text in order, each of 4, 5 or 8 numbers; `malformed`: it holds JSON that cannot be decoded, as one cut off."""

    numbers: tuple[tuple[float, ...], ...]
    malformed: bool = False

    @property
    def boxes(self) -> list[Box]:
        """As boxes."""
        return [Box.of(numbers) for numbers in self.numbers]


Numbers = list[float]


def read_boxes(text: str) -> ReadBoxes:
    """The boxes a text gives.

    The first form that is there counts: <10><20><30><40>, <box> tags, JSON (objects with a key such as bbox_2d, or lists), groups in
    brackets, corners named x1, y1, x2, y2, and a run of four (or eight) numbers without words in between. A box has four numbers
    (x0, y0, x1, y1), five with an angle in degrees, or eight (four corners). Numbers in labels, scores and sentences are none of it.
    """
    bare = _UNIT.sub("", said(text))
    found = _angled(bare) or _tagged(bare)
    if found:
        return _as_read(found, malformed=False)
    values, malformed = _json_values(bare)
    found = boxes_of_value(values)
    if malformed and not found:
        found = _keyed_groups(bare)
    if not found and not any(map(_has_names, values)):
        found = _grouped(bare) or _named(bare) or _runs(bare)
    return _as_read(found, malformed=malformed)


def parse_boxes(text: str) -> list[Box]:
    """The boxes of `read_boxes`."""
    return read_boxes(text).boxes


def boxes_of_value(value: Any) -> list[Numbers]:
    """The boxes in decoded JSON, or in lists of numbers, however deep they lie."""
    try:
        return list(_walk(value, keyed=False))
    except RecursionError:
        return []


def is_one_box(value: Sequence[Any]) -> bool:
    """Whether a list is itself a box: 4, 5 or 8 numbers, or two or four pairs."""
    return _flat_corners(value) is not None


def _as_read(found: Sequence[Numbers], *, malformed: bool) -> ReadBoxes:
    return ReadBoxes(tuple(map(tuple, found)), malformed)


def _has_names(value: Any) -> bool:
    """Whether decoded JSON is an object, or a list that holds one: its numbers have names, and none of them was that of a box."""
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value))


def _walk(value: Any, *, keyed: bool, angle: float | None = None) -> Iterator[Numbers]:
    if isinstance(value, Mapping):
        yield from _of_mapping({str(key).casefold(): item for key, item in value.items()})
    elif isinstance(value, list | tuple):
        numbers = _flat_corners(value)
        if numbers is not None:
            yield from _box(numbers if angle is None or len(numbers) != 4 else [*numbers, angle])
        else:
            for item in value:
                yield from _walk(item, keyed=keyed, angle=angle)
    elif isinstance(value, str) and keyed:
        yield from map(list, read_boxes(value).numbers)


def _of_mapping(entry: Mapping[str, Any]) -> Iterator[Numbers]:
    angle = next((value for key in _ANGLE_KEYS if (value := _as_number(entry.get(key))) is not None), None)
    named = _of_named_corners(entry)
    if named is not None:
        yield from _box(named if angle is None else [*named, angle])
        return
    keys = [key for key in entry if key.replace(" ", "_") in _BOX_KEYS]
    for key in keys or [key for key in entry if not _OTHER_KEYS.fullmatch(key) and key not in _ANGLE_KEYS]:
        is_own = bool(keys) or key in _TEXT_KEYS
        yield from _walk(entry[key], keyed=is_own, angle=angle if keys else None)


def _of_named_corners(entry: Mapping[str, Any]) -> list[float] | None:
    """x0, y0, x1, y1 of an object whose keys are those of corners, or of a corner and the size, in any order."""
    for keys in (*_CORNER_KEYS, *_SIZE_KEYS):
        numbers = [value for key in keys if (value := _as_number(entry.get(key))) is not None]
        if len(numbers) == 4:
            is_size = keys in _SIZE_KEYS
            return [*numbers[:2], numbers[0] + numbers[2], numbers[1] + numbers[3]] if is_size else numbers
    named = {key.replace("-", "_").replace(" ", "_"): value for key, value in entry.items()}
    corners = ([_point(named.get(key)) for key in keys] for keys in _PAIR_KEYS)
    return next(([*near, *far] for near, far in corners if near and far), None)


def _point(value: Any) -> list[float] | None:
    """x and y of [x, y] or {"x": x, "y": y}."""
    pair = [value.get("x"), value.get("y")] if isinstance(value, Mapping) else value
    numbers = [_as_number(item) for item in pair] if isinstance(pair, list | tuple) and len(pair) == 2 else []
    found = [number for number in numbers if number is not None]
    return found if len(found) == 2 else None


def _flat_corners(value: Sequence[Any]) -> list[float] | None:
    """The numbers of a list of 4, 5 or 8, or of one of two or four pairs; None for any other list."""
    numbers = [number for item in value if (number := _as_number(item)) is not None]
    if len(numbers) == len(value) and len(value) in (4, 5, 8):
        return _without_score(numbers)
    pairs = [_point(item) for item in value if isinstance(item, list | tuple)]
    found = [pair for pair in pairs if pair is not None]
    return [number for pair in found for number in pair] if len(found) == len(value) and len(value) in (2, 4) else None


def _without_score(numbers: list[float]) -> list[float]:
    """Of five numbers the last is a score where it lies between 0 and 1, else an angle in degrees."""
    return numbers[:4] if len(numbers) == 5 and 0 < numbers[4] < 1 else numbers


def _as_number(value: Any) -> float | None:
    """A number, also one written as text ("10"); None for anything else."""
    if isinstance(value, str) and len(value) < _LONGEST_NUMBER and re.fullmatch(_N, value.strip()):
        value = float(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER
    return float(value) if is_number else None


def _box(numbers: Sequence[float]) -> list[Numbers]:
    """One box of 4, 5 or 8 finite numbers, else none."""
    fits = len(numbers) in (4, 5, 8) and all(math.isfinite(number) and abs(number) < MAX_NUMBER for number in numbers)
    return [list(numbers)] if fits else []


def _json_values(text: str) -> tuple[list[Any], bool]:
    """(values of the JSON in a text, whether there is JSON that cannot be decoded); text around and between them is passed over."""
    values: list[Any] = []
    decoder, position = json.JSONDecoder(), 0
    start = _JSON_START.search(text)
    while start is not None:
        try:
            value, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            return _json_again(text, values)
        values.append(value)
        start = _JSON_START.search(text, position)
    return values, False


def _json_again(text: str, values: list[Any]) -> tuple[list[Any], bool]:
    """Where a first bracket begins no JSON: from the first object on, or with single quotes as Python writes them."""
    objects = re.search(r"[\[{]\s*(?:\{\s*)?[\"']", text)
    if objects is None:
        return [], False
    rest = text[objects.start() :]
    for candidate in (rest, _TRAILING_COMMA.sub(r"\1", rest.replace("'", '"') if '"' not in rest else rest)):
        try:
            return [json.JSONDecoder().raw_decode(candidate)[0]], False
        except (ValueError, RecursionError):
            continue
    return values, _JSON_LIKE.search(text) is not None


def _keyed_groups(text: str) -> list[Numbers]:
    """Of broken JSON the whole boxes behind a key that names them; without such a key none, as its numbers may be anything."""
    found = []
    for key in _KEYED_START.finditer(text):
        position = key.end()
        while (group := re.compile(rf"[\s,\[]*?(\[\s*{_N}(?:\s*,\s*{_N}){{3,7}}\s*\])").match(text, position)) is not None:
            found += _box(_numbers(group[1]))
            position = group.end()
    return found


def _angled(text: str) -> list[Numbers]:
    """{<12><30><40><55>|<90>}: in braces four numbers or the eight of corners, without them four each."""
    found: list[Numbers] = []
    for match in _ANGLED.finditer(text):
        numbers, angle = _numbers(match[2]), [float(match[3])] if match[3] else []
        if match[1] and len(numbers) == 8:
            found += _box(numbers)
        elif len(numbers) % 4 == 0:
            fours = [numbers[index : index + 4] for index in range(0, len(numbers), 4)]
            found += [box for four in fours[:-1] for box in _box(four)] + _box([*fours[-1], *angle])
    for match in _LOCATED.finditer(text):
        found += _box(_numbers(match[0].replace("loc", "").replace("_", "")))
    return found


def _tagged(text: str) -> list[Numbers]:
    return [box for match in _TAGGED.finditer(text) for box in _box(_numbers(match[1]))]


def _grouped(text: str) -> list[Numbers]:
    """Groups in brackets that hold numbers alone; two pairs next to each other, (12, 30), (40, 55), are one box."""
    found: list[Numbers] = []
    pair: tuple[list[float], int] | None = None
    for group in _GROUP.finditer(text):
        numbers = _numbers(group[2])
        if len(numbers) == 2:
            if pair is not None and _BETWEEN_CORNERS.fullmatch(text, pair[1], group.start()):
                found += _box([*pair[0], *numbers])
                pair = None
            else:
                pair = (numbers, group.end())
            continue
        pair = None
        if len(numbers) == 4 and group[3]:
            numbers.append(float(group[3]))
        found += _box(numbers if group[3] else _without_score(numbers))
    return found


def _named(text: str) -> list[Numbers]:
    """x1=10, y1=20, x2=30, y2=40 and the like, four at a time, in the order that the names say."""
    named = [(re.sub(r"[_ ]", "", match[1].casefold()), float(match[2])) for match in _NAMED.finditer(text)]
    found: list[Numbers] = []
    position = 0
    while position + 4 <= len(named):
        four = named[position : position + 4]
        numbers = _of_named_corners(dict(four)) or ([number for _, number in four] if "".join(name for name, _ in four) == "xyxy" else None)
        found += _box(numbers) if numbers else []
        position += 4 if numbers else 1
    return found


def _runs(text: str) -> list[Numbers]:
    """A run of exactly four or eight numbers with nothing but commas and spaces between them: the first of every line, else of the text."""
    if _JSON_LIKE.search(text):
        return []
    by_line = [box for line in text.splitlines() for box in _first_run(line)]
    return by_line or _first_run(text)


def _first_run(text: str) -> list[Numbers]:
    runs = (_numbers(match[1]) for match in _BARE.finditer(text))
    return next((_box(numbers) for numbers in runs if len(numbers) in (4, 8)), [])


def _numbers(text: str) -> Numbers:
    """All numbers of a text of numbers."""
    return [float(number) for number in re.findall(_N, text)]
