"""EarthMind-Bench: the upstream prompt, and questions that could not be scored."""

import json
from pathlib import Path
from typing import Any

import pytest

from earthmind.datasets.mcq import EarthMindBenchDataset
from eocore.errors import AnnotationError

CHOICE = {
    "file_name": "p1.json",
    "question": "What covers most?",
    "candidate": ["water", "forest", "Built area", "crops"],
    "answer": "built area",
    "task_type": "scene_classification",
    "cloudy": False,
}
OPEN = {"file_name": "p1.json", "question": "Describe it.", "answer": "A lake.", "task_type": "caption"}


def build(tmp_path: Path, *entries: Any, **settings: Any) -> EarthMindBenchDataset:
    (tmp_path / "bench.json").write_text(json.dumps(entries))
    images = {
        "sar": {"root": str(tmp_path / "sar/img"), "pattern": "{stem}.png", "sensor": "grey_uint8"},
        "rgb": {"root": str(tmp_path / "rgb/img"), "pattern": "{stem}.png", "sensor": "rgb_uint8"},
    }
    return EarthMindBenchDataset(annotations=str(tmp_path / "bench.json"), images=images, **settings)


def test_a_choice_is_asked_as_published(tmp_path: Path) -> None:
    choice, open_question = build(tmp_path, CHOICE, OPEN).records
    assert choice.turns[0].text == "<image>What covers most?\nwater\nforest\nBuilt area\ncrops"
    assert choice.turns[1].text == "built area"
    assert choice.task == "mcq"
    assert choice.meta == {
        "image": "p1",
        "answer": "built area",
        "type": "scene_classification",
        "candidates": ["water", "forest", "Built area", "crops"],
        "cloudy": False,
    }
    assert [choice.sample_id, open_question.sample_id] == ["bench-0-p1", "bench-1-p1"]
    assert {ref.role: ref.paths for ref in choice.images} == {
        "rgb": (f"{tmp_path}/rgb/img/p1.png",),
        "sar": (f"{tmp_path}/sar/img/p1.png",),
    }


def test_an_open_question_has_no_candidates(tmp_path: Path) -> None:
    (record,) = build(tmp_path, OPEN).records
    assert (record.turns[0].text, record.task) == ("<image>Describe it.", "vqa")
    assert "candidates" not in record.meta


def test_the_later_published_suffix(tmp_path: Path) -> None:
    (record,) = build(tmp_path, CHOICE, suffix="\nonly output the correct option.").records
    assert record.turns[0].text.endswith("\ncrops\nonly output the correct option.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": "desert"}, r"bench\.json#0: answer 'desert' is none of \['water', .*no reply could be right"),
        ({"candidate": ["water", "Water ", "built area"]}, r"a candidate is duplicated in .*; the right one could not be told"),
        ({"candidate": []}, r"field 'candidate' must be a list that is not empty"),
        ({"candidate": ["built area", 3]}, r"field 'candidate' must be a list of texts, found \['built area', 3\]"),
        ({"question": "What is <image>?"}, r"bench\.json#0: 'What is <image>\?' holds a literal <image>, but EarthMind-Bench shows"),
        ({"question": "What is <region>?"}, r"holds a literal <region>"),
        ({"candidate": ["built area", "<region>"]}, r"'<region>' holds a literal <region>"),
        ({"task_type": ""}, r"field 'task_type' must be a text that is not empty"),
        ({"file_name": "../p.json"}, r"'\.\./p' is no relative path inside the image folder"),
    ],
)
def test_entries_that_break_the_form_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        build(tmp_path, CHOICE | changes)
