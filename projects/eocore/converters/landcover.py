"""Annotations in the published formats from folders of co-registered GeoTIFFs with a land-cover map.

The images stay as they are; the questions come from the map alone (`questions.py`).
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from scipy.ndimage import label

from eocore.converters.class_schemes import ClassScheme, check_numbers, describe_counts, tell_scheme
from eocore.data.io.image_files import Grid, LayerFile, open_layers, resolve_path
from eocore.data.io.readers import SAME_GRID_PX, read_class_numbers
from eocore.data.records import is_role
from eocore.errors import ConfigError, DataError
from eocore.files import require_writable
from eocore.synthetic.annotation_files import SceneNotes, write_annotations
from eocore.synthetic.land_map import LandClass, LandMap, QuestionOptions
from eocore.synthetic.questions import describe_landscape

UNKNOWN_GROUND = -1
"""Number of pixels that the map's file marks as without data."""

OPTIONS = QuestionOptions(min_area=0.01, max_area=1.0)
"""Classes below 1 % of the tile are not asked for: specks are often errors of the map (85 % overall accuracy, Karra et al. 2021)."""

NEARLY = 0.3
"""A patch between this fraction of `min_area` and the whole might count or not; then its class is not counted at all."""

NEIGHBOURS_8 = np.ones((3, 3), bool)
SUFFIX = ".tif"


@dataclass(frozen=True)
class TileSet:
    """Where the tiles lie.

    Attributes:
        labels: the land-cover maps.
        images: folder of the images of each role; equal file names show the same location.
        scheme: what the numbers of the maps mean; None = told by the numbers, where they fit one published scheme alone.
    """

    labels: Path
    images: Mapping[str, Path]
    scheme: ClassScheme | None = None

    def __post_init__(self) -> None:
        wrong = [role for role in self.images if not is_role(role)]
        if wrong or not self.images:
            raise ConfigError(f"land-cover tiles: folders for {wrong or 'no role'}; give one or more roles such as multispectral or sar.")


def prepare_landcover(
    tiles: TileSet,
    out: Path,
    *,
    split: str = "train",
    seed: int = 0,
    copy: bool = False,
    on_tile: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Number of entries by annotation file, written to `out`/`split`.

    Args:
        tiles: where the tiles lie.
        out: root of the prepared set.
        split: name of the subfolder, and of the split in the REFER file.
        seed: of the choice of questions; each tile is drawn for by itself, in the order of the names.
        copy: copy the images to `out`/`split`/<modality>; else the annotations refer to them where they are, by name.
        on_tile: called with the tile's name after each tile, for a progress display.

    Raises:
        DataError: no tiles, a missing or broken file, files of a tile that do not lie on one grid, numbers that the scheme does not have,
            or nothing to ask.
        ConfigError: the scheme is not told, and the numbers fit several.
        OutputError: `out` cannot be written to; this is found first.
    """
    require_writable(out, "the data set")
    names = tile_names(tiles)
    counts = count_numbers(tiles.labels / name for name in names)
    scheme = tiles.scheme or tell_scheme(counts)
    check_numbers(counts, scheme)

    def prepared_tiles() -> Iterator[SceneNotes]:
        asked = 0
        for number, name in enumerate(names):
            paths = {modality: folder / name for modality, folder in tiles.images.items()}
            check_registration([tiles.labels / name, *paths.values()])
            land = make_land_map(read_numbers(tiles.labels / name), scheme.classes, min_area=OPTIONS.min_area)
            questions = describe_landscape(land, np.random.default_rng([seed, number]), options=OPTIONS)
            asked += len(questions.phrases) + len(questions.questions) + len(questions.choices)
            height, width = land.class_map.shape
            if copy:
                _copy(paths, out / split)
            yield SceneNotes(Path(name).stem, (height, width), questions, suffix=SUFFIX)
            if on_tile is not None:
                on_tile(name)
        if not asked:
            raise DataError(
                f"{tiles.labels}: nothing can be asked about these maps, which hold {describe_counts(counts)}: no class of {scheme.title} "
                f"covers {OPTIONS.min_area:.0%} of a tile and is certain. Nothing was written; give larger tiles or other maps."
            )

    return write_annotations(out / split, prepared_tiles(), split=split, classes=scheme.classes)


def read_numbers(path: Path) -> np.ndarray:
    """(H, W) the numbers of a land-cover map, `UNKNOWN_GROUND` where the file marks its pixels as without data.

    Raises:
        DataError: the file is missing, broken, or holds no whole numbers.
    """
    numbers, valid = read_class_numbers(str(path))
    if numbers.dtype.kind == "f" and (numbers[np.isfinite(numbers)] % 1 != 0).any():
        raise DataError(f"{path}: fractions, expected the whole numbers of classes. A map that was resampled takes the nearest pixel's.")
    known = np.isfinite(numbers) if valid is None else valid & np.isfinite(numbers)
    return np.where(known, np.nan_to_num(numbers).astype(np.int64), UNKNOWN_GROUND)


def count_numbers(paths: Iterable[Path]) -> dict[int, int]:
    """Number -> pixels of all maps that hold data."""
    counts: Counter[int] = Counter()
    for path in paths:
        values, pixels = np.unique(read_numbers(path), return_counts=True)
        counts.update(dict(zip(values.tolist(), pixels.tolist(), strict=True)))
    counts.pop(UNKNOWN_GROUND, None)
    return dict(counts)


def tile_names(tiles: TileSet) -> list[str]:
    """File names of the land-cover maps, sorted; every one must be in every image folder, too.

    Raises:
        DataError: there is no map, or a map without its image.
    """
    names = sorted(path.name for path in tiles.labels.glob(f"*{SUFFIX}"))
    if not names:
        raise DataError(f"{tiles.labels}: no {SUFFIX} files, so there is nothing to prepare. Name the folder of the land-cover maps.")
    for modality, folder in tiles.images.items():
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            shown = f"{missing[0]} (and {len(missing) - 1} more)" if len(missing) > 1 else missing[0]
            raise DataError(
                f"{folder}: no {shown}, although {tiles.labels} has it; its questions would have no {modality} image. "
                f"Add the file, or take the map away."
            )
    return names


def check_registration(paths: list[Path]) -> None:
    """Nothing; raises DataError, naming both files, unless all lie on the grid of the first (size, CRS, transform).

    Transforms may differ by rounding: their corners by up to `SAME_GRID_PX` pixels.
    """
    first, *others = paths
    reference = _header(first)
    for path in others:
        difference = _difference(reference, _header(path))
        if difference:
            raise DataError(
                f"{path} and {first} are not co-registered: {difference}. Masks would lie beside what they name. "
                f"Resample the two to one grid (e.g. with rio warp --like)."
            )


@dataclass(frozen=True)
class _Header:
    size: tuple[int, int]
    grid: Grid | None


def _header(path: Path) -> _Header:
    file: LayerFile = open_layers(resolve_path(str(path)))
    try:
        return _Header(file.size, file.grid)
    finally:
        file.close()


def _difference(one: _Header, other: _Header) -> str:
    """What keeps two files from lying on one grid, empty where nothing does."""
    if one.size != other.size:
        return f"{other.size[0]} x {other.size[1]} px against {one.size[0]} x {one.size[1]} px"
    if one.grid is None or other.grid is None:
        return "" if one.grid is other.grid else "only one of them says where it lies"
    if one.grid.crs != other.grid.crs and CRS.from_wkt(one.grid.crs or "") != CRS.from_wkt(other.grid.crs or ""):
        return f"CRS {_crs_name(other.grid)} against {_crs_name(one.grid)}"
    height, width = one.size
    corners = [(0, 0), (width, 0), (0, height), (width, height)]
    shifts = [np.subtract(~one.grid.transform * (other.grid.transform * corner), corner) for corner in corners]
    apart_px = float(np.abs(shifts).max())
    return f"their corners lie {apart_px:.2f} px apart" if apart_px > SAME_GRID_PX else ""


def _crs_name(grid: Grid) -> str:
    return CRS.from_wkt(grid.crs).to_string()[:60] if grid.crs else "unknown"


def make_land_map(class_map: np.ndarray, classes: Mapping[int, LandClass], *, min_area: float) -> LandMap:
    """The map with its connected patches (8 neighbours) of `min_area` or more as objects.

    A class is countable where it has objects and no patch so near below `min_area` that it could be counted as well as not.
    """
    objects = np.zeros(class_map.shape, np.int32)
    countable = set()
    total = 0
    for class_id in classes:
        patches, _ = label(class_map == class_id, NEIGHBOURS_8)
        areas = np.bincount(patches.ravel())[1:] / class_map.size
        large = np.flatnonzero(areas >= min_area) + 1
        for patch in large:
            total += 1
            objects[patches == patch] = total
        if len(large) and not ((areas >= NEARLY * min_area) & (areas < min_area)).any():
            countable.add(class_id)
    return LandMap(class_map, classes, objects, countable=frozenset(countable))


def _copy(paths: Mapping[str, Path], folder: Path) -> None:
    for modality, path in paths.items():
        (folder / modality).mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / modality / path.name)
