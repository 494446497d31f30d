"""Lists of images in the LLaVA form: TEOChatlas and ChangeChat."""

import json
from pathlib import Path
from typing import Any

import pytest
from video_making import grey_video

from eocore.data.formats.image_lists import ImageListDataset
from eocore.errors import AnnotationError, ConfigError, DataError


def entry(question: str = "<video>\nWhat changed?", **changes: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": "a road"}]
    return {"video": ["b.png", "a.png"], "task": "change_qa", "conversations": turns, **changes}


def read(tmp_path: Path, made: dict[str, Any], **settings: Any) -> ImageListDataset:
    (tmp_path / "instruct.json").write_text(json.dumps([made]))
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    return ImageListDataset(annotations=str(tmp_path / "instruct.json"), images=images, **settings)


def test_images_without_dates_are_numbered_in_their_order(tmp_path: Path) -> None:
    (record,) = read(tmp_path, entry()).records
    assert [(ref.time, Path(ref.paths[0]).name) for ref in record.images] == [("image 1", "b.png"), ("image 2", "a.png")]
    assert record.turns[0].text == "<image>\nWhat changed?" and record.sample_id == "instruct-0"
    assert record.meta == {"type": "change_qa", "answer": "a road"}


def test_images_with_dates_are_put_in_their_order(tmp_path: Path) -> None:
    (record,) = read(tmp_path, entry(timestamp=["2020-05-01", "2019-05-01"])).records
    assert [(ref.time, Path(ref.paths[0]).name) for ref in record.images] == [("2019-05-01", "a.png"), ("2020-05-01", "b.png")]


def test_dates_written_in_several_ways_are_put_in_their_order(tmp_path: Path) -> None:
    (record,) = read(tmp_path, entry(timestamp=["20200501", "2020-05-02T01:00+02:00"])).records
    assert [Path(ref.paths[0]).name for ref in record.images] == ["b.png", "a.png"]
    (record,) = read(tmp_path, entry(timestamp=["2020-05-01T23:30Z", "2020-05-02T01:00+02:00"])).records
    assert [Path(ref.paths[0]).name for ref in record.images] == ["a.png", "b.png"]


def test_changechat_lists_them_as_images(tmp_path: Path) -> None:
    made = entry("<image>Describe the changes.", image=["A.png", "B.png"], id="x")
    del made["video"]
    (record,) = read(tmp_path, made, task="caption").records
    assert record.sample_id == "x" and record.turns[0].text == "<image>Describe the changes." and record.task == "caption"


def test_neighbouring_placeholders_are_one(tmp_path: Path) -> None:
    (record,) = read(tmp_path, entry("Pair: <image> <image>\nWhat?")).records
    assert record.turns[0].text == "Pair: <image>\nWhat?"


def test_video_xl_names_one_video_or_one_picture(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="extra video is not installed")
    (tmp_path / "clips").mkdir()
    grey_video(tmp_path / "clips" / "a.mp4", 6)
    (record,) = read(tmp_path, entry("<image>\nWhy?", video="clips/a.mp4"), max_frames_num=4).records
    assert [(ref.time, ref.item) for ref in record.images] == [(f"frame {number}", f"{number}/4") for number in range(1, 5)]
    assert record.turns[0].text == "<image>\nWhy?"
    made = entry("<image>\nWhat?", image="coco/a.jpg")
    del made["video"]
    (record,) = read(tmp_path, made).records
    assert [(ref.time, Path(ref.paths[0]).name) for ref in record.images] == [("", "a.jpg")]
    with pytest.raises(DataError, match=r"b\.mp4: there is no such video file"):
        read(tmp_path, entry(video="clips/b.mp4"))
    with pytest.raises(AnnotationError, match=r"'timestamp' belongs to a list of images, but 'clips/a\.mp4' is one file"):
        read(tmp_path, entry(video="clips/a.mp4", timestamp=["2020-05-01"]))
    with pytest.raises(ConfigError, match=r"max_frames_num=0; expected at least 1"):
        read(tmp_path, entry(), max_frames_num=0)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (entry("Image 1: <image> Image 2: <image> What?"), r"words stand between the <image>"),
        (entry(timestamp=["2020-05-01"]), r"'timestamp' is \['2020-05-01'\]; expected 2 ISO 8601 dates"),
        (entry(timestamp=["2020-05-01", "2020-05-01"]), r"2020-05-01 is the same moment as"),
        ({"conversations": entry()["conversations"]}, r"no images; expected video or image"),
        (entry(video=["a.png", 3]), r"'video' must list file names"),
        (entry(image="a.png"), r"both video and image name images, and a sample shows one of them\. Leave one out"),
        (entry(conversations=[{"from": "human", "value": "a"}]), r"ends with a question"),
    ],
)
def test_what_breaks_the_form_is_named(tmp_path: Path, made: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path, made)


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task must be one of vqa, caption, chat"):
        read(tmp_path, entry(), task="mcq")
