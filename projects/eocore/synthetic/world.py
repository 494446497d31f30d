"""A small deterministic world of multi-sensor scenes in the published formats; no download, no licence to ask for.

Landscapes (`landscape.py`) are seen by Sentinel-2 and Sentinel-1 (`spectra.py`) and asked about (`questions.py`). Some classes look
alike in SAR and unlike in the optical; about half of the scenes are cloudy, where the optical sees only part of every object and the SAR
all of it. There, naming takes the optical, outlining takes the SAR, and doing both takes both.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from eocore.errors import ConfigError
from eocore.files import require_writable, write_file, writing
from eocore.synthetic.annotation_files import SceneNotes, write_annotations
from eocore.synthetic.land_map import LandClass, LandMap, QuestionOptions
from eocore.synthetic.landscape import BARE, BUILDINGS, CROPS, FOREST, GRASS, WATER, Layout, draw_clouds, draw_layout
from eocore.synthetic.questions import Questions, describe_landscape
from eocore.synthetic.spectra import OPTICAL_BANDS, SAR_BANDS, digital_numbers, optical_scene, sar_scene, true_colour

SPLITS = ("train", "val", "test")
CLASSES = {
    WATER: LandClass("water", "lake", "lakes"),
    FOREST: LandClass("forest", "forest", "forests"),
    CROPS: LandClass("cropland", "field", "fields"),
    BUILDINGS: LandClass("built area", "building", "buildings"),
    BARE: LandClass("bare ground", "bare area", "bare areas"),
    GRASS: LandClass("grass", "meadow", "meadows"),
}
CLOUDY_FRACTION = 0.5
"""Of scenes, where nothing else is asked for."""
MIN_SIZE = 48
"""Below, objects have too few pixels to keep their distance from each other."""
GSD_M = 10.0
CRS = "EPSG:32632"
WEST_M, NORTH_M = 500_000.0, 5_400_000.0
SPACING_M = 10_000.0
SCENES_PER_ROW = 50
"""Scenes lie on a grid, apart, so that each has a location of its own on a map."""


@dataclass(frozen=True, kw_only=True)
class WorldOptions:
    """How the scenes of a world are made.

    Attributes:
        cloudy: fraction of scenes with clouds, 0 to 1.
        questions: what is asked, by split; the default where a split is not named.
    """

    cloudy: float = CLOUDY_FRACTION
    questions: Mapping[str, QuestionOptions] = field(default_factory=dict)


@dataclass(frozen=True)
class SyntheticScene:
    """One scene of the world.

    Attributes:
        scene_id: "<split>_<number>".
        layout: class map and objects, the truth.
        optical: (12, H, W) float32 reflectance [1] in the order of `OPTICAL_BANDS`, clouds included.
        sar: (2, H, W) float32 backscatter (VV, VH) [dB].
        clouds: (H, W) bool, None on a clear scene.
        questions: what is asked about it.
    """

    scene_id: str
    layout: Layout
    optical: np.ndarray
    sar: np.ndarray
    clouds: np.ndarray | None
    questions: Questions


def make_scene(
    split: str,
    number: int,
    *,
    seed: int = 0,
    size: int = 96,
    cloudy: float = CLOUDY_FRACTION,
    options: QuestionOptions | None = None,
) -> SyntheticScene:
    """Scene `number` of a split, a pure function of the arguments: other scenes, splits and counts do not change it.

    Args:
        split, number: which scene.
        seed: of the whole world.
        size: side of the scene [px].
        cloudy: fraction of scenes with clouds; what lies on the ground stays the same.
        options: what is asked.

    Raises:
        ConfigError: unknown split, or `size` too small.
    """
    if split not in SPLITS:
        raise ConfigError(f"synthetic world: no split '{split}'; splits are {', '.join(SPLITS)}.")
    if size < MIN_SIZE:
        raise ConfigError(f"synthetic world: size {size} px leaves objects too few pixels; use {MIN_SIZE} or more.")
    ground, sky, look, ask = (np.random.default_rng([seed, SPLITS.index(split), number, part]) for part in range(4))
    layout = draw_layout(ground, size)
    clouds = draw_clouds(layout, sky) if sky.random() < cloudy else None
    optical, sar = optical_scene(layout, look, clouds=clouds), sar_scene(layout, look)
    visible = None if clouds is None else ~clouds
    land = LandMap(layout.class_map, CLASSES, layout.objects, countable=frozenset({BUILDINGS}), nouns=layout.nouns, visible=visible)
    questions = describe_landscape(land, ask, options=options)
    return SyntheticScene(f"{split}_{number:05d}", layout, optical, sar, clouds, questions)


def write_world(
    root: Path,
    counts: dict[str, int],
    *,
    seed: int = 0,
    size: int = 96,
    options: WorldOptions | None = None,
    on_scene: Callable[[], None] | None = None,
) -> dict[str, dict[str, int]]:
    """Number of entries by split and annotation file; the world lies under `root`, one folder per split.

    Args:
        root: is made where it does not exist; files of the same name are replaced.
        counts: scenes by split.
        seed: of the whole world.
        size: side of the scenes [px].
        options: clouds and questions.
        on_scene: called after each scene, for a progress display.

    Raises:
        ConfigError: unknown split, or `size` too small.
        OutputError: `root` cannot be written to; this is found first.
    """
    require_writable(root, "the world")
    world = options or WorldOptions()

    def written_scenes(split: str, count: int) -> Iterator[SceneNotes]:
        for number in range(count):
            scene = make_scene(split, number, seed=seed, size=size, cloudy=world.cloudy, options=world.questions.get(split))
            write_images(root / split, scene, cell=number + SPLITS.index(split) * SCENES_PER_ROW**2)
            yield SceneNotes(scene.scene_id, (size, size), scene.questions, {"cloudy": scene.clouds is not None})
            if on_scene is not None:
                on_scene()

    return {
        split: write_annotations(root / split, written_scenes(split, count), split=split, classes=CLASSES)
        for split, count in counts.items()
    }


def write_images(folder: Path, scene: SyntheticScene, *, cell: int) -> None:
    """`multispectral`, `sar`, `landcover` (.tif) and `rgb` (.png) of one scene; `cell` numbers its cell on the map grid."""
    with writing(folder, "the world"):
        (folder / "rgb").mkdir(parents=True, exist_ok=True)
    file_name = f"{scene.scene_id}.tif"
    row, column = divmod(cell, SCENES_PER_ROW)
    origin = (WEST_M + column * SPACING_M, NORTH_M - row * SPACING_M)
    write_geotiff(folder / "multispectral" / file_name, digital_numbers(scene.optical), names=OPTICAL_BANDS, origin=origin)
    write_geotiff(folder / "sar" / file_name, scene.sar, names=SAR_BANDS, origin=origin)
    write_geotiff(folder / "landcover" / file_name, scene.layout.class_map[None], names=("class",), origin=origin)
    with writing(folder / "rgb", "the pictures"):
        Image.fromarray(true_colour(scene.optical)).save(folder / "rgb" / f"{scene.scene_id}.png", compress_level=1)


def write_geotiff(path: Path, layers: np.ndarray, *, names: tuple[str, ...], origin: tuple[float, float]) -> None:
    """One file of (C, H, W) layers with band names as descriptions; `origin` is its north-west corner (x, y) [m]."""
    count, height, width = layers.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": layers.dtype.name}
    profile |= {"crs": CRS, "transform": from_origin(*origin, GSD_M, GSD_M)}
    with MemoryFile() as memory:  # GDAL itself says nothing of a full disk when it closes a file
        with memory.open(**profile) as file:
            file.write(layers)
            file.descriptions = names
        write_file(path, memory.read())
