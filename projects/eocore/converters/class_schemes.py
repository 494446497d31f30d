"""What the numbers of land-cover maps mean: the published schemes, and tables of one's own.

Schemes share numbers: 7 is built area in one, bare ground or snow in others. Which one a map follows is told, or taken only where its
numbers fit one scheme alone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import unreadable
from eocore.errors import ConfigError, DataError
from eocore.synthetic.land_map import LandClass
from eocore.text import did_you_mean

WATER = LandClass("water", "water area", "water areas")
FOREST = LandClass("forest", "forest", "forests")
WETLAND = LandClass("wetland", "wetland", "wetlands")
CROPLAND = LandClass("cropland", "cropland area", "cropland areas")
BUILT = LandClass("built area", "built area", "built areas")
BARE = LandClass("bare ground", "bare area", "bare areas")
SNOW = LandClass("snow", "snow area", "snow areas")
RANGELAND = LandClass("rangeland", "rangeland area", "rangeland areas")
GRASSLAND = LandClass("grassland", "grassland area", "grassland areas")
SHRUBLAND = LandClass("shrubland", "shrubland area", "shrubland areas")
NO_DATA, CLOUDS = "no data", "clouds"


@dataclass(frozen=True)
class ClassScheme:
    """The numbers of a land-cover product.

    Attributes:
        name: as `--classes` takes it.
        title: of the product, for messages.
        classes: how each class is spoken of.
        unknown: numbers that are no class of the ground; never asked for.
    """

    name: str
    title: str
    classes: Mapping[int, LandClass]
    unknown: Mapping[int, str] = field(default_factory=dict)

    def knows(self, numbers: Iterable[int]) -> bool:
        """Whether each number has a meaning here."""
        return set(numbers) <= {*self.classes, *self.unknown}


REFERENCE_TILES = ClassScheme(
    "reference-tiles",
    "the reference tiles' land cover, Esri's classes numbered without gaps",
    {1: WATER, 2: FOREST, 3: WETLAND, 4: CROPLAND, 5: BUILT, 6: BARE, 7: SNOW, 9: RANGELAND},
    {0: NO_DATA, 8: CLOUDS},
)
ESRI = ClassScheme(
    "esri",
    "Esri / Impact Observatory 10 m annual land cover, 2017 and later",
    {1: WATER, 2: FOREST, 4: WETLAND, 5: CROPLAND, 7: BUILT, 8: BARE, 9: SNOW, 11: RANGELAND},
    {0: NO_DATA, 10: CLOUDS},
)
"""Source: class definitions of the product, https://www.arcgis.com/home/item.html?id=cfcb7609de5f478eb7666240902d4d3d. Trees (2) are called
forest and flooded vegetation (4) wetland here."""
ESRI_2020 = ClassScheme(
    "esri-2020",
    "Esri 2020 land cover, the first version, with grass and scrub apart",
    {1: WATER, 2: FOREST, 3: GRASSLAND, 4: WETLAND, 5: CROPLAND, 6: SHRUBLAND, 7: BUILT, 8: BARE, 9: SNOW},
    {0: NO_DATA, 10: CLOUDS},
)
"""Source: Karra et al. 2021, Global land use / land cover with Sentinel-2 and deep learning, doi:10.1109/IGARSS47720.2021.9553499."""
WORLDCOVER = ClassScheme(
    "worldcover",
    "ESA WorldCover 10 m, 2020 and 2021",
    {
        10: FOREST,
        20: SHRUBLAND,
        30: GRASSLAND,
        40: CROPLAND,
        50: BUILT,
        60: BARE,
        70: SNOW,
        80: WATER,
        90: WETLAND,
        95: LandClass("mangrove", "mangrove area", "mangrove areas"),
        100: LandClass("moss and lichen", "area of moss and lichen", "areas of moss and lichen"),
    },
    {0: NO_DATA},
)
"""Source: WorldCover Product User Manual v2.0, table 3; Zanaga et al. 2022, doi:10.5281/zenodo.7254221."""
DYNAMIC_WORLD = ClassScheme(
    "dynamic-world",
    "Google Dynamic World V1, band label",
    {0: WATER, 1: FOREST, 2: GRASSLAND, 3: WETLAND, 4: CROPLAND, 5: SHRUBLAND, 6: BUILT, 7: BARE, 8: SNOW},
)
"""Source: Brown et al. 2022, Dynamic World, near real-time global 10 m land use land cover mapping, doi:10.1038/s41597-022-01307-4. It has
no number for missing pixels: the nodata value of the file counts."""
SCHEMES = (REFERENCE_TILES, ESRI, ESRI_2020, WORLDCOVER, DYNAMIC_WORLD)
OTHER_NAMES = {
    "tiles": "reference-tiles",
    "reference": "reference-tiles",
    "esri10m": "esri",
    "io": "esri",
    "esaworldcover": "worldcover",
    "dw": "dynamic-world",
}


def find_scheme(name: str) -> ClassScheme:
    """The published scheme of that name, or the table of classes in that file.

    Args:
        name: of `SCHEMES`, in any spelling, or a JSON file {"10": "forest", "80": ["water", "lake", "lakes"], "0": null}: number -> name,
            or name with the words for one and for several patches, or null for what is no class of the ground.

    Raises:
        ConfigError: no such scheme, or the file is no such table.
        DataError: the file cannot be read.
    """
    names = {_plain(scheme.name): scheme for scheme in SCHEMES}
    names |= {other: names[_plain(own)] for other, own in OTHER_NAMES.items()}
    known = names.get(_plain(name))
    if known is not None:
        return known
    path = Path(name)
    if path.suffix.lower() == ".json" or path.is_file():
        return _read_table(path)
    choices = [scheme.name for scheme in SCHEMES]
    raise ConfigError(
        f"no land-cover scheme '{name}'.{did_you_mean(name, choices)} Choices: {', '.join(choices)}, or a JSON file of numbers and names."
    )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _read_table(path: Path) -> ClassScheme:
    form = 'expected {"10": "forest", "80": ["water", "lake", "lakes"], "0": null}: a number, and what it is called'
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); {form}.") from error
    if not isinstance(table, dict) or not table:
        raise ConfigError(f"{path}: {type(table).__name__}; {form}.")
    classes: dict[int, LandClass] = {}
    unknown: dict[int, str] = {}
    for key, value in table.items():
        if not key.strip().lstrip("-").isdecimal():
            raise ConfigError(f"{path}: '{key}' is no whole number; {form}.")
        if value is None:
            unknown[int(key)] = "no class"
        else:
            classes[int(key)] = _land_class(value, where=f"{path}: entry {key}", form=form)
    if not classes:
        raise ConfigError(f"{path}: names no class; {form}.")
    return ClassScheme(path.stem, str(path), classes, unknown)


def _land_class(value: Any, *, where: str, form: str) -> LandClass:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or len(words) not in (1, 3) or not all(isinstance(word, str) and word.strip() for word in words):
        raise ConfigError(f"{where} is {str(value)[:60]}; {form}.")
    return LandClass(words[0], f"{words[0]} area", f"{words[0]} areas") if len(words) == 1 else LandClass(*words)


def tell_scheme(counts: Mapping[int, int]) -> ClassScheme:
    """The only scheme whose numbers fit.

    Args:
        counts: number -> pixels of all maps.

    Raises:
        ConfigError: several fit.
        DataError: none does.
    """
    fitting = [scheme for scheme in SCHEMES if scheme.knows(counts)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ConfigError(
            f"the maps hold {describe_counts(counts)}, which {', '.join(scheme.name for scheme in fitting)} all know, with other meanings. "
            "Name the scheme the maps follow with --classes."
        )
    raise DataError(
        f"the maps hold {describe_counts(counts)}, which no scheme known here has ({', '.join(scheme.name for scheme in SCHEMES)}). Give "
        "their names in a JSON file with --classes."
    )


def check_numbers(counts: Mapping[int, int], scheme: ClassScheme) -> None:
    """Raise DataError unless a scheme gives every number of the maps a meaning, and at least one is a class of the ground."""
    strange = {number: count for number, count in counts.items() if not scheme.knows([number])}
    fitting = [other.name for other in SCHEMES if other.knows(counts)]
    better = f" They fit {' or '.join(fitting)}." if fitting else ""
    if strange:
        raise DataError(
            f"the maps hold {describe_counts(strange)}, numbers that {scheme.title} does not have; the ground there would be spoken of as "
            f"something else.{better} Name the scheme the maps follow with --classes, or a JSON file of numbers and names."
        )
    if not set(counts) & set(scheme.classes):
        raise DataError(
            f"the maps hold {describe_counts(counts) or 'no valid pixel'}, none of which is a class of {scheme.title}: there is nothing to "
            f"ask.{better} Name the scheme the maps follow with --classes."
        )


def describe_counts(counts: Mapping[int, int]) -> str:
    """ "7 (2,048 px), 5 (2,048 px)", most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{number} ({count:,} px)" for number, count in ordered[:20])
    return shown + (f" and {len(ordered) - 20} more numbers" if len(ordered) > 20 else "")
