"""Scenes for tests: Sentinel-2 files of a lake, a model that finds water by its index, and one that embeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import rasterio
import rasterio.warp
from affine import Affine

from eocore.data.records import ImageRef
from eocore.errors import DataError
from eocore.evaluate.protocols import PixelScale, Sample
from eocore.scenes.mapping import MapOptions
from eocore.scenes.maps import MapRequest
from eocore.scenes.source import SceneSource
from eocore.sensors.bands import get_sensor

PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
Model = TypeVar("Model")
NIR, GREEN = "B08", "B03"


def lake(height: int, width: int) -> np.ndarray:
    """(H, W) bool: a disc of water in the middle."""
    rows, columns = np.indices((height, width))
    found: np.ndarray = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(height, width) / 3) ** 2
    return found


def write_scene(
    path: Path, water: np.ndarray, *, empty: np.ndarray | None = None, transform: Affine = PLACE, crs: str | None = "EPSG:32632"
) -> Path:
    """A Sentinel-2 L2A file: water is dark in the near infrared, all else bright; 0 in all bands where `empty`."""
    bands = get_sensor("sentinel2_l2a").bands
    pixels = np.full((len(bands), *water.shape), 1000, np.int16)
    pixels += np.random.default_rng(0).integers(0, 50, water.shape).astype(np.int16)
    names = [band.name for band in bands]
    pixels[names.index(NIR)] = np.where(water, 300, 3000)
    if empty is not None:
        pixels[:, empty] = 0
    profile: dict[str, Any] = {"height": water.shape[0], "width": water.shape[1], "count": len(bands), "dtype": "int16"}
    tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **profile, **tiles) as target:
        target.write(pixels)
        target.descriptions = tuple(names)
    return path


class WaterIndex:
    """`ScoresPixels` by the normalised difference of green and near infrared: McFeeters 1996.

    Args:
        shift: added to the scores of each window, as of a model that judges by context.
        refused: windows (row_column) that it does not take.
    """

    pixel_scale: PixelScale = "logits"
    window_side = 64

    def __init__(self, *, shift: float = 0.0, refused: Sequence[str] = ()) -> None:
        self.shift, self.refused, self.seen = shift, refused, list[str]()

    def pixel_scores(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[np.ndarray]:
        found = []
        for record, (scene, *_) in samples:
            if record.sample_id in self.refused:
                raise DataError(f"window {record.sample_id} is refused")
            self.seen.append(record.sample_id)
            green, nir = (scene.pixels[scene.bands.index(name)] for name in (GREEN, NIR))
            index = 6 * (green - nir) / (green + nir) + self.shift * np.random.default_rng(len(self.seen)).uniform(-1, 1)
            found.append(np.stack([index if text == "water" else -index for text in texts]))
        return found


class ChangeIndex:
    """`ScoresPixels` of a pair of dates: where the near infrared has fallen."""

    pixel_scale: PixelScale = "logits"
    window_side = 64
    roles = ("multispectral",)
    reads_series = True

    def pixel_scores(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[np.ndarray]:
        found = []
        for _, scenes in samples:
            by_time = {scene.time: scene for scene in scenes}
            before, after = (by_time[time].pixels[by_time[time].bands.index(NIR)] for time in ("before", "after"))
            found.append(np.stack([40 * (before - after) - 4] * len(texts)).astype(np.float32))
        return found


class Said:
    """An answer in words."""

    masks = np.zeros((0, 1, 1), bool)

    def __init__(self, text: str) -> None:
        self.text = text


class SaysWhatCovers:
    """Answers "water" or "land", whichever covers more of the window; refuses some windows."""

    boxes_by_masks = False

    def __init__(self, refused: Sequence[str] = ()) -> None:
        self.refused, self.asked = refused, list[tuple[str, str]]()

    def answerer(self, max_new_tokens: int) -> Any:
        return self._answer

    def _answer(self, samples: Sequence[Sample]) -> list[Said]:
        found = []
        for record, (scene, *_) in samples:
            if record.sample_id in self.refused:
                raise DataError(f"window {record.sample_id} is refused")
            self.asked.append((record.sample_id, record.turns[-1].text))
            green, nir = (scene.pixels[scene.bands.index(name)] for name in (GREEN, NIR))
            found.append(Said("water" if (green > nir)[np.isfinite(green)].mean() > 0.5 else "land"))
        return found


def put_model(monkeypatch: pytest.MonkeyPatch, made: Model) -> Model:
    """Puts it in the place of the model of any folder."""
    for module in ("maps", "mapping", "many", "asking"):
        monkeypatch.setattr(f"eocore.scenes.{module}.load_predictor", lambda folder, *, device: made)
    return made


def round_lake(transform: Affine, size: tuple[int, int], *, crs: str, centre: tuple[float, float], radius_deg: float) -> np.ndarray:
    """(H, W) bool: a disc of water on the ground, whatever the grid.

    Args:
        transform: from pixels to the CRS.
        size: H, W.
        crs: of the grid.
        centre: longitude, latitude [degrees].
        radius_deg: in degrees of latitude.
    """
    rows, columns = np.indices(size) + 0.5
    x, y = transform.c + columns * transform.a, transform.f + rows * transform.e
    found = np.array(rasterio.warp.transform(crs, "EPSG:4326", x.ravel(), y.ravel())).reshape(2, *size)
    east = ((found[0] - centre[0] + 180) % 360 - 180) * np.cos(np.deg2rad(centre[1]))
    water: np.ndarray = east**2 + (found[1] - centre[1]) ** 2 < radius_deg**2
    return water


def grid_around(centre: tuple[float, float], *, crs: str, side: int, pixel: float) -> Affine:
    """Transform of a north-up square of pixels whose middle lies at a longitude and latitude.

    Args:
        centre: longitude, latitude [degrees].
        crs: of the grid.
        side: pixels.
        pixel: their size, in units of the CRS.
    """
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [centre[0]], [centre[1]])
    if crs == "EPSG:4326":
        x = centre[0]
    return Affine(pixel, 0, x - side * pixel / 2, 0, -pixel, y + side * pixel / 2)


def map_request(folder: Path, scene: Path, **options: Any) -> MapRequest:
    """The map of water and land of a file, in `folder / "out"`, by a model folder that is none."""
    own = folder / "model"
    own.mkdir(exist_ok=True)
    (own / "config.json").write_text("{}")
    refs = {"multispectral": ImageRef("multispectral", "sentinel2_l2a", (str(scene),))}
    windows = MapOptions(model=own, source=SceneSource(refs), prompts=("water", "land"))
    return MapRequest(**{"windows": windows, "out": folder / "out", "overlap": 24, **options})


class MeanSpectrum:
    """`EmbedsImages` and `PreparesImages`: the mean of each band.

    Args:
        refused: windows (row_column) that it does not take.
    """

    def __init__(self, *, refused: Sequence[str] = ()) -> None:
        self.refused, self.seen = refused, list[str]()

    def prepare_image(self, sample: Sample) -> tuple[str, np.ndarray]:
        """The name of the window, and the mean of each of its bands."""
        record, (scene, *_) = sample
        if record.sample_id in self.refused:
            raise DataError(f"window {record.sample_id} is refused")
        return record.sample_id, np.nanmean(scene.pixels, axis=(1, 2))

    def embed_images(self, images: Sequence[Any]) -> np.ndarray:
        """(N, D) means."""
        self.seen += [name for name, _ in images]
        return np.stack([means for _, means in images])
