"""Where things lie in the synthetic world: a class map, its objects, and the clouds above them.

Lengths are fractions of the image side, areas fractions of the image, unless a name says px.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, label

WATER, FOREST, CROPS, BUILDINGS, BARE, GRASS = 1, 2, 3, 4, 5, 6
TURF, BURNT, SNOW, SALT = 7, 8, 9, 10
"""Classes of single chips alone (`chips.py`); no landscape has them."""

DARK_PAIR = (WATER, BARE)
"""Alike in SAR (both smooth, little comes back), unlike in the optical."""
BRIGHT_PAIR = (FOREST, CROPS)
"""Alike in SAR (both scatter in their volume), unlike in the optical."""

KINDS = {"grass": 0.18, "coast": 0.24, "forest": 0.18, "crops": 0.18, "bare": 0.22}
"""Fractions of the kinds of scene, such that each class but the built area is about equally often the one that covers most."""
BOTH_PAIRS = 0.7
PAIR_BROKEN = 0.2
"""Fraction of the pairs of which only one class is drawn: otherwise knowing one class would tell of the other."""
SECOND_OBJECT = 0.3

HIDDEN = (0.45, 0.7)
"""Fraction of an object under the clouds: enough to lose its outline, too little to lose its name."""
COVER = (0.4, 0.65)
"""Fraction of a cloudy image under the clouds."""
CLOUD_TRIES = 8

GAP_PX = 3
"""Between objects, so that two of a like backscatter stay two shapes in SAR."""
LARGEST_COUNT = 4
"""Most buildings in a scene; 0..4 are equally frequent."""
PLACING_TRIES = 25
KEPT_FRACTION = 0.65
"""An object that has to give way to its neighbours by more than the rest is put elsewhere."""


@dataclass(frozen=True)
class Layout:
    """The ground of one scene.

    Attributes:
        class_map: (H, W) uint8, the class of each pixel.
        objects: (H, W) int32, 0 = background, else the object's number from 1.
        nouns: what one object of this number is called, by number.
    """

    class_map: np.ndarray
    objects: np.ndarray
    nouns: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Plan:
    """One object to place: its class, its shape, the fraction of the image it covers."""

    land_class: int
    shape: str
    area: float


NOUNS = {
    "lake": "lake",
    "river": "river",
    "coast": "sea",
    "wood": "forest",
    "field": "field",
    "block": "building",
    "patch": "bare area",
    "meadow": "meadow",
}
"""What one object of a shape is called."""


def draw_layout(rng: np.random.Generator, size: int) -> Layout:
    """A random landscape of `size` x `size` px: one background class, two to eight objects on it, apart from each other."""
    background, plans = _plan_scene(rng)
    class_map = np.full((size, size), background, np.uint8)
    objects = np.zeros((size, size), np.int32)
    nouns: dict[int, str] = {}
    for plan in plans:
        shape = _free_shape(plan, rng, taken=objects > 0)
        if shape is not None:
            number = len(nouns) + 1
            class_map[shape], objects[shape] = plan.land_class, number
            nouns[number] = NOUNS[plan.shape]
    return Layout(class_map, objects, nouns)


def _plan_scene(rng: np.random.Generator) -> tuple[int, list[_Plan]]:
    """The background class and the objects; a background never carries an object that SAR could not tell from it."""
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    blocks = [_Plan(BUILDINGS, "block", rng.uniform(0.017, 0.03)) for _ in range(rng.integers(0, LARGEST_COUNT + 1))]
    if kind == "grass":
        pairs = [DARK_PAIR, BRIGHT_PAIR] if rng.random() < BOTH_PAIRS else [DARK_PAIR if rng.random() < 0.5 else BRIGHT_PAIR]
        return GRASS, blocks + [plan for pair in pairs for plan in _pair(pair, rng)]
    if kind == "coast":
        others = ([_object(BARE, rng)] if rng.random() < 0.6 else []) + (_pair(BRIGHT_PAIR, rng) if rng.random() < 0.7 else [])
        return GRASS, [_Plan(WATER, "coast", rng.uniform(0.5, 0.58)), *blocks, *others]
    background, pair = {"forest": (FOREST, DARK_PAIR), "crops": (CROPS, DARK_PAIR), "bare": (BARE, BRIGHT_PAIR)}[kind]
    meadows = [_object(GRASS, rng)] if rng.random() < 0.5 else []
    return background, blocks + _pair(pair, rng) + meadows


def _pair(classes: tuple[int, int], rng: np.random.Generator) -> list[_Plan]:
    """One object of each class, in random order, sometimes a second one; sometimes only one class."""
    order = [int(number) for number in rng.permutation(classes)]
    if rng.random() < PAIR_BROKEN:
        order = order[:1]
    plans = [_object(number, rng) for number in order]
    if rng.random() < SECOND_OBJECT:
        plans.append(_object(int(rng.choice(order)), rng))
    return plans


def _object(land_class: int, rng: np.random.Generator) -> _Plan:
    shape = {WATER: "lake", FOREST: "wood", CROPS: "field", BARE: "patch", GRASS: "meadow"}[land_class]
    if land_class == WATER and rng.random() < 0.2:
        shape = "river"
    return _Plan(land_class, shape, rng.uniform(0.05, 0.12))


def _free_shape(plan: _Plan, rng: np.random.Generator, *, taken: np.ndarray) -> np.ndarray | None:
    """(H, W) bool of the object where it keeps its distance from what is there, or None where no location was found."""
    near = binary_dilation(taken, iterations=GAP_PX) if taken.any() else taken
    for _ in range(PLACING_TRIES):
        shape = _draw_shape(plan, rng, size=len(taken))
        free = shape & ~near
        if free.sum() < KEPT_FRACTION * shape.sum() or (plan.shape == "block" and free.sum() < shape.sum()):
            continue
        parts, count = label(free)
        if count > 1:
            free = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        if free.sum() >= KEPT_FRACTION * shape.sum() and (plan.shape == "coast" or not _has_hole(free)):
            return free
    return None


def _has_hole(shape: np.ndarray) -> bool:
    """Whether something else lies enclosed; the sea may have islands, a lake with a building in it looks odd."""
    outside, count = label(~shape)
    edge = np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]])
    return len(set(edge[edge > 0].tolist())) < count


def draw_shape(shape: str, area: float, *, rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size) bool of one object of a kind in `NOUNS`, covering about the fraction `area`, somewhere in the image."""
    return _draw_shape(_Plan(0, shape, area), rng, size=size)


def _draw_shape(plan: _Plan, rng: np.random.Generator, *, size: int) -> np.ndarray:
    row, column = (np.indices((size, size), np.float32) + 0.5) / size
    if plan.shape in ("river", "coast"):
        return _band(plan, rng, row=row, column=column)
    half = np.sqrt(plan.area) / 2
    margin = half * 1.1
    down, right = row - rng.uniform(margin, 1 - margin), column - rng.uniform(margin, 1 - margin)
    turn = rng.uniform(0, np.pi)
    along, across = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
    if plan.shape in ("field", "block"):
        stretch = rng.uniform(1.0, 1.35)
        return (np.abs(along) < half * stretch) & (np.abs(across) < half / stretch)
    return _blob(along, across, rng=rng, half=half, rough=0.16 if plan.shape == "wood" else 0.1)


def _blob(along: np.ndarray, across: np.ndarray, *, rng: np.random.Generator, half: float, rough: float) -> np.ndarray:
    """A round shape whose outline waves: radius = r0 (1 + a few cosines of the angle), area about (2 half)^2."""
    stretch = rng.uniform(1.0, 1.4)
    along, across = along / stretch, across * stretch
    angle = np.arctan2(across, along)
    waves = sum(rng.normal(0, rough / np.sqrt(k)) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5))
    return np.hypot(along, across) < 2 * half / np.sqrt(np.pi) * (1 + waves)


def _band(plan: _Plan, rng: np.random.Generator, *, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """A river from side to side, or the sea along one side, with a waving bank."""
    along, across = (row, column) if rng.random() < 0.5 else (column, row)
    bank = sum(
        rng.uniform(0, a) * np.sin(2 * np.pi * f * along + rng.uniform(0, 2 * np.pi)) for f, a in ((0.7, 0.06), (1.6, 0.04), (3.1, 0.02))
    )
    if plan.shape == "coast":
        sea = across + bank < plan.area
        return sea if rng.random() < 0.5 else sea[::-1, ::-1]
    return np.abs(across + bank - rng.uniform(0.2, 0.8)) < plan.area / 2


def draw_clouds(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool, where clouds hide the ground.

    They cover a fraction within `HIDDEN` of every object and of all buildings together (so that some buildings are hidden whole), and, as
    far as a few tries reach it, a fraction within `COVER` of the image.
    """
    for _ in range(CLOUD_TRIES):
        clouds = _try_clouds(layout, rng)
        if COVER[0] <= clouds.mean() <= COVER[1]:
            break
    return clouds


def _try_clouds(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field cut at a height that differs from object to object, so that the fractions come out as drawn."""
    size = len(layout.class_map)
    height = gaussian_filter(rng.normal(size=(size, size)), size / 9, mode="reflect")
    height += 0.35 * height.std() * _unit(gaussian_filter(rng.normal(size=(size, size)), size / 32, mode="reflect"))
    units = np.where(layout.class_map == BUILDINGS, layout.objects.max() + 1, layout.objects)
    numbers = [int(number) for number in np.unique(units) if number]
    level = np.zeros(int(units.max()) + 1)
    for number in numbers:
        level[number] = np.quantile(height[units == number], 1 - rng.uniform(*HIDDEN))
    nearest = distance_transform_edt(units == 0, return_distances=False, return_indices=True)
    cut = gaussian_filter(level[units[tuple(nearest)]], 1.5, mode="nearest")
    return height > cut


def _unit(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
