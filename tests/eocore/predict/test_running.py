"""A run over many images: batches, what one bad file costs, going on after a stop, and the tables."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from eocore.errors import DataError, OutputError
from eocore.evaluate.protocols import Sample
from eocore.folder_lock import FolderLock
from eocore.predict.answer_log import describe_failed
from eocore.predict.asking import Question
from eocore.predict.items import Item, find_items
from eocore.predict.many import Asking
from eocore.predict.running import RunOptions, predict_many


class Bright:
    """Says how bright an image is and draws its bright half; refuses black images. Notes the sizes of its batches."""

    boxes_by_masks = False

    def __init__(self, stop_after: int = 99) -> None:
        self.batches: list[int] = []
        self.stop_after = stop_after

    def answerer(self, max_new_tokens: int) -> Any:
        return self._answer

    def _answer(self, samples: Sequence[Sample]) -> list[Any]:
        if len(self.batches) == self.stop_after:
            raise KeyboardInterrupt
        self.batches.append(len(samples))
        if any(not scenes[0].pixels.any() for _, scenes in samples):
            raise DataError("black images show nothing.")
        masks = [scenes[0].pixels[:1] > scenes[0].pixels[:1].mean() for _, scenes in samples]
        words = [f"{record.turns[0].words} {scenes[0].pixels.mean():.0f}" for record, scenes in samples]
        return [
            SimpleNamespace(text=text, masks=mask if text.startswith("Draw") else mask[:0]) for text, mask in zip(words, masks, strict=True)
        ]


def write(path: Path, value: int, *, place: bool = True) -> None:
    path.unlink(missing_ok=True)
    pixels = np.full((3, 4, 6), value, np.uint8)
    pixels[:, :, 3:] += 20 if value else 0
    if not place:
        Image.fromarray(np.moveaxis(pixels, 0, -1)).save(path)
        return
    place_of = {"crs": "EPSG:32632", "transform": Affine(10, 0, 500_000 + value, 0, -10, 5_600_000)}
    with rasterio.open(path, "w", driver="GTiff", count=3, height=4, width=6, dtype="uint8", **place_of) as file:
        file.write(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(5):
        write(tmp_path / "in" / f"{number}.tif", 10 * (number + 1))
    return tmp_path


def run(
    folder: Path,
    predictor: Any,
    *,
    text: str = "Draw it.",
    overwrite: bool = False,
    formats: Sequence[str] = (),
    items: list[Item] | None = None,
) -> list[dict[str, Any]]:
    items = find_items([str(folder / "in")], options={}) if items is None else items
    asking = Asking(Question(text), batch_size=2)
    options = RunOptions(folder / "out", formats, overwrite)
    return predict_many(predictor, items, asking=asking, choices={"text": text}, options=options)


def lines_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {line["id"]: line for line in map(json.loads, (folder / "out" / "answers.jsonl").read_text().splitlines())}


def test_all_are_answered_in_batches_with_masks_as_files(folder: Path) -> None:
    predictor = Bright()
    lines = run(folder, predictor)
    assert predictor.batches == [2, 2, 1] and [line["id"] for line in lines] == list("01234") and list(lines_of(folder)) == list("01234")
    assert lines[1]["answer"] == "Draw it. 30" and lines[1]["sensors"] == {"rgb": "rgb_uint8"}
    assert lines[1]["masks"] == [{"files": ["masks/1_01.png", "masks/1_01.tif"], "pixels": 12}]
    with rasterio.open(folder / "out" / "masks" / "1_01.tif") as mask:
        assert mask.crs.to_epsg() == 32632 and mask.read(1).sum() == 12


def test_a_bad_file_and_one_that_the_model_refuses_cost_no_other_its_answer(folder: Path) -> None:
    (folder / "in" / "1.tif").write_bytes(b"II*\0 cut short")
    write(folder / "in" / "2.tif", 0)
    lines = run(folder, Bright())
    failed = {line["id"]: line["error"] for line in lines if "error" in line}
    assert set(failed) == {"1", "2"} and "cannot be read as GeoTIFF" in failed["1"] and failed["2"] == "black images show nothing."
    told = describe_failed(lines)
    assert told[-1] == "2 of 5 items have no answer (1; 2); the same command tries them again" and len(told) == 3
    write(folder / "in" / "1.tif", 50)
    predictor = Bright()
    lines = run(folder, predictor)
    assert sum(predictor.batches) == 2 + 1 + 1 and [line["id"] for line in lines if "error" in line] == ["2"]
    assert describe_failed([line for line in lines if line["id"] != "2"]) == []


def test_a_run_that_was_stopped_goes_on_where_it_was(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(folder, Bright(stop_after=1))
    assert list(lines_of(folder)) == ["0", "1"]
    with (folder / "out" / "answers.jsonl").open("a") as file:
        file.write('{"id": "2", "answer": "half a li')
    predictor = Bright()
    assert len(run(folder, predictor)) == 5 and predictor.batches == [2, 1]
    predictor = Bright()
    assert len(run(folder, predictor)) == 5 and predictor.batches == []


def test_an_image_that_has_changed_is_asked_again(folder: Path) -> None:
    before = run(folder, Bright())
    write(folder / "in" / "3.tif", 90)
    predictor = Bright()
    after = run(folder, predictor)
    assert predictor.batches == [1] and before[3]["answer"] != after[3]["answer"] and before[2] == after[2]


def test_answers_of_another_question_are_not_mixed(folder: Path) -> None:
    run(folder, Bright())
    with pytest.raises(DataError, match=r"holds answers for another text, which would be mixed.*--overwrite"):
        run(folder, Bright(), text="How bright?")
    lines = run(folder, Bright(), text="How bright?", overwrite=True)
    assert lines[0]["answer"] == "How bright? 20" and not (folder / "out" / "masks").exists()


def test_fewer_items_leave_the_answers_of_the_others(folder: Path) -> None:
    run(folder, Bright())
    lines = run(folder, Bright(), items=find_items([str(folder / "in" / "4.tif")], options={}))
    assert [line["id"] for line in lines] == ["4"] and set(lines_of(folder)) == set("01234")


def test_a_folder_in_use_is_refused(folder: Path) -> None:
    lock = FolderLock(folder / "out")
    assert lock.take() is None
    with pytest.raises(OutputError, match="is writing answers to it"):
        run(folder, Bright())
    lock.release()


def test_tables_hold_a_row_an_item_and_a_feature_a_mask(folder: Path) -> None:
    write(folder / "in" / "z.png", 70, place=False)
    write(folder / "in" / "y.tif", 0)
    run(folder, Bright(), formats=("csv", "geojson"))
    with (folder / "out" / "answers.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows["0"]["answer"] == "Draw it. 20" and rows["0"]["masks"] == "masks/0_01.png" and rows["0"]["mask_pixels"] == "12"
    assert rows["y"]["error"] == "black images show nothing." and rows["y"]["question"] == "Draw it."
    features = json.loads((folder / "out" / "answers.geojson").read_text())["features"]
    found = {feature["properties"]["id"]: feature for feature in features}
    assert found["z"]["geometry"] is None and found["y"]["geometry"] is None
    assert found["0"]["geometry"]["type"] == "MultiPolygon" and found["0"]["properties"]["pixels"] == 12
    ring = np.array(found["0"]["geometry"]["coordinates"][0][0])
    assert ring.min(0) == pytest.approx([9.0006, 50.5506], abs=1e-3) and np.ptp(ring[:, 0]) == pytest.approx(30 / 70_870, rel=0.01)
    run(folder, Bright(), text="Is it?", overwrite=True, formats=("geojson",))
    outline = json.loads((folder / "out" / "answers.geojson").read_text())["features"][0]
    assert outline["geometry"]["type"] == "Polygon" and len(outline["geometry"]["coordinates"][0]) == 5
