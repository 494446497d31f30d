"""Land-cover tiles become annotations; tiles that do not fit together are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.transform import from_origin

from eocore.converters.class_schemes import DYNAMIC_WORLD, ESRI, REFERENCE_TILES, WORLDCOVER
from eocore.converters.landcover import TileSet, check_registration, make_land_map, prepare_landcover, tile_names
from eocore.data.io.masks import decode_mask
from eocore.data.io.readers import read_class_map
from eocore.data.io.safe_pickle import read_plain_pickle
from eocore.data.records import MaskRef
from eocore.errors import ConfigError, DataError

GRID = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_400_000, 10, 10)}
RGB, MULTISPECTRAL, SAR, LABELS = "S2RGB", "S2L2A", "S1RTC", "LULC"


def write(path: Path, layers: np.ndarray, **changes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = layers.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": layers.dtype.name, **GRID, **changes}
    with rasterio.open(path, "w", **profile) as file:
        file.write(layers)
    return path


def class_map() -> np.ndarray:
    """(1, 50, 60): a lake in the north-west, two built areas, forest all around, a speck of bare ground, 2 px of cloud."""
    classes = np.full((1, 50, 60), 2, np.uint8)
    classes[0, 2:20, 3:23] = 1
    classes[0, 30:36, 10:20] = 5
    classes[0, 30:36, 40:50] = 5
    classes[0, 45, 45] = 6
    classes[0, 0, :2] = 8
    return classes


@pytest.fixture
def folders(tmp_path) -> TileSet:
    for name in ("a_1.tif", "b_2.tif"):
        write(tmp_path / LABELS / name, class_map())
        write(tmp_path / RGB / name, np.full((3, 50, 60), 90, np.uint8))
        write(tmp_path / MULTISPECTRAL / name, np.full((12, 50, 60), 900, np.int16))
        write(tmp_path / SAR / name, np.full((2, 50, 60), -12.0, np.float64))
    return TileSet(
        tmp_path / LABELS, {"rgb": tmp_path / RGB, "multispectral": tmp_path / MULTISPECTRAL, "sar": tmp_path / SAR}, REFERENCE_TILES
    )


def referring(folder: Path) -> dict[str, np.ndarray]:
    entries = [json.loads(line) for line in (folder / "referring.jsonl").read_text().splitlines()]
    return {
        f"{entry['image']}: {entry['expression']}": decode_mask(
            MaskRef("rle", entry["mask"]), (entry["height"], entry["width"]), source="test"
        )
        for entry in entries
    }


def test_phrases_of_classes_cover_the_class_in_the_map(folders, tmp_path):
    prepare_landcover(folders, tmp_path / "out")
    masks = referring(tmp_path / "out/train")
    assert {name.split(": ")[1] for name in masks if "area in" not in name and "largest" not in name} == {
        "forest",
        "water",
        "built area",
    }
    assert np.array_equal(masks["a_1: water"], class_map()[0] == 1)
    assert np.array_equal(masks["b_2: forest"], class_map()[0] == 2)


def test_entries_name_the_tiles(folders, tmp_path):
    prepare_landcover(folders, tmp_path / "out", split="val")
    assert {entry["image"] for entry in json.loads((tmp_path / "out/val/vqa.json").read_text())} == {"a_1.tif", "b_2.tif"}
    assert {entry["file_name"] for entry in json.loads((tmp_path / "out/val/mcq.json").read_text())} == {"a_1.json", "b_2.json"}
    assert {ref["split"] for ref in read_plain_pickle(tmp_path / "out/val/referring/refs(unc).p")} == {"val"}


def test_images_stay_in_place_or_are_copied(folders, tmp_path):
    prepare_landcover(folders, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.tif"))
    prepare_landcover(folders, tmp_path / "out", copy=True)
    for modality, source in folders.images.items():
        copies = sorted((tmp_path / "out/train" / modality).iterdir())
        assert [path.name for path in copies] == ["a_1.tif", "b_2.tif"]
        assert copies[0].read_bytes() == (source / "a_1.tif").read_bytes()


def test_same_seed_same_files(folders, tmp_path):
    for out in ("one", "again"):
        prepare_landcover(folders, tmp_path / out, seed=3)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "one")).read_bytes()


def test_objects_are_patches_of_fit_size_and_counted_where_clear():
    land = make_land_map(class_map()[0], REFERENCE_TILES.classes, min_area=0.01)
    assert [len(land.objects_of(number)) for number in (1, 2, 5, 6)] == [1, 1, 2, 0]
    assert land.countable == {1, 2, 5}
    doubtful = class_map()[0]
    doubtful[45:48, 2:9] = 5  # 21 of 3000 px: 0.7 %
    assert make_land_map(doubtful, REFERENCE_TILES.classes, min_area=0.01).countable == {1, 2}


def test_patches_touching_at_a_corner_are_one():
    diagonal = np.zeros((20, 20), np.uint8)
    diagonal[:10, :10] = diagonal[10:, 10:] = 1
    assert len(make_land_map(diagonal, REFERENCE_TILES.classes, min_area=0.01).objects_of(1)) == 1


def test_clouds_and_no_data_keep_classes_from_being_called_absent():
    classes = class_map()[0]
    assert 4 in make_land_map(classes, REFERENCE_TILES.classes, min_area=0.01).absent
    classes[:, 50:] = 8
    assert make_land_map(classes, REFERENCE_TILES.classes, min_area=0.01).absent == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform": from_origin(500_010, 5_400_000, 10, 10)}, "their corners lie 1.00 px apart"),
        ({"transform": from_origin(500_000, 5_400_000, 20, 20)}, "their corners lie 60.00 px apart"),
        ({"crs": "EPSG:32633"}, "CRS EPSG:32633 against EPSG:32632"),
    ],
)
def test_shifted_tiles_are_refused_by_name(folders, tmp_path, changes, message):
    write(tmp_path / SAR / "b_2.tif", np.zeros((2, 50, 60)), **changes)
    with pytest.raises(DataError, match=rf"S1RTC/b_2\.tif and .*LULC/b_2\.tif are not co-registered: {message}.*Resample") as error:
        prepare_landcover(folders, tmp_path / "out")
    assert "rio warp" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_tiles_of_another_size_are_refused(folders, tmp_path):
    write(tmp_path / MULTISPECTRAL / "a_1.tif", np.zeros((12, 25, 60), np.int16))
    with pytest.raises(DataError, match="not co-registered: 25 x 60 px against 50 x 60 px"):
        prepare_landcover(folders, tmp_path / "out")


def test_tiles_that_lie_nowhere_do_not_fit_those_that_do(tmp_path):
    placed = write(tmp_path / "placed.tif", np.zeros((1, 8, 8), np.uint8))
    loose = write(tmp_path / "loose.tif", np.zeros((1, 8, 8), np.uint8), crs=None, transform=rasterio.Affine.identity())
    with pytest.raises(DataError, match="only one of them says where it lies"):
        check_registration([placed, loose])


def test_rounding_of_the_transform_is_no_shift(tmp_path):
    one = write(tmp_path / "one.tif", np.zeros((1, 8, 8), np.uint8))
    other = write(tmp_path / "other.tif", np.zeros((1, 8, 8), np.uint8), transform=from_origin(500_000 + 1e-6, 5_400_000 - 1e-6, 10, 10))
    check_registration([one, other])


def test_missing_image_is_named(folders, tmp_path):
    (tmp_path / SAR / "b_2.tif").unlink()
    with pytest.raises(DataError, match=r"S1RTC: no b_2\.tif, although .*LULC has it; its questions would have no sar image"):
        tile_names(folders)


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no \.tif files, so there is nothing to prepare"):
        prepare_landcover(TileSet(tmp_path, {"sar": tmp_path}), tmp_path / "out")


def test_a_role_that_is_no_word_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="give one or more roles such as multispectral or sar"):
        TileSet(tmp_path, {"Radar 1": tmp_path})


def test_real_tiles(shared_dir, tmp_path):
    tiles = shared_dir / "tiles"
    folders = TileSet(tiles / LABELS, {"rgb": tiles / RGB, "multispectral": tiles / MULTISPECTRAL, "sar": tiles / SAR}, REFERENCE_TILES)
    written = prepare_landcover(folders, tmp_path)
    masks = referring(tmp_path / "train")
    assert len(masks) == written["referring.jsonl"] >= 10
    lakes = read_class_map(str(tiles / LABELS / "282D_485L_3_3.tif")) == 1
    assert np.array_equal(masks["282D_485L_3_3: water"], lakes)
    answers = {
        entry["image"]: entry["conversations"][1]["value"]
        for entry in json.loads((tmp_path / "train/vqa.json").read_text())
        if entry["type"] == "majority"
    }
    expected = {"282D_485L_3_3.tif": "water", "38D_378R_2_3.tif": "rangeland", "637U_59R_1_3.tif": "cropland"}
    assert answers and answers.items() <= expected.items(), "four kinds of question are drawn of five"


class TestNumbers:
    def prepare(self, folder: Path, labels: np.ndarray, *, scheme=None, **changes) -> list[str]:
        """The phrases of one tile."""
        write(folder / LABELS / "a.tif", labels[None].astype(np.uint8), **changes)
        place = {"transform": changes["transform"]} if "transform" in changes else {}
        write(folder / SAR / "a.tif", np.full((2, *labels.shape), -12.0, np.float32), **place)
        prepare_landcover(TileSet(folder / LABELS, {"sar": folder / SAR}, scheme), folder / "out")
        return sorted(phrase.split(": ", 1)[1] for phrase in referring(folder / "out/train"))

    @staticmethod
    def halves(first: int, second: int) -> np.ndarray:
        """The northern and the southern half."""
        return np.repeat([first, second], 32)[:, None] * np.ones((1, 64), int)

    def test_words_are_those_of_the_scheme(self, tmp_path):
        assert {"cropland", "built area"} <= set(self.prepare(tmp_path / "esri", self.halves(5, 7), scheme=ESRI))
        assert {"forest", "water"} <= set(self.prepare(tmp_path / "worldcover", self.halves(10, 80)))
        assert {"water", "built area"} <= set(self.prepare(tmp_path / "dynamic", self.halves(0, 6), scheme=DYNAMIC_WORLD))

    def test_a_scheme_that_is_not_told_is_refused_where_several_fit(self, tmp_path):
        with pytest.raises(ConfigError, match=r"5 \(2,048 px\), 7 \(2,048 px\), which .*esri"):
            self.prepare(tmp_path, self.halves(5, 7))

    def test_strange_numbers_write_nothing(self, tmp_path):
        with pytest.raises(DataError, match=r"80 \(2,048 px\), numbers that .*They fit worldcover"):
            self.prepare(tmp_path, self.halves(10, 80), scheme=ESRI)
        assert not (tmp_path / "out").exists()

    def test_pixels_without_data_are_unknown_ground(self, tmp_path):
        assert "water" not in self.prepare(tmp_path / "marked", self.halves(0, 6), scheme=DYNAMIC_WORLD, nodata=0)
        with pytest.raises(DataError, match="no valid pixel, none of which is a class"):
            self.prepare(tmp_path / "empty", self.halves(0, 0), scheme=WORLDCOVER, nodata=0)

    def test_maps_of_specks_are_an_empty_result(self, tmp_path):
        labels = np.zeros((64, 64), int)
        labels[3, 4] = 10
        with pytest.raises(
            DataError, match=r"nothing can be asked about these maps, which hold 0 \(4,095 px\), 10 \(1 px\).*Nothing was written"
        ):
            self.prepare(tmp_path, labels, scheme=WORLDCOVER)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("transform", [Affine(10, 0, 500_000, 0, 10, 5_399_360), Affine(0, -10, 500_640, 10, 0, 5_399_360)])
    def test_words_for_directions_are_true_on_the_ground(self, tmp_path, transform):
        """Rows that run north, and columns that do: the first rows are the south, or the east."""
        labels = np.full((64, 64), 30)
        labels[:16] = 80
        phrases = [phrase for phrase in self.prepare(tmp_path, labels, transform=transform) if phrase.startswith("water area")]
        direction = "south" if transform.e else "east"
        assert phrases == [] or all(direction in phrase for phrase in phrases)
        masks = referring(tmp_path / "out/train")
        water = next(mask for phrase, mask in masks.items() if phrase.endswith(": water"))
        assert (water[48:].all() and not water[:48].any()) if transform.e else (water[:, 48:].all() and not water[:, :48].any())
