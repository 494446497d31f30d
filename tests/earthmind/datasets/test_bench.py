"""EarthMind-Bench of several files, and lettered classes."""

import json
from pathlib import Path

import pytest

from earthmind.datasets.bench import EarthMindBenchFilesDataset, LetteredClassesDataset, read_letters
from eocore.errors import AnnotationError, DataError

IMAGES = {"rgb": {"root": "/nowhere", "pattern": "{stem}.png", "sensor": "rgb_uint8"}}
CHOICE = {"file_name": "1.json", "question": "What?", "candidate": ["road", "lake"], "answer": "lake", "task_type": "x"}
OPEN = {"file_name": "1.json", "question": "Why?", "answer": "Because.", "task_type": "x"}


def bench(folder: Path, task: str = "mcq", **files: list[dict]) -> EarthMindBenchFilesDataset:
    for name, entries in files.items():
        (folder / f"{name}.json").write_text(json.dumps(entries))
    listed = {name: f"{name}.json" for name in files}
    return EarthMindBenchFilesDataset(annotations=str(folder), files=listed, images=IMAGES, task=task)


def test_the_type_is_the_subtask_of_the_file(tmp_path: Path) -> None:
    source = bench(tmp_path, first=[CHOICE, CHOICE], second=[CHOICE])
    assert [record.meta["type"] for record in source.records] == ["first", "first", "second"]
    assert len({record.sample_id for record in source.records}) == 3


def test_open_questions_are_a_task_of_their_own(tmp_path: Path) -> None:
    assert bench(tmp_path, task="open", caption=[OPEN]).records[0].task == "open"


def test_a_file_by_either_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text(json.dumps([CHOICE]))
    files = {"counting": ["old.json", "new.json"]}
    assert len(EarthMindBenchFilesDataset(annotations=str(tmp_path), files=files, images=IMAGES)) == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file old.json or new.json of subtask 'counting'"):
        EarthMindBenchFilesDataset(annotations=str(tmp_path), files={"counting": ["old.json", "new.json"]}, images=IMAGES)


def test_choices_among_open_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"caption.json#1: subtask 'caption' asks without candidates, but this entry does have them"):
        bench(tmp_path, task="open", caption=[OPEN, CHOICE])


@pytest.mark.parametrize("form", ["{}. {}", "({}) {}", "{}: {}", "{}) {}"])
def test_letters_in_any_form_and_order(form: str) -> None:
    classes = ("Urban fabric", "Inland waters", "Beaches, dunes, sands")
    text = "Which? " + ", ".join(form.format(letter, label) for letter, label in zip("CAB", classes, strict=True))
    assert read_letters(text, classes) == {"A": "Inland waters", "B": "Beaches, dunes, sands", "C": "Urban fabric"}


def test_letters_with_a_gap_are_refused(tmp_path: Path) -> None:
    entry = {"id": 1, "image": "p.png", "question": "A. Urban fabric\nC. Inland waters", "answer": "A"}
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "rgb_1.png").touch()
    (tmp_path / "ms_test.jsonl").write_text(json.dumps(entry))
    with pytest.raises(AnnotationError, match="gives the letters A, C to the classes; expected A, B, C and so on"):
        LetteredClassesDataset(annotations=str(tmp_path / "ms_test.jsonl"), root=str(tmp_path), classes=["Urban fabric", "Inland waters"])
