"""The annotation files, read back in their published formats."""

import json

import numpy as np
import pytest

from eocore.data.io.masks import decode_mask
from eocore.data.io.safe_pickle import read_plain_pickle
from eocore.data.records import MaskRef
from eocore.errors import DataError
from eocore.synthetic.annotation_files import ReferTables, SceneNotes, write_annotations
from eocore.synthetic.land_map import LandClass
from eocore.synthetic.phrases import Phrase, Region
from eocore.synthetic.questions import Choice, Question, Questions

CLASSES = {1: LandClass("water"), 2: LandClass("grass")}
MASK = np.zeros((40, 60), bool)
MASK[10:25, 30:50] = True


@pytest.fixture
def scene() -> SceneNotes:
    questions = Questions(
        phrases=(Phrase("water", MASK, "class", 1), Phrase("lake in the east", MASK, "object", 1)),
        questions=(Question("Is there water in the image?", "yes", "presence"),),
        choices=(Choice("Where is the water?", ("east", "west", "north", "south"), "east", "spatial_relationship"),),
        captions=("The scene shows mostly grass with water.",),
        regions=(Region(MASK, "water"),),
    )
    return SceneNotes("train_00007", (40, 60), questions, {"cloudy": True})


@pytest.fixture
def folder(tmp_path, scene):
    empty = SceneNotes("train_00008", (40, 60), Questions((), (), (), (), ()), {"cloudy": False})
    write_annotations(tmp_path, [scene, empty], split="train", classes=CLASSES)
    return tmp_path


def load(path):
    return json.loads(path.read_text())


def same_mask(rle) -> bool:
    return np.array_equal(decode_mask(MaskRef("rle", rle), (40, 60), source="test"), MASK)


def test_llava(folder):
    assert load(folder / "vqa.json") == [
        {
            "id": "train_00007_vqa0",
            "image": "train_00007.png",
            "conversations": [{"from": "human", "value": "<image>\nIs there water in the image?"}, {"from": "gpt", "value": "yes"}],
            "type": "presence",
            "cloudy": True,
        }
    ]
    (caption,) = load(folder / "caption.json")
    assert caption["conversations"][1]["value"] == "The scene shows mostly grass with water."
    assert caption["conversations"][0]["value"].startswith("<image>\n")


def test_earthmind_bench(folder):
    assert load(folder / "mcq.json") == [
        {
            "file_name": "train_00007.json",
            "question": "Where is the water?",
            "candidate": ["east", "west", "north", "south"],
            "answer": "east",
            "task_type": "spatial_relationship",
            "cloudy": True,
        }
    ]


def test_osprey(folder):
    (entry,) = load(folder / "region.json")
    assert (entry["file_name"], entry["height"], entry["width"], entry["description"]) == ("train_00007.png", 40, 60, ["water"])
    assert same_mask(entry["annotation"][0]["segmentation"])


def test_own_referring_form(folder):
    entries = [json.loads(line) for line in (folder / "referring.jsonl").read_text().splitlines()]
    assert [(entry["sample_id"], entry["expression"]) for entry in entries] == [
        ("train_00007_ref0", "water"),
        ("train_00007_ref1", "lake in the east"),
    ]
    assert {(entry["image"], entry["height"], entry["width"], entry["cloudy"]) for entry in entries} == {("train_00007", 40, 60, True)}
    assert same_mask(entries[0]["mask"])


def test_refer(folder):
    refs = read_plain_pickle(folder / "referring" / "refs(unc).p")
    instances = load(folder / "referring" / "instances.json")
    assert [ref["sentences"][0]["sent"] for ref in refs] == ["water", "lake in the east"]
    assert {(ref["split"], ref["image_id"], ref["file_name"], ref["cloudy"]) for ref in refs} == {("train", 1, "train_00007.png", True)}
    annotations = {entry["id"]: entry for entry in instances["annotations"]}
    first = annotations[refs[0]["ann_id"]]
    assert (first["bbox"], first["area"], first["category_id"]) == ([30, 10, 20, 15], 300, 1)
    assert same_mask(first["segmentation"])
    assert [image["file_name"] for image in instances["images"]] == ["train_00007.png", "train_00008.png"]
    assert instances["categories"] == [{"id": 1, "name": "water"}, {"id": 2, "name": "grass"}]


def test_numbers_of_entries(tmp_path, scene):
    written = write_annotations(tmp_path, [scene, scene], split="val", classes=CLASSES)
    assert written == {"vqa.json": 2, "caption.json": 2, "mcq.json": 2, "region.json": 2, "referring.jsonl": 4, "refs(unc).p": 4}


def test_images_keep_the_ending_they_have(scene):
    notes = SceneNotes(scene.scene_id, scene.size, scene.questions, suffix=".tif")
    tables = ReferTables(split="train", classes=CLASSES)
    tables.add(notes)
    assert tables.refs[0]["file_name"] == tables.instances["images"][0]["file_name"] == "train_00007.tif"


def test_an_empty_mask_is_refused(scene):
    empty = Questions((Phrase("snow", np.zeros((40, 60), bool), "class", 2),), (), (), (), ())
    with pytest.raises(DataError, match="'snow' points at no pixel; an annotation needs a mask with one at least"):
        ReferTables(split="train", classes=CLASSES).add(SceneNotes("a", (40, 60), empty))
