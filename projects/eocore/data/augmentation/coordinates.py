"""Points, boxes and polygons written as numbers in a text: found, and moved with the image."""

import re
from collections.abc import Callable, Sequence

from eocore.data.augmentation.unsafe_words import UnsafeWordsError
from eocore.sensors.orientation import Turn

Point = tuple[float, float]
"""x, y as fractions of the image's width and height."""
Move = Callable[[Point], Point]

_N = r"[-+]?\d+(?:\.\d+)?"
_ANGLED = re.compile(rf"(?P<numbers>(?:<{_N}>\s*,?\s*){{2,}})(?:\|\s*<(?P<angle>{_N})>)?")
_PAIR_OF_POINTS = re.compile(rf"\(\s*(?P<a>{_N}\s*,\s*{_N})\s*\)\s*,\s*\(\s*(?P<b>{_N}\s*,\s*{_N})\s*\)(?!\s*,\s*\()")
_GROUP = re.compile(rf"[\[(]\s*(?P<numbers>{_N}(?:\s*[,;]\s*{_N})+)\s*[\])]")
_UNKNOWN = re.compile(
    rf"<loc_?\d|\b[xy](?:_?(?:min|max)|\d)?\s*[:=]\s*{_N}|\{{\s*{_N}(?:\s*[,;]\s*{_N})+|\bb?box\b\s*[:=]?\s*{_N}", re.IGNORECASE
)
_NUMBER = re.compile(_N)
_HALF_TURN_DEG = 180.0
NUM_BOX, NUM_POINT = 4, 2


def find_coordinates(text: str) -> str:
    """The first group of numbers of a text that may be coordinates; "" where there is none."""
    found = next((match for pattern in (_ANGLED, _GROUP, _UNKNOWN) if (match := pattern.search(text))), None)
    return found[0] if found else ""


def without_coordinates(text: str) -> str:
    """The text without its groups of numbers."""
    return _GROUP.sub(" ", _ANGLED.sub(" ", text))


def turn_point(turn: Turn) -> Move:
    """Where a point lies after the turn."""

    def move(point: Point) -> Point:
        x, y = (point[1], point[0]) if turn.transpose else point
        return (1 - x if turn.reverse_cols else x), (1 - y if turn.reverse_rows else y)

    return move


def move_coordinates(text: str, move: Move, *, scale: Point, mirrored: bool = False) -> str:
    """The text with its coordinates moved; boxes keep x0 < x1 and y0 < y1, numbers their decimals.

    Args:
        text: groups in brackets, as [x0, y0, x1, y1], (x, y), (x0, y0), (x1, y1), {<x0><y0><x1><y1>|<angle>} or polygons.
        move: from a point before to the point after.
        scale: what x and y are fractions of: (1000, 1000), (1, 1), or width and height in pixels.
        mirrored: whether angles [degrees] change their sense.

    Raises:
        UnsafeWordsError: numbers of another form, beyond the scale, or moved out of the image.
    """
    unknown = _UNKNOWN.search(text)
    if unknown:
        raise UnsafeWordsError(f"'{unknown[0]}' may be coordinates of a form that is not known")
    text = _ANGLED.sub(lambda found: _moved_angled(found, move, scale=scale, mirrored=mirrored), text)
    text = _PAIR_OF_POINTS.sub(lambda found: _moved_group(found[0], move, scale=scale), text)
    pairs = [match.span() for match in _PAIR_OF_POINTS.finditer(text)]

    def moved(found: re.Match[str]) -> str:
        inside = any(start <= found.start() < end for start, end in pairs)
        return found[0] if inside else _moved_group(found[0], move, scale=scale)

    return _GROUP.sub(moved, text)


def _moved_angled(found: re.Match[str], move: Move, *, scale: Point, mirrored: bool) -> str:
    moved = _moved_group(found["numbers"], move, scale=scale)
    if found["angle"] is None:
        return moved
    angle = float(found["angle"])
    turned = (_HALF_TURN_DEG - angle) % _HALF_TURN_DEG if mirrored else angle
    return moved + found[0][found.end("numbers") - found.start() :].replace(found["angle"], _written(turned, like=found["angle"]))


def _moved_group(group: str, move: Move, *, scale: Point) -> str:
    """A group of numbers, each exchanged for its moved value."""
    numbers = _NUMBER.findall(group)
    if len(numbers) % 2:
        raise UnsafeWordsError(f"'{group}' has {len(numbers)} numbers, which are no points x, y")
    points = [_fraction(numbers[at : at + 2], scale=scale, group=group) for at in range(0, len(numbers), 2)]
    moved = [move(point) for point in points]
    if any(not -1e-9 <= value <= 1 + 1e-9 for point in moved for value in point):
        raise UnsafeWordsError(f"'{group}' leaves the image")
    if len(numbers) == NUM_BOX:
        (x0, y0), (x1, y1) = moved
        moved = [(min(x0, x1), min(y0, y1)), (max(x0, x1), max(y0, y1))]
    values = [value * factor for point in moved for value, factor in zip(point, scale, strict=True)]
    fresh = iter(_written(value, like=like) for value, like in zip(values, numbers, strict=True))
    return _NUMBER.sub(lambda _: next(fresh), group)


def _fraction(pair: Sequence[str], *, scale: Point, group: str) -> Point:
    x, y = float(pair[0]) / scale[0], float(pair[1]) / scale[1]
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise UnsafeWordsError(f"'{group}' lies beyond 0 to {scale[0]:g} and {scale[1]:g}")
    return x, y


def _written(value: float, *, like: str) -> str:
    """A number with as many decimals as another, and as many leading zeros."""
    decimals = len(like.partition(".")[2])
    text = f"{round(value, decimals) + 0.0:.{decimals}f}"
    return text.zfill(len(like)) if like.startswith("0") and len(like) > 1 and not decimals else text
