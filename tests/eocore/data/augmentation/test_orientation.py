"""Flipped and turned records: what they say stays true of the land, and masks lie where the pixels are."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from earthmind.datasets.mcq import EarthMindBenchDataset
from eocore.data.augmentation.orientation import ALL_TURNS, RandomOrientation, TurnScenes, turn_record
from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.formats.llava import LlavaDataset
from eocore.data.formats.refer import ReferringJsonlDataset
from eocore.data.formats.regions import OspreyRegionDataset
from eocore.data.io.masks import decode_scene_mask
from eocore.data.records import Expression, ImageRef, MaskRef, Record
from eocore.errors import ConfigError
from eocore.portable.messages import read_turns
from eocore.sensors.orientation import Turn
from eocore.sensors.scene import Georeference, Scene
from eocore.synthetic.land_map import LandMap, QuestionOptions
from eocore.synthetic.landscape import BUILDINGS
from eocore.synthetic.phrases import DIRECTIONS, Phrase, direction_of, find_phrases
from eocore.synthetic.world import CLASSES, make_scene, write_world

TURNS = [turn for turn in ALL_TURNS if turn]
NAMES = {land_class.name: number for number, land_class in CLASSES.items()}


def scene_of(pixels: np.ndarray) -> Scene:
    place = Georeference("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_400_000.0))
    return Scene(pixels.astype(np.float32), ("VV",), "sentinel1_grd", "sigma0_db", 10.0, place, role="sar")


made = cache(partial(make_scene, "train"))


@cache
def turned_land(number: int, turn: Turn) -> LandMap:
    """The truth about a scene of the synthetic world, turned."""
    scene = made(number)
    layers = [turn.apply(layer) for layer in (scene.layout.class_map, scene.layout.objects)]
    visible = None if scene.clouds is None else turn.apply(~scene.clouds)
    return LandMap(layers[0], CLASSES, layers[1], frozenset({BUILDINGS}), scene.layout.nouns, visible)


def check_answer(question: str, answer: str, land: LandMap) -> None:
    """The answer to an open question is what the land map says."""
    asked = question.strip().splitlines()[0]
    if asked.startswith("Where is the "):
        truth = direction_of(land.class_map == NAMES[asked.removeprefix("Where is the ").rstrip("?")]) or ""
    elif asked.startswith("How many "):
        truth = str(len(land.objects_of(BUILDINGS)))
    elif asked.startswith("Is there more "):
        first, second = asked.removeprefix("Is there more ").rstrip("?").split(" than ")
        truth = "yes" if land.areas.get(NAMES[first], 0) > land.areas.get(NAMES[second], 0) else "no"
    elif asked.startswith("Is there "):
        truth = "yes" if NAMES[asked.removeprefix("Is there ").removesuffix(" in the image?")] in land.areas else "no"
    elif asked == "What covers most of the image?":
        truth = CLASSES[land.majority or 0].name
    elif asked.startswith("Which of these"):
        truth = answer
        assert (NAMES[answer] in land.areas) == ("not" not in asked)
    else:
        truth = answer
        assert asked in ("Describe the scene.", "What does the image show?") or "region" in asked
    assert answer == truth, (question, answer, truth)


@cache
def true_phrases(number: int, turn: Turn) -> list[Phrase]:
    """All phrases that point at one object of the turned land."""
    return find_phrases(turned_land(number, turn), np.random.default_rng(0), options=QuestionOptions(object_share=1.0))


def check_record_true(record: Record, turn: Turn, *, number: int) -> int:
    """Checks all that a turned record says; returns how much that is."""
    land, said = turned_land(number, turn), 0
    for question, answer in zip(record.turns[::2], record.turns[1::2], strict=True):
        check_answer(question.words, answer.words, land)
        said += 1
    if record.meta.get("candidates"):
        assert record.meta["answer"] == record.turns[1].words in record.meta["candidates"]
        assert all(option in record.turns[0].text for option in record.meta["candidates"])
    scene = TurnScenes(turn).scene(scene_of(made(number).sar[:1]))
    phrases = true_phrases(number, turn) if record.expressions else []
    for expression in record.expressions:
        assert expression.mask is not None
        mask = decode_scene_mask(expression.mask, scene, source="test")
        if expression.text in NAMES:
            np.testing.assert_array_equal(mask, land.class_map == NAMES[expression.text])
        else:
            assert any(phrase.text == expression.text and np.array_equal(phrase.mask, mask) for phrase in phrases), expression
        told = any(direction in expression.text.split() for direction in DIRECTIONS)
        assert expression.place == ("" if told else direction_of(mask) or "")
        said += 1
    names = [turn.words for turn in record.turns[1::2]] if record.regions else []
    for region, name in zip(record.regions, names, strict=True):
        mask = decode_scene_mask(region, scene, source="test")
        assert set(np.unique(land.class_map[mask])) == {NAMES[name]}
    return said


def world(folder: Path, count: int) -> Iterator[tuple[int, Record]]:
    """All records of some scenes, with the number of their scene."""
    write_world(folder, {"train": count})
    images = {"sar": {"root": str(folder / "train/sar"), "sensor": "sentinel1_grd"}}
    datasets: list[RecordDataset] = [
        EarthMindBenchDataset(annotations=str(folder / "train/mcq.json"), images=images),
        LlavaDataset(annotations=str(folder / "train/vqa.json"), images=images),
        LlavaDataset(annotations=str(folder / "train/caption.json"), images=images, task="caption"),
        OspreyRegionDataset(annotations=str(folder / "train/region.json"), images=images),
        ReferringJsonlDataset(annotations=str(folder / "train/referring.jsonl"), images=images, group="image"),
    ]
    for dataset in datasets:
        for record in dataset.records:
            yield int(Path(record.images[0].paths[0]).stem.split("_")[1]), record


def check_world(folder: Path, count: int) -> int:
    said = 0
    for number, record in world(folder, count):
        for turn in TURNS:
            turned = turn_record(record, turn, box_scale=None, name="test")
            assert not turned.augmentation.kept and turned.augmentation.changes == (TurnScenes(turn),)
            said += check_record_true(turned, turn, number=number)
    return said


def test_answers_of_the_synthetic_world_stay_true(tmp_path: Path) -> None:
    assert check_world(tmp_path, 2) >= 150


@pytest.mark.slow
def test_answers_of_the_synthetic_world_stay_true_in_ten_thousand_draws(tmp_path: Path) -> None:
    assert check_world(tmp_path, 95) >= 10_000


def test_the_check_of_answers_notices_words_that_did_not_change(tmp_path: Path) -> None:
    wrong = 0
    for number, record in world(tmp_path, 3):
        try:
            check_record_true(record, Turn(reverse_cols=True, reverse_rows=True), number=number)
        except AssertionError:
            wrong += 1
    assert wrong >= 3


def test_masks_boxes_polygons_and_pixels_move_together() -> None:
    pixels = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    marked = np.zeros((4, 6), bool)
    marked[1:3, 4:6] = True
    refs = [MaskRef("box", [4, 1, 6, 3]), MaskRef("polygon", [[4, 1, 6, 1, 6, 3, 4, 3]])]
    for turn in TURNS:
        turned = TurnScenes(turn).scene(scene_of(pixels))
        for ref in refs:
            mask = decode_scene_mask(ref, turned, source="test")
            np.testing.assert_array_equal(np.sort(turned.pixels[0][mask]), np.sort(pixels[0][marked]))
        assert turned.size == turn.size((4, 6)) and turned.gsd_m == 10.0


def test_a_turned_georeference_maps_each_pixel_where_it_was() -> None:
    pixels = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    for turn in TURNS:
        scene = TurnScenes(turn).scene(scene_of(pixels))
        assert scene.georeference is not None
        a, b, c, d, e, f = scene.georeference.transform
        for row, col in ((0, 0), (1, 3), (scene.size[0] - 1, scene.size[1] - 1)):
            east, north = a * (col + 0.5) + b * (row + 0.5) + c, d * (col + 0.5) + e * (row + 0.5) + f
            before = int((5_400_000.0 - north) // 10), int((east - 500_000.0) // 10)
            assert scene.pixels[0, row, col] == pixels[0][before]


def test_orientations_are_drawn_alike_and_the_same_for_the_same_generator() -> None:
    record = Record("a", (ImageRef("sar", "sentinel1_grd", ("a.tif",)),), read_turns(["<image>\nWhere?", "north"]))
    transform = RandomOrientation()
    drawn = [transform(record, np.random.default_rng(seed)) for seed in range(400)]
    assert drawn[:40] == [transform(record, np.random.default_rng(seed)) for seed in range(40)]
    answers = [turned.turns[1].text for turned in drawn]
    assert {answer: answers.count(answer) > 70 for answer in set(answers)} == dict.fromkeys(DIRECTIONS, True)
    assert {len(turned.augmentation.changes) for turned in drawn} == {0, 1}
    flips = {
        turned.augmentation.changes for turned in (RandomOrientation(rotations=False)(record, np.random.default_rng(s)) for s in range(80))
    }
    assert len(flips) == 4 and not any(change[0].turn.transpose for change in flips if change)


def test_a_record_with_unsafe_words_stays_as_it_is_and_says_why() -> None:
    images = (ImageRef("rgb", "rgb_uint8", ("a.png",)),)
    record = Record("a", images, read_turns(["<image>\nIs this North Korea?", "yes"]), source="a.json#3")
    transform = RandomOrientation(probability=1.0)
    kept = transform(record, np.random.default_rng(0))
    assert replace(kept, augmentation=record.augmentation) == record
    assert kept.augmentation.kept == ("RandomOrientation: 'Is this North Korea?' may be a name",) and not kept.augmentation.changes
    assert transform.unsafe_words(record) == kept.augmentation.kept[0]
    lowered = replace(record, turns=read_turns(["<image>\nsegment north korea", "yes"]), expressions=(Expression("North Korea", None),))
    assert transform(lowered, np.random.default_rng(0)).augmentation.kept


def test_coordinates_need_their_scale_and_labels_must_not_name_a_direction() -> None:
    images = (ImageRef("rgb", "rgb_uint8", ("a.png",)),)
    record = Record("a", images, read_turns(["<image>\nWhere is the lake?", "[100, 200, 300, 400]"]))
    turn = Turn(reverse_cols=True)
    assert "box_scale does not say" in turn_record(record, turn, box_scale=None, name="x").augmentation.kept[0]
    assert turn_record(record, turn, box_scale=1000, name="x").turns[1].text == "[700, 200, 900, 400]"
    labelled = Record("a", images, labels=("north slope",))
    assert "the class must stay" in turn_record(labelled, turn, box_scale=None, name="x").augmentation.kept[0]


@pytest.mark.parametrize(
    ("options", "match"),
    [({"flips": False, "rotations": False}, "both off"), ({"probability": 2}, "from 0 to 1"), ({"box_scale": "percent"}, "fractions of")],
)
def test_wrong_options_are_refused(options: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        RandomOrientation(**options)


def test_a_key_of_a_sample_is_enough(tmp_path: Path) -> None:
    write_world(tmp_path, {"train": 1})
    images = {"sar": {"root": str(tmp_path / "train/sar"), "sensor": "sentinel1_grd"}}
    dataset = LlavaDataset(annotations=str(tmp_path / "train/vqa.json"), images=images, transforms=[{"type": "RandomOrientation"}])
    loads = [[dataset.load(SampleKey(epoch, 0), seed=5) for epoch in range(8)] for _ in range(2)]
    for (record, scenes, _), (again, others, _) in zip(*loads, strict=True):
        assert record == again
        np.testing.assert_array_equal(scenes[0].pixels, others[0].pixels)
    assert len({record.augmentation.changes for record, _, _ in loads[0]}) > 2
