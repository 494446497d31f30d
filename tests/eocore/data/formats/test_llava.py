"""LLaVA JSON: conversations, captions, and what breaks the form."""

import json
from pathlib import Path
from typing import Any

import pytest

from eocore.data.formats.llava import LlavaDataset
from eocore.errors import AnnotationError, ConfigError
from eocore.registry import DATASETS


def entry(*texts: str, **fields: Any) -> dict[str, Any]:
    turns = [{"from": ("human", "gpt")[number % 2], "value": text} for number, text in enumerate(texts)]
    return {"id": "a", "image": "d/a.png", "conversations": turns, **fields}


def build(tmp_path: Path, *entries: dict[str, Any], **settings: Any) -> LlavaDataset:
    (tmp_path / "vqa.json").write_text(json.dumps(entries))
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    config = {"type": "LlavaDataset", "annotations": str(tmp_path / "vqa.json"), "images": images, **settings}
    dataset: LlavaDataset = DATASETS.build(config)
    return dataset


def test_a_conversation_becomes_a_record(tmp_path: Path) -> None:
    question = entry("<image>\nIs it wet?", "Yes.", "Why?", "A lake.", type="presence", cloudy=True, boxes=[1])
    (record,) = build(tmp_path, question).records
    assert (record.sample_id, record.task, record.source) == ("a", "vqa", f"{tmp_path}/vqa.json#0")
    assert [(turn.role, turn.text) for turn in record.turns] == [
        ("user", "<image>\nIs it wet?"),
        ("assistant", "Yes."),
        ("user", "Why?"),
        ("assistant", "A lake."),
    ]
    assert record.images_of("rgb")[0].paths == (f"{tmp_path}/d/a.png",)
    assert record.meta == {"type": "presence", "cloudy": True, "image": "d/a.png", "answer": "A lake."}


@pytest.mark.parametrize(
    ("written", "read"),
    [("<image>\nWet?", "<image>\nWet?"), ("Wet?\n<image>", "Wet?\n<image>"), ("Wet?", "<image>\nWet?")],
)
def test_the_image_stands_once_in_the_first_question(tmp_path: Path, written: str, read: str) -> None:
    (record,) = build(tmp_path, entry(written, "Yes.")).records
    assert record.turns[0].text == read


def test_an_entry_without_image_is_text_only(tmp_path: Path) -> None:
    plain = entry("Hello", "Good day.")
    del plain["image"]
    (record,) = build(tmp_path, plain).records
    assert record.images == () and record.turns[0].text == "Hello" and "image" not in record.meta
    plain["conversations"][0]["value"] = "<image> Hello"
    with pytest.raises(AnnotationError, match=r"vqa\.json#0: <image> stands 1 times in the question but the entry has no image"):
        build(tmp_path, plain)


def test_text_that_looks_like_special_tokens_is_kept(tmp_path: Path) -> None:
    (record,) = build(tmp_path, entry("<image> What are [SEG] and <IMG_CONTEXT>?", "Marks.")).records
    assert record.turns[0].text == "<image> What are [SEG] and <IMG_CONTEXT>?"


def test_ids_come_from_a_field_or_from_the_place(tmp_path: Path) -> None:
    two = [entry("Wet?", "Yes.", id=7, question_id="q1"), entry("Dry?", "No.", id=7, question_id="q2")]
    assert [record.sample_id for record in build(tmp_path, *two, id_field=None).records] == ["vqa-0", "vqa-1"]
    assert [record.sample_id for record in build(tmp_path, *two, id_field="question_id").records] == ["q1", "q2"]
    with pytest.raises(AnnotationError, match=r"vqa\.json#1: sample id '7' is taken by .*vqa\.json#0; .*\(id_field=None\)"):
        build(tmp_path, *two)


def test_duplicates_are_removed_and_counted_by_option_alone(tmp_path: Path) -> None:
    four = [entry("Wet?", "Yes."), entry("Wet?", "Yes."), entry("Wet?", "No."), entry("Wet?", "Yes.", image="b.png")]
    kept = build(tmp_path, *four, id_field=None)
    assert (len(kept), kept.num_duplicates) == (4, 0)
    removed = build(tmp_path, *four, id_field=None, remove_duplicates=True)
    assert (len(removed), removed.num_duplicates) == (3, 1)
    assert [record.sample_id for record in removed.records] == ["vqa-0", "vqa-2", "vqa-3"]


def test_json_lines_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text(json.dumps(entry("Wet?", "Yes.")) + "\n")
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    dataset = LlavaDataset(annotations=str(tmp_path / "chat.jsonl"), images=images, task="caption")
    assert (dataset.records[0].source, dataset.records[0].task) == (f"{tmp_path}/chat.jsonl:1", "caption")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (entry("Wet?", "Yes.", id=None), r"vqa\.json#0: field 'id' must be a text or a whole number, found None"),
        (entry("Wet?", "Yes.", image="../a.png"), r"vqa\.json#0: '\.\./a\.png' is no relative path inside the image folder"),
        (entry("Wet?", "Yes.", image=3), r"field 'image' must be a text that is not empty, found 3"),
        (entry(), r"field 'conversations' must be a list that is not empty"),
        (entry("Wet?"), r"vqa\.json#0: the conversation ends with a question"),
        (entry("Wet?", ""), r"vqa\.json#0 conversations\[1\]: field 'value' must be a text that is not empty"),
        (entry("<image> <image>", "Yes."), r"<image> stands 2 times in the question but the entry has one image"),
        (entry("Wet?", "Yes.", "<image> Why?", "So."), r"vqa\.json#0: <image> stands \[1, 1\] times in the user turns"),
        (entry("What is <region>?", "A."), r"vqa\.json#0: the question holds a literal <region>"),
        (entry("Wet?", "<image>"), r"vqa\.json#0: an answer holds <image>"),
        (
            entry(conversations=[{"from": "gpt", "value": "Yes."}]),
            r"vqa\.json#0 conversations\[0\]: 'from' is 'gpt'; human and gpt take turns, the human first",
        ),
        (
            entry(conversations=[{"from": "human", "value": "a"}, {"from": "system", "value": "b"}]),
            r"conversations\[1\]: 'from' is 'system'",
        ),
        (entry(conversations=[{"from": "human"}]), r"conversations\[0\]: no field 'value'; found from"),
        (entry(conversations=["Wet?"]), r"field 'conversations' must be a list of objects"),
    ],
)
def test_entries_that_break_the_form_are_named(tmp_path: Path, broken: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        build(tmp_path, broken)


def test_unknown_task_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"LlavaDataset: task must be one of vqa, caption, chat, found 'vqaa'"):
        build(tmp_path, entry("Wet?", "Yes."), task="vqaa")


def test_a_window_makes_a_part_of_the_file_the_image(tmp_path: Path) -> None:
    first, second = entry("Wet?", "Yes.", window=[5, 6, 30, 40]), entry("Wet?", "No.", id="b")
    assert [record.images_of("rgb")[0].window for record in build(tmp_path, first, second).records] == [(5, 6, 30, 40), None]


@pytest.mark.parametrize("window", [[0, 0, 5], [-1, 0, 5, 5], [0, 0, 0, 5], [0, 0, 5.0, 5], "0,0,5,5", None, [0, 0, True, 5]])
def test_a_window_of_another_form_is_named(tmp_path: Path, window: Any) -> None:
    with pytest.raises(AnnotationError, match=r"vqa\.json#0: field 'window' must be \[row, col, height, width\] in whole pixels"):
        build(tmp_path, entry("Wet?", "Yes.", window=window))
