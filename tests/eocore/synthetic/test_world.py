"""The synthetic world: deterministic, in the published formats, and made so that clouds take the optical and SAR together."""

import json
from collections import Counter

import numpy as np
import pytest
import rasterio
from scipy.ndimage import label, median_filter, uniform_filter

from eocore.data.io.readers import read_class_map, read_scene
from eocore.data.records import ImageRef
from eocore.errors import ConfigError
from eocore.synthetic.landscape import BARE, BUILDINGS, CROPS, FOREST, GRASS, WATER
from eocore.synthetic.spectra import CLOUD, REFLECTANCE, SIGMA0_DB
from eocore.synthetic.world import CLASSES, SyntheticScene, WorldOptions, make_scene, write_world

NUMBER_OF_SCENES = 40
LIKE_IN_SAR = {WATER: 0, BARE: 0, GRASS: 1, FOREST: 2, CROPS: 2, BUILDINGS: 3}
CLOUDED = 0


def test_a_scene_is_a_function_of_seed_split_and_number():
    one, again = make_scene("train", 5, seed=1, size=64), make_scene("train", 5, seed=1, size=64)
    assert np.array_equal(one.optical, again.optical)
    assert np.array_equal(one.sar, again.sar)
    assert one.questions.choices == again.questions.choices
    for other in (make_scene("train", 6, seed=1, size=64), make_scene("val", 5, seed=1, size=64), make_scene("train", 5, seed=2, size=64)):
        assert not np.array_equal(one.sar, other.sar)


def test_unknown_split_and_small_size_are_refused():
    with pytest.raises(ConfigError, match="no split 'dev'; splits are train, val, test"):
        make_scene("dev", 0)
    with pytest.raises(ConfigError, match="size 40 px leaves objects too few pixels; use 48 or more"):
        make_scene("train", 0, size=40)


def test_half_of_the_scenes_are_cloudy():
    scenes = [make_scene("train", number, size=48) for number in range(80)]
    assert 0.35 < np.mean([scene.clouds is not None for scene in scenes]) < 0.65


def test_a_world_without_clouds_has_the_same_ground(tmp_path):
    usual, clear = ([make_scene("train", number, size=48, **cloudy) for number in range(8)] for cloudy in ({}, {"cloudy": 0.0}))
    assert any(scene.clouds is not None for scene in usual) and all(scene.clouds is None for scene in clear)
    assert all(np.array_equal(one.layout.class_map, other.layout.class_map) for one, other in zip(usual, clear, strict=True))
    write_world(tmp_path, {"train": 6}, size=48, options=WorldOptions(cloudy=0.0))
    assert not any(entry["cloudy"] for entry in json.loads((tmp_path / "train/vqa.json").read_text()))


def test_referred_things_are_partly_seen_under_clouds():
    clouded = [scene for scene in (make_scene("test", number) for number in range(30)) if scene.clouds is not None]
    masks = [(phrase.mask, scene.clouds) for scene in clouded for phrase in scene.questions.phrases]
    assert len(masks) > 2 * len(clouded) > 0
    for mask, clouds in masks:
        assert 0.35 <= clouds[mask].mean() <= 0.8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    return root, write_world(root, {"train": 3, "test": 2}, size=64, seed=4)


def test_files_lie_where_configs_look(world):
    root, written = world
    for split, count in (("train", 3), ("test", 2)):
        for folder, ending in (("multispectral", "tif"), ("sar", "tif"), ("rgb", "png"), ("landcover", "tif")):
            assert sorted(path.name for path in (root / split / folder).iterdir()) == [f"{split}_{i:05d}.{ending}" for i in range(count)]
        assert written[split]["vqa.json"] == len(json.loads((root / split / "vqa.json").read_text())) > 0


def test_images_read_back_as_they_were_made(world):
    root, _ = world
    scene = make_scene("train", 1, seed=4, size=64)
    optical = read_scene(ImageRef("multispectral", "sentinel2_l2a", (str(root / "train/multispectral/train_00001.tif"),)))
    sar = read_scene(ImageRef("sar", "sentinel1_rtc", (str(root / "train/sar/train_00001.tif"),)))
    assert np.abs(optical.pixels - scene.optical).max() <= 0.5e-4 + 1e-6
    assert np.array_equal(sar.pixels, scene.sar)
    assert optical.georeference == sar.georeference
    assert optical.gsd_m == 10
    assert np.array_equal(read_class_map(str(root / "train/landcover/train_00001.tif")), scene.layout.class_map)


def test_scenes_lie_apart_on_the_map(world):
    root, _ = world
    bounds = [rasterio.open(path).bounds for path in sorted(root.glob("*/sar/*.tif"))]
    assert len(bounds) == 5
    for index, one in enumerate(bounds):
        assert all(rasterio.coords.disjoint_bounds(one, other) for other in bounds[:index])


# What the world is for: an optical oracle names but cannot outline under clouds, a SAR oracle outlines but cannot name, both together can.


def optical_classes(scene: SyntheticScene) -> np.ndarray:
    """(H, W) nearest class mean by reflectance, 0 under clouds."""
    numbers = [*REFLECTANCE, CLOUDED]
    means = np.sqrt(np.array([*REFLECTANCE.values(), CLOUD]))  # (7, 12)
    pixels = np.sqrt(np.stack([median_filter(layer, 3) for layer in scene.optical]))
    return np.array(numbers)[((pixels[None] - means[:, :, None, None]) ** 2).sum(1).argmin(0)]


def sar_classes(scene: SyntheticScene) -> np.ndarray:
    """(H, W) nearest class mean by backscatter, then for each connected patch of like backscatter together."""
    level = 10 * np.log10(np.stack([uniform_filter(10 ** (layer / 10), 5) for layer in scene.sar]))
    means = np.array(list(SIGMA0_DB.values()))
    nearest = np.array(list(SIGMA0_DB))[((level[None] - means[:, :, None, None]) ** 2).sum(1).argmin(0)]
    classes = median_filter(nearest, 5)
    for patch, members in patches(classes):
        mean = level[:, patch].mean(1)
        classes[patch] = min(members, key=lambda c: float(((mean - SIGMA0_DB[c]) ** 2).sum()))
    return classes


def patches(classes: np.ndarray) -> list[tuple[np.ndarray, list[int]]]:
    """Connected patches of like backscatter, each with the classes it may be."""
    group = np.vectorize(LIKE_IN_SAR.get)(classes)
    found = []
    for number in range(4):
        parts, count = label(group == number)
        members = [class_id for class_id, of in LIKE_IN_SAR.items() if of == number]
        found += [(parts == part, members) for part in range(1, count + 1)]
    return found


def fused_classes(optical: np.ndarray, sar: np.ndarray) -> np.ndarray:
    """Outlines from SAR under the clouds, names from the part of the patch that the optical shows."""
    classes = optical.copy()
    for patch, members in patches(sar):
        seen = optical[patch & np.isin(optical, members)]
        name = np.bincount(seen).argmax() if len(seen) > 4 else sar[patch][0]
        classes[patch & (optical == CLOUDED)] = name
    return median_filter(classes, 3)


@pytest.fixture(scope="module")
def oracles() -> list[tuple[SyntheticScene, dict[str, np.ndarray]]]:
    """Cloudy scenes with the class maps of the three oracles."""
    results = []
    for scene in (make_scene("test", number) for number in range(NUMBER_OF_SCENES)):
        if scene.clouds is not None:
            optical, sar = optical_classes(scene), sar_classes(scene)
            results.append((scene, {"optical": optical, "sar": sar, "fused": fused_classes(optical, sar)}))
    return results


def test_clouds_take_both_sensors_to_outline_what_is_named(oracles):
    overlaps: dict[str, list[float]] = {"optical": [], "sar": [], "fused": []}
    for scene, maps in oracles:
        for phrase in scene.questions.phrases:
            for name, classes in maps.items():
                if phrase.kind == "class":
                    found = classes == phrase.class_id
                    overlaps[name].append((found & phrase.mask).sum() / (found | phrase.mask).sum())
    mean = {name: np.mean(values) for name, values in overlaps.items()}
    assert mean["fused"] > 0.6
    assert mean["fused"] > max(mean["optical"], mean["sar"]) + 0.15


def pick(choice, classes: np.ndarray) -> str:
    """The candidate that fits a class map best."""
    if choice.kind == "object_counting":
        parts, count = label(classes == BUILDINGS)
        large = sum((parts == part).sum() >= 40 for part in range(1, count + 1))
        return min(choice.candidates, key=lambda number: abs(int(number) - large))
    if choice.kind == "spatial_relationship":
        name = choice.text.removeprefix("Where is the ").removesuffix("?")
        rows, columns = np.nonzero(classes == next(c for c, land_class in CLASSES.items() if land_class.name == name))
        down, right = (rows.mean(), columns.mean()) - np.array(classes.shape) / 2 if len(rows) else (0.0, 0.0)
        return max(choice.candidates, key={"north": -down, "south": down, "east": right, "west": -right}.get)
    areas = {land_class.name: (classes == class_id).sum() for class_id, land_class in CLASSES.items()}
    return (min if choice.kind == "hallucination_detection" else max)(choice.candidates, key=areas.get)


def test_clouds_take_both_sensors_to_choose_right(oracles):
    right: Counter[str] = Counter()
    choices = [(choice, maps) for scene, maps in oracles for choice in scene.questions.choices]
    for choice, maps in choices:
        for name, classes in maps.items():
            right[name] += pick(choice, classes) == choice.answer
    share = {name: number / len(choices) for name, number in right.items()}
    assert share["fused"] > 0.85
    assert share["fused"] > max(share["optical"], share["sar"]) + 0.1


def test_answers_cannot_be_guessed_from_the_text():
    answers: dict[str, Counter[str]] = {}
    choices = [choice for number in range(150) for choice in make_scene("train", number, size=48).questions.choices]
    for choice in choices:
        answers.setdefault(choice.kind, Counter())[choice.answer] += 1
    guessed = [max(choice.candidates, key=lambda name: answers[choice.kind][name]) == choice.answer for choice in choices]
    assert np.mean(guessed) < 0.4
