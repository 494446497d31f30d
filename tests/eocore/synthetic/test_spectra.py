"""What the sensors see of the synthetic world."""

import numpy as np

from eocore.synthetic.landscape import BARE, BUILDINGS, CROPS, FOREST, GRASS, WATER, Layout
from eocore.synthetic.spectra import (
    OPTICAL_BANDS,
    REFLECTANCE,
    SIGMA0_DB,
    digital_numbers,
    optical_scene,
    sar_scene,
    true_colour,
)


def flat(class_id: int, size: int = 64) -> Layout:
    return Layout(np.full((size, size), class_id, np.uint8), np.zeros((size, size), np.int32))


def band(name: str, spectrum: tuple[float, ...] | np.ndarray) -> float:
    return spectrum[OPTICAL_BANDS.index(name)]


def ndvi(class_id: int) -> float:
    near, red = band("B08", REFLECTANCE[class_id]), band("B04", REFLECTANCE[class_id])
    return (near - red) / (near + red)


def test_spectra_have_the_marks_of_their_classes():
    assert ndvi(WATER) < 0 < ndvi(BUILDINGS) < ndvi(BARE) < ndvi(CROPS) < ndvi(GRASS) < ndvi(FOREST)
    assert band("B12", REFLECTANCE[WATER]) < 0.01
    assert band("B05", REFLECTANCE[FOREST]) < 0.5 * band("B06", REFLECTANCE[FOREST])
    assert all(
        band("B11", REFLECTANCE[BARE]) > value for name, value in zip(OPTICAL_BANDS, REFLECTANCE[BARE], strict=True) if name != "B11"
    )


def test_scene_means_come_near_the_class_means():
    for class_id, spectrum in REFLECTANCE.items():
        scene = optical_scene(flat(class_id), np.random.default_rng(class_id))
        assert scene.shape == (12, 64, 64)
        assert scene.dtype == np.float32
        assert np.abs(scene.mean((1, 2)) - spectrum).max() < 0.02 + 0.3 * max(spectrum)


def test_pairs_differ_in_the_optical_more_than_scenes_of_a_class_do():
    for one, other in ((WATER, BARE), (FOREST, CROPS)):
        scenes = {
            class_id: [optical_scene(flat(class_id), np.random.default_rng(i)).mean((1, 2)) for i in range(6)] for class_id in (one, other)
        }
        between = np.linalg.norm(np.mean(scenes[one], 0) - np.mean(scenes[other], 0))
        within = max(np.linalg.norm(np.std(scenes[class_id], 0)) for class_id in (one, other))
        assert between > 3 * within


def test_pairs_are_alike_in_sar_and_unlike_the_rest():
    for one, other in ((WATER, BARE), (FOREST, CROPS)):
        assert np.abs(np.subtract(SIGMA0_DB[one], SIGMA0_DB[other])).max() < 0.8
        rest = [SIGMA0_DB[class_id] for class_id in SIGMA0_DB if class_id not in (one, other)]
        assert min(np.abs(np.subtract(SIGMA0_DB[one], values)).max() for values in rest) > 4


def test_sar_has_the_level_of_the_class_and_the_speckle_of_its_looks():
    levels = np.array([sar_scene(flat(GRASS), np.random.default_rng(i)).mean((1, 2)) for i in range(30)])
    assert np.abs(levels.mean(0) - SIGMA0_DB[GRASS]).max() < 1.0  # the mean of decibels lies 0.44 dB below for 5 looks
    one = 10 ** (sar_scene(flat(WATER), np.random.default_rng(0)) / 10)
    assert 0.35 < one[0].std() / one[0].mean() < 0.6  # 1 / sqrt(5) = 0.45


def test_clouds_are_bright_and_leave_no_trace_of_the_ground():
    clouds = np.zeros((64, 64), bool)
    clouds[:, 32:] = True
    over_water, over_bare = (optical_scene(flat(class_id), np.random.default_rng(0), clouds=clouds) for class_id in (WATER, BARE))
    assert over_water[:8, :, 34:].min() > 0.3
    assert over_water[:, :, :30].max() < 0.15
    assert np.abs(over_water - over_bare)[:, :, 34:].max() < 0.03


def test_pictures_and_numbers_keep_their_range():
    reflectance = np.array([-0.1, 0.0, 0.1, 0.3558, 2.0], np.float32) * np.ones((12, 1, 1), np.float32)
    assert true_colour(reflectance)[0, :, 0].tolist() == [0, 0, 72, 255, 255]
    assert digital_numbers(reflectance)[0, 0].tolist() == [1, 1, 1000, 3558, 20000]
    assert digital_numbers(reflectance).dtype == np.int16
