"""Question answering: RSVQA as released and through GeoChat-Bench, VRSBench."""

import json
from pathlib import Path

import pytest

from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.questions import SINGLE_WORD
from eocore.evaluate.benchmarks.vqa import RsvqaDataset, RsvqaQuestionDataset

IMAGES = {"rgb": {"root": "/nowhere", "pattern": "{name}.tif", "sensor": "rgb_uint8"}}


def write(folder: Path, *, questions: list[dict], answers: list[dict]) -> str:
    (folder / "x_questions.json").write_text(json.dumps({"questions": questions}))
    (folder / "x_answers.json").write_text(json.dumps({"answers": answers}))
    return str(folder / "x_questions.json")


QUESTION = {"id": 5, "img_id": 0, "type": "presence", "question": "Is there a road?", "answers_ids": [9], "active": True}
ANSWER = {"id": 9, "question_id": 5, "answer": "yes", "active": True}


def test_withdrawn_questions_are_left_out(load, published: Path) -> None:
    listed = json.loads((published / "RSVQA_LR/LR_split_test_questions.json").read_text())["questions"]
    source = load("rsvqa_lr")
    assert len(source) == sum(entry["active"] for entry in listed) < len(listed)


def test_rsvqa_asks_for_a_short_answer_and_knows_the_type(load, first) -> None:
    record, scenes = first(load("rsvqa_lr"))
    assert record.turns[0].text.endswith("\nAnswer the question using a single word or phrase.")
    assert record.meta["type"] == "presence"
    assert "rgb" in scenes


def test_only_the_types_asked_for(load) -> None:
    assert {record.meta["type"] for record in load("rsvqa_hr_phili").records} == {"presence", "comp"}


def test_hrben_finds_its_answers_by_question(load, published: Path) -> None:
    table = json.loads((published / "HRBEN_questions/USGS_split_test_phili_answers.json").read_text())["answers"]
    answers = {str(entry["question_id"]): entry["answer"] for entry in table}
    source = load("rsvqa_hrben")
    assert [record.meta["answer"] for record in source.records] == [answers[record.sample_id] for record in source.records]


def test_vrsbench_types_are_those_its_authors_report(load) -> None:
    kinds = {record.meta["type"] for record in load("vrsbench_vqa").records}
    assert kinds <= {"presence", "quantity", "category", "scene"}
    assert {"presence", "scene"} <= kinds


def test_vrsbench_asks_for_a_short_answer_on_a_line_of_its_own(load) -> None:
    lines = load("vrsbench_vqa").records[0].turns[0].text.split("\n")
    assert (lines[0], len(lines), lines[-1]) == ("<image>", 3, SINGLE_WORD)


def test_vrsbench_captions_carry_their_reference(load) -> None:
    record = load("vrsbench_caption").records[0]
    assert record.task == "caption"
    assert record.meta["references"] == [record.turns[1].text]


def test_a_question_without_answer_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, questions=[QUESTION, {**QUESTION, "id": 6}], answers=[ANSWER])
    with pytest.raises(AnnotationError, match=r"questions#1: question 6 has no answer in the file of answers"):
        RsvqaDataset(annotations=file, images=IMAGES)


def test_two_answers_to_one_question_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, questions=[QUESTION], answers=[ANSWER, {**ANSWER, "answer": "no"}])
    with pytest.raises(AnnotationError, match=r"answers#1: question 5 has the answers 'yes' and 'no'"):
        RsvqaDataset(annotations=file, images=IMAGES)


def test_a_withdrawn_answer_does_not_count(tmp_path: Path) -> None:
    file = write(tmp_path, questions=[QUESTION], answers=[{**ANSWER, "answer": "no", "active": False}, ANSWER])
    assert RsvqaDataset(annotations=file, images=IMAGES).records[0].meta["answer"] == "yes"


def test_the_same_question_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, questions=[], answers=[ANSWER])
    entry = {"image": "0.tif", "question_id": 5, "category": "presence", "text": "Is there a road?"}
    (tmp_path / "hrben.jsonl").write_text(f"{json.dumps(entry)}\n{json.dumps(entry)}\n")
    with pytest.raises(AnnotationError, match=r"hrben.jsonl:2: sample id '5' is taken by"):
        RsvqaQuestionDataset(annotations=str(tmp_path / "hrben.jsonl"), answers=str(tmp_path / "x_answers.json"), images=IMAGES)


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x_answers.json").write_text("[]")
    (tmp_path / "x_questions.json").write_text("[]")
    with pytest.raises(AnnotationError, match="expected an object with 'answers', found list"):
        RsvqaDataset(annotations=str(tmp_path / "x_questions.json"), images=IMAGES)
