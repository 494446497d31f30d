"""Small chips of one class each, with captions: what models of whole images learn from and are tested on.

Ten classes, four more than the landscapes have. Three pairs look alike in true colours, within noise, and unlike in the infrared.
"""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from eocore.errors import ConfigError
from eocore.files import write_file, writing
from eocore.synthetic.landscape import BARE, BUILDINGS, BURNT, CROPS, FOREST, GRASS, SALT, SNOW, TURF, WATER, Layout, draw_shape
from eocore.synthetic.spectra import OPTICAL_BANDS, SAR_BANDS, digital_numbers, optical_scene, sar_scene, true_colour
from eocore.synthetic.world import NORTH_M, SCENES_PER_ROW, SPACING_M, SPLITS, WEST_M, write_geotiff

CHIP_CLASSES = {
    WATER: "water",
    FOREST: "forest",
    CROPS: "cropland",
    BUILDINGS: "buildings",
    BARE: "bare ground",
    GRASS: "grass",
    TURF: "artificial turf",
    BURNT: "burnt ground",
    SNOW: "snow",
    SALT: "salt flat",
}
ALIKE_IN_COLOUR = ((GRASS, TURF), (WATER, BURNT), (SNOW, SALT))
"""Pairs with the same reflectance in B01 to B04."""
CLASS_COUNTS = (6, 10)

CHIP_PX = 48
OTHER_AREA = (0.05, 0.2)
"""Fraction of the chip that the second class covers."""
ALONE = 0.3
"""Fraction of chips without a second class."""
CAPTIONS = ("a satellite image of {0}.", "the image shows mostly {0}.", "{0} seen from above.")
CAPTIONS_OF_TWO = ("a satellite image of {0} with some {1}.", "mostly {0}, a part of it {1}.", "{0} next to {1}.")
CAPTION_FILE = "captions.csv"
SOUTH_OF_THE_WORLD_M = 3_000_000.0
"""Chips lie this far south of the scenes."""


@dataclass(frozen=True)
class Chip:
    """One chip.

    Attributes:
        name: "<class folder>/<split>_<number>".
        layout: class map, the truth.
        optical: (12, S, S) float32 reflectance [1] in the order of `OPTICAL_BANDS`.
        sar: (2, S, S) float32 backscatter (VV, VH) [dB].
        label: name of the class that covers most.
        captions: that describe it.
    """

    name: str
    layout: Layout
    optical: np.ndarray
    sar: np.ndarray
    label: str
    captions: tuple[str, ...]


def make_chip(split: str, number: int, *, seed: int = 0, num_classes: int = 10) -> Chip:
    """Chip `number` of a split, a pure function of the arguments; classes take turns.

    Raises:
        ConfigError: unknown split, or another number of classes than `CLASS_COUNTS`.
    """
    if split not in SPLITS or num_classes not in CLASS_COUNTS:
        raise ConfigError(f"chips: split '{split}' with {num_classes} classes; splits: {', '.join(SPLITS)}; classes: 6 or 10.")
    ground, look, radar = (np.random.default_rng([seed, SPLITS.index(split), number, num_classes, part]) for part in range(3))
    classes = list(CHIP_CLASSES)[:num_classes]
    main = classes[number % num_classes]
    other = None if ground.random() < ALONE else int(ground.choice([land for land in classes if land != main]))
    layout = _draw_layout(main, other, rng=ground)
    names = [CHIP_CLASSES[main], *([] if other is None else [CHIP_CLASSES[other]])]
    templates = CAPTIONS if other is None else CAPTIONS + CAPTIONS_OF_TWO
    return Chip(
        name=f"{CHIP_CLASSES[main].replace(' ', '_')}/{split}_{number:05d}",
        layout=layout,
        optical=optical_scene(layout, look),
        sar=sar_scene(layout, radar),
        label=CHIP_CLASSES[main],
        captions=tuple(template.format(*names) for template in templates),
    )


def _draw_layout(main: int, other: int | None, *, rng: np.random.Generator) -> Layout:
    class_map = np.full((CHIP_PX, CHIP_PX), main, np.uint8)
    objects = np.zeros((CHIP_PX, CHIP_PX), np.int32)
    if other is not None:
        shape = draw_shape("patch", rng.uniform(*OTHER_AREA), rng=rng, size=CHIP_PX)
        class_map[shape], objects[shape] = other, 1
    return Layout(class_map, objects)


def write_chips(
    root: Path,
    counts: Mapping[str, int],
    *,
    seed: int = 0,
    num_classes: int = 10,
    on_chip: Callable[[], None] | None = None,
) -> None:
    """Writes `multispectral`, `sar` (.tif) and `rgb` (.png) in folders of classes, and captions.csv (image, caption, label), by split.

    Args:
        root: is made where it does not exist; files of the same name are replaced.
        counts: chips by split.
        seed: of all chips.
        num_classes: 6, the classes of the landscapes, or 10.
        on_chip: called after each chip, for a progress display.

    Raises:
        ConfigError: as `make_chip`.
    """
    for split, count in counts.items():
        lines = io.StringIO()
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(["image", "caption", "label"])
        for number in range(count):
            chip = make_chip(split, number, seed=seed, num_classes=num_classes)
            _write_chip(root / split, chip, cell=number + SPLITS.index(split) * SCENES_PER_ROW**2)
            table.writerows([f"{chip.name}.tif", caption, chip.label] for caption in chip.captions)
            if on_chip is not None:
                on_chip()
        write_file(root / split / CAPTION_FILE, lines.getvalue().encode())


def _write_chip(folder: Path, chip: Chip, *, cell: int) -> None:
    row, column = divmod(cell, SCENES_PER_ROW)
    origin = (WEST_M + column * SPACING_M, NORTH_M - SOUTH_OF_THE_WORLD_M - row * SPACING_M)
    write_geotiff(folder / "multispectral" / f"{chip.name}.tif", digital_numbers(chip.optical), names=OPTICAL_BANDS, origin=origin)
    write_geotiff(folder / "sar" / f"{chip.name}.tif", chip.sar, names=SAR_BANDS, origin=origin)
    picture = folder / "rgb" / f"{chip.name}.png"
    with writing(picture, "the pictures"):
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(true_colour(chip.optical)).save(picture, compress_level=1)
