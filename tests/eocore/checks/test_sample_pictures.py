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
from eocore.data import registered as _registered_datasets  # noqa: F401  (registers the datasets that configs name)
from eocore.data.records import Expression, ImageRef, MaskRef, Record
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
