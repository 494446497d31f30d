"""Files whose layers stand in another order, L1C of 13 and L2A of 12 bands, real and made: what the model sees and answers is the same."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from eocore.data.dataset import SampleKey
from eocore.errors import EOError
from eocore.evaluate.benchmarks.scene import EUROSAT_BANDS
from eocore.registry import DATASETS
from eocore.sensors.bands import get_sensor
from eocore.system import PredictorOptions
from ms_clip.predictor import MsClipPredictor

SENSORS = {"S2L1C": "sentinel2_l1c", "S2L2A": "sentinel2_l2a"}
ORDERS = {
    "B8A last": lambda names: [*(name for name in names if name != "B8A"), "B8A"],
    "reversed": lambda names: names[::-1],
    "shuffled": lambda names: np.random.default_rng(0).permutation(names).tolist(),
}
CLASS = "scene"

every_sensor = pytest.mark.parametrize("folder", SENSORS)


def names_of(folder: str) -> list[str]:
    return [band.name for band in get_sensor(SENSORS[folder]).bands]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tile of each sensor, each band with a level and a pattern of its own."""
    found = {}
    for folder in SENSORS:
        count = len(names_of(folder))
        levels = np.linspace(300, 4000, count)[:, None, None]
        pixels = (levels + 200 * np.random.default_rng(1).standard_normal((count, 60, 60))).clip(1, 9000).astype(np.int16)
        found[folder] = tmp_path_factory.mktemp("made") / f"{folder}.tif"
        transform = rasterio.transform.from_origin(600_000, 5_000_000, 10, 10)
        profile = {"driver": "GTiff", "count": count, "height": 60, "width": 60, "dtype": "int16", "crs": "EPSG:32631"}
        with rasterio.open(found[folder], "w", transform=transform, **profile) as file:
            file.write(pixels)
    return found


@pytest.fixture(scope="module", params=["made", "real"])
def tiles(request: pytest.FixtureRequest, made: dict[str, Path]) -> dict[str, Path]:
    """Sensor's folder -> a tile whose layers stand in the sensor's order, without names."""
    if request.param == "made":
        return made
    root = request.getfixturevalue("shared_dir") / "tiles"
    return {folder: sorted((root / folder).glob("*.tif"))[0] for folder in SENSORS}


@pytest.fixture(scope="module", params=[10, 12])
def predictor(request: pytest.FixtureRequest, save_model: Callable[..., Path]) -> MsClipPredictor:
    folder = save_model(processor={"preset": request.param, "image_size": 48, "context_length": 32})
    return MsClipPredictor(folder, PredictorOptions(device="cpu"))


def write(tile: Path, out: Path, *, names: Sequence[str], order: Sequence[str], described: bool) -> Path:
    """The tile with its layers in another order, as the only image of a class."""
    with rasterio.open(tile) as file:
        profile, layers = file.profile, file.read()
    out.mkdir(parents=True)
    with rasterio.open(out / "tile.tif", "w", **profile) as file:
        file.write(layers[[names.index(name) for name in order]])
        for number, name in enumerate(order, start=1):
            if described:
                file.set_band_description(number, name)
    return out.parent


def sample(root: Path, **source: Any) -> Any:
    data = {"type": "ClassFolderDataset", "annotations": str(root)}
    images = {"multispectral": {"root": str(root), "pattern": "{name}", **source}}
    return DATASETS.build({**data, "images": images}).read(SampleKey(0, 0), np.random.default_rng(0))


def answers(predictor: MsClipPredictor, samples: Sequence[Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(what the model sees, its vector) of each."""
    for one in samples:
        yield predictor.prepare_image(one).numpy(), predictor.embed_images([one])


@every_sensor
@pytest.mark.parametrize("described", [True, False], ids=["named in the file", "named in the config"])
def test_every_order_gives_the_same_answer(
    folder: str, described: bool, tiles: dict[str, Path], predictor: MsClipPredictor, tmp_path: Path
) -> None:
    names, sensor = names_of(folder), SENSORS[folder]
    plain = sample(write(tiles[folder], tmp_path / "plain" / CLASS, names=names, order=names, described=False), sensor=sensor)
    orders = {name: order(names) for name, order in ORDERS.items()}
    changed = [
        sample(
            write(tiles[folder], tmp_path / name / CLASS, names=names, order=order, described=described),
            sensor=sensor,
            **({} if described else {"bands": order}),
        )
        for name, order in orders.items()
    ]
    (seen, vector), *others = answers(predictor, [plain, *changed])
    assert len(others) == 3 and np.isfinite(seen).all() and seen.std(axis=(1, 2)).min() > 0
    for pixels, found in others:
        np.testing.assert_array_equal(pixels, seen)
        np.testing.assert_array_equal(found, vector)


@every_sensor
def test_an_order_that_nothing_tells_changes_the_answer(
    folder: str, made: dict[str, Path], predictor: MsClipPredictor, tmp_path: Path
) -> None:
    """The control: layers in another order that are taken for the sensor's own are seen as other bands."""
    names, sensor = names_of(folder), SENSORS[folder]
    roots = [
        write(made[folder], tmp_path / name / CLASS, names=names, order=order, described=False)
        for name, order in {"plain": names, "reversed": names[::-1]}.items()
    ]
    (seen, _), (other, _) = answers(predictor, [sample(root, sensor=sensor) for root in roots])
    assert not np.allclose(seen, other)


def test_the_set_of_eurosat_reads_b8a_where_it_stands(tiles: dict[str, Path], predictor: MsClipPredictor, tmp_path: Path) -> None:
    """Its files name no layer; upstream drops its 10th and 11th, which are B10 and B11 there."""
    names = names_of("S2L1C")
    assert EUROSAT_BANDS[-1] == "B8A" and sorted(EUROSAT_BANDS) == sorted(names)
    roots = [
        write(tiles["S2L1C"], tmp_path / str(number) / CLASS, names=names, order=order, described=False)
        for number, order in enumerate([names, EUROSAT_BANDS])
    ]
    samples = [sample(roots[0], sensor="sentinel2_l1c"), sample(roots[1], sensor="sentinel2_l1c", bands=EUROSAT_BANDS)]
    (seen, vector), (other, found) = answers(predictor, samples)
    np.testing.assert_array_equal(other, seen)
    np.testing.assert_array_equal(found, vector)


def test_twelve_and_thirteen_layers_are_not_taken_for_each_other(made: dict[str, Path], tmp_path: Path) -> None:
    for number, (folder, sensor) in enumerate([("S2L1C", "sentinel2_l2a"), ("S2L2A", "sentinel2_l1c")]):
        root = write(made[folder], tmp_path / str(number) / CLASS, names=names_of(folder), order=names_of(folder), described=False)
        with pytest.raises(EOError, match=r"13.*12|12.*13"):
            sample(root, sensor=sensor)


def test_a_missing_band_is_named(made: dict[str, Path], predictor: MsClipPredictor, tmp_path: Path) -> None:
    names = names_of("S2L2A")
    root = write(made["S2L2A"], tmp_path / "all" / CLASS, names=names, order=names, described=False)
    fewer = sample(root, sensor="sentinel2_l2a", bands=["-" if name == "B11" else name for name in names])
    with pytest.raises(EOError, match="multispectral:B11, which the image does not have"):
        predictor.prepare_image(fewer)
