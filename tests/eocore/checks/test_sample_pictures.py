"""Records drawn for people: masks half transparent with outlines, boxes as lines, SAR in grey, all words beside."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.checks.datasets import FoundDataset, open_dataset
from eocore.checks.report import show_datasets
from eocore.checks.sample_pictures import AS_READ, COLOURS, MAX_SIDE, MIN_SIDE, Stage, draw_stage, sample_rows
from eocore.checks.written_boxes import tell_scale
from eocore.data import registered as _registered_datasets  # noqa: F401  (registers the datasets that configs name)
from eocore.data.changes import Augmentation
from eocore.data.records import Expression, ImageRef, MaskRef, Record
from eocore.evaluate.scoring.parsing.reading_options import PIXELS
from eocore.portable.messages import read_turns
from eocore.sensors.orientation import Turn
from eocore.sensors.scene import Scene


def grey_scene(size: tuple[int, int] = (40, 40)) -> Scene:
    return Scene(np.full((2, *size), -10.0, np.float32), ("VV", "VH"), "sentinel1_grd", "sigma0_db", role="sar")


def record(*masks: MaskRef) -> Record:
    image = ImageRef("sar", "sentinel1_grd", ("a.tif",))
    expressions = tuple(Expression(f"thing {number}", mask) for number, mask in enumerate(masks))
    return Record("s1", (image,), expressions=(*expressions, Expression("nothing here", None)), source="a.jsonl:1")


def test_a_mask_is_tinted_and_outlined_and_a_box_is_a_line() -> None:
    stage = Stage(AS_READ, record(MaskRef("polygon", [[0, 0, 20, 0, 20, 20, 0, 20]]), MaskRef("box", [24, 24, 36, 36])), (grey_scene(),))
    (panel,) = draw_stage(stage).panels
    assert panel.image.shape == (MIN_SIDE, MIN_SIDE, 3)
    outside, inside = panel.image[300, 20], panel.image[80, 80]
    assert len(set(outside.tolist())) == 1, "SAR is grey"
    assert np.abs(inside.astype(int) - COLOURS[0]).max() > 0 and not (inside == outside).all(), "half transparent"
    assert (panel.image[0, 0] == COLOURS[0]).all() and (panel.image[159, 80] == COLOURS[0]).all(), "the outline has the full colour"
    assert (panel.image[192, 240] == COLOURS[1]).all() and (panel.image[287, 240] == COLOURS[1]).all(), "the edges of the box"
    assert (panel.image[240, 240] == outside).all(), "a box covers nothing"


def test_a_mask_of_a_file_whose_rows_run_north_is_drawn_where_the_scene_shows_it() -> None:
    turned = replace(grey_scene(), turn=Turn(reverse_rows=True))
    (panel,) = draw_stage(Stage(AS_READ, record(MaskRef("polygon", [[0, 0, 40, 0, 40, 10, 0, 10]])), (turned,))).panels
    plain, tinted = panel.image[20, 160], panel.image[300, 160]
    assert len(set(plain.tolist())) == 1 and len(set(tinted.tolist())) > 1, "the first stored rows are the southern ones"


def test_what_augmentation_left_as_it_was_comes_first_with_bands_without_data() -> None:
    scene = grey_scene()
    scene.pixels[1] = np.nan
    kept = replace(record(MaskRef("box", [0, 0, 8, 8])), augmentation=Augmentation(kept=("RandomCrop: the words",)))
    words = draw_stage(Stage(AS_READ, kept, (scene,))).words
    assert [(item.label, item.text) for item in words[:2]] == [("left as it is", "RandomCrop: the words"), ("sar without data", "VH")]


def talking(*texts: str, task: str = "") -> Record:
    return Record("s1", (ImageRef("sar", "sentinel1_grd", ("a.tif",)),), read_turns(list(texts)), task=task, source="a.jsonl:1")


def test_boxes_that_an_answer_writes_are_drawn_on_their_scale() -> None:
    told = talking("<image>\nWhere is it?", "At [60, 60, 90, 90], and [10, 80, 20, 95].")
    row = draw_stage(Stage(AS_READ, told, (grey_scene(),), box_scale=100))
    image = row.panels[0].image
    assert (image[192, 240] == COLOURS[0]).all() and (image[287, 240] == COLOURS[0]).all(), "the edges, 0.6 and 0.9 of 320 pixels"
    assert len(set(image[240, 240].tolist())) == 1, "a box covers nothing"
    assert (image[256, 40] == COLOURS[1]).all()
    assert [item.label for item in row.words[:2]] == ["box 1 of assistant", "box 2 of assistant"]
    assert row.words[0].text == "2 boxes, read on a scale of 0 to 100 (told by the range of all in the data set)"
    turned = replace(grey_scene(), turn=Turn(reverse_rows=True))
    (panel,) = draw_stage(Stage(AS_READ, told, (turned,), box_scale=100)).panels
    assert (panel.image[32, 240] == COLOURS[0]).all(), "stored rows are counted from the south"


def test_numbers_that_are_no_boxes_are_not_drawn() -> None:
    for record_ in (talking("<image>\nHow many?", "1, 2, 30, 40"), talking("<image>\nWhat? (2 words)", "B02 (blue) [1]")):
        (panel,) = draw_stage(Stage(AS_READ, record_, (grey_scene(),))).panels
        assert (panel.image == panel.image[0, 0]).all()
    asked = draw_stage(Stage(AS_READ, talking("<image>\nWhere?", "1, 2, 30, 40", task="grounding"), (grey_scene(),)))
    assert asked.words[0].label == "box 1 of assistant"


@pytest.mark.parametrize(("box", "scale"), [([100, 200, 500, 900], 1000.0), ([1, 2, 11, 7], PIXELS), ([0.1, 0.2, 0.5, 0.9], 1.0)])
def test_the_scale_is_told_by_all_boxes_of_a_data_set(
    conversations: dict[str, Any], tmp_path: Path, box: list[float], scale: float
) -> None:
    entries = json.loads((tmp_path / "talk.json").read_text())
    for entry in entries:
        entry["conversations"][1]["value"] = f"It is at {box}."
    (tmp_path / "talk.json").write_text(json.dumps(entries))
    _, dataset = open_dataset(FoundDataset(conversations))
    assert dataset is not None and tell_scale(dataset) == scale
    assert sample_rows(dataset, 1)[0].words[0].label == "box 1 of assistant"


def test_words_stand_beside_in_the_colours_of_their_masks() -> None:
    row = draw_stage(Stage("after the flip", record(MaskRef("box", [0, 0, 3, 3])), (grey_scene((900, 450)),)), several=True)
    assert row.title == "s1 (a.jsonl:1) (after the flip)" and row.panels[0].image.shape == (MAX_SIDE, 320, 3)
    assert [(item.label, item.text) for item in row.words] == [("phrase", "thing 0"), ("phrase without a target", "nothing here")]
    assert row.words[0].colour == COLOURS[0] and row.words[1].colour not in COLOURS


@pytest.fixture
def conversations(tmp_path: Path) -> dict[str, Any]:
    for number in range(3):
        Image.fromarray(np.full((8, 12, 3), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
    talk = [{"from": "human", "value": "<image>\nWhat is <b>it</b>?"}, {"from": "gpt", "value": "Water, $5 a litre."}]
    entries = [{"id": str(number), "image": str(number % 4), "conversations": talk} for number in range(8)]
    (tmp_path / "talk.json").write_text(json.dumps(entries))
    source = {"root": str(tmp_path), "pattern": "{stem}.png", "sensor": "rgb_uint8"}
    return {"type": "LlavaDataset", "annotations": str(tmp_path / "talk.json"), "images": {"rgb": source}}


def test_a_record_that_cannot_be_shown_says_why(conversations: dict[str, Any]) -> None:
    _, dataset = open_dataset(FoundDataset(conversations))
    assert dataset is not None
    rows = sample_rows(dataset, 4)
    assert [len(row.panels) for row in rows] == [1, 1, 1, 0]
    assert rows[3].words[0].label == "cannot be shown" and "3.png" in rows[3].words[0].text


def test_a_grid_for_each_dataset_and_one_page(conversations: dict[str, Any], tmp_path: Path) -> None:
    opened = [open_dataset(FoundDataset(conversations)), open_dataset(FoundDataset({**conversations, "annotations": "gone.json"}))]
    page = show_datasets(opened, tmp_path / "out", title="<i>samples</i>", count=3)
    (grid,) = (tmp_path / "out").glob("*.png")
    assert np.asarray(Image.open(grid)).shape[0] > 900
    text = page.read_text()
    assert page.name == "index.html" and "3 of 8 records" in text and "&lt;b&gt;it&lt;/b&gt;" in text and "<i>" not in text
    assert text.count("data:image/png") == 2 and "cannot be shown" in text, "the third has no file"
