"""Digests of data: the same elsewhere, others after an edit."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eocore.data.content import NUM_IMAGES, describe_content, describe_dataset
from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import each, read_entries
from eocore.data.io.file_digests import file_digest
from eocore.data.mixture import Mixture
from eocore.data.records import Record
from eocore.errors import DataError
from eocore.portable.messages import read_turns
from eocore.registry import DATASETS

NUM_RECORDS = 100


class TalkDataset(RecordDataset):
    """JSON lines of {image, answer}."""

    def parse(self, path: Path) -> list[Record]:
        return each(enumerate(read_entries(path)), lambda item: self._record(f"{path.stem}-{item[0]}", item[1]))

    def _record(self, sample_id: str, entry: Any) -> Record:
        images = self.locate_images(entry.text("image"), entry.source)
        turns = read_turns(["<image>What?", entry.text("answer")])
        return Record(sample_id, images, turns, source=entry.source)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    DATASETS.register_module(name="TalkForContent", module=TalkDataset)
    yield
    DATASETS.module_dict.pop("TalkForContent")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    (folder / "images").mkdir(parents=True)
    for number in range(NUM_RECORDS):
        (folder / "images" / f"{number}.png").write_bytes(b"x" * (number + 1))
    write(folder, [{"image": f"{number}.png", "answer": f"answer {number}"} for number in range(NUM_RECORDS)])
    return folder


def write(folder: Path, entries: list[dict[str, str]]) -> None:
    (folder / "talk.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def entries(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "talk.jsonl").read_text().splitlines()]


def config(folder: Path, **options: Any) -> dict[str, Any]:
    images = {"rgb": {"root": str(folder / "images"), "pattern": "{name}", "sensor": "rgb_uint8"}}
    return {"type": "TalkForContent", "annotations": str(folder / "talk.jsonl"), "images": images, **options}


def described(folder: Path) -> dict[str, Any]:
    return describe_dataset(DATASETS.build(config(folder)))


def test_the_same_data_elsewhere_and_touched_is_the_same(root: Path, tmp_path: Path) -> None:
    before = described(root)
    assert before["records"] == NUM_RECORDS and before["files"][0]["name"] == "talk.jsonl"
    shutil.copytree(root, tmp_path / "there")
    (tmp_path / "there" / "talk.jsonl").touch()
    assert described(tmp_path / "there") == before


@pytest.mark.parametrize(
    ("edit", "changes"),
    [
        (lambda found: [found[0] | {"answer": "no"}, *found[1:]], {"files", "content"}),
        (lambda found: found[: NUM_RECORDS // 2], {"files", "content", "records", "images"}),
        (lambda found: found[::-1], {"files", "content", "images"}),
        (lambda found: [found[0] | {"note": "an extra field"}, *found[1:]], {"files"}),
    ],
)
def test_edits_show(root: Path, edit: Callable[[list[dict[str, str]]], list[dict[str, str]]], changes: set[str]) -> None:
    before = described(root)
    write(root, edit(entries(root)))
    after = described(root)
    assert {name for name, value in before.items() if after[name] != value} == changes


def test_image_files_of_other_sizes_or_gone_show_though_no_pixel_is_read(root: Path) -> None:
    before = described(root)
    for path in (root / "images").iterdir():
        path.write_bytes(path.read_bytes() + b"more")
    resized = described(root)
    (root / "images" / "0.png").unlink()
    assert len({before["images"], resized["images"], described(root)["images"]}) == 3
    assert resized == before | {"images": resized["images"]}


def test_only_some_image_files_are_looked_at(root: Path) -> None:
    before = described(root)
    for path in (root / "images").iterdir():
        size = path.stat().st_size
        path.write_bytes(b"y" * size)
    assert described(root) == before
    assert NUM_IMAGES < NUM_RECORDS


def test_a_mixture_tells_its_draws_and_all_its_data_sets(root: Path) -> None:
    parts = [{"data": config(root), "weight": 2.0}, {"data": config(root, limit=10), "name": "few"}]
    found = describe_content(Mixture(parts=parts))
    assert found["samples"] == 2 * NUM_RECORDS + 10
    assert [part["records"] for part in found["datasets"]] == [NUM_RECORDS, 10]


def test_a_folder_of_annotations_counts_by_names_and_annotations(tmp_path: Path) -> None:
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "1.xml").write_text("<a/>")
    (tmp_path / "boxes" / "1.png").write_bytes(b"x")
    before = file_digest(tmp_path / "boxes")
    (tmp_path / "boxes" / "1.png").write_bytes(b"y")
    assert file_digest(tmp_path / "boxes") == before
    (tmp_path / "boxes" / "1.xml").write_text("<b/>")
    edited = file_digest(tmp_path / "boxes")
    (tmp_path / "boxes" / "2.xml").write_text("<b/>")
    assert len({before, edited, file_digest(tmp_path / "boxes")}) == 3


def test_a_file_that_vanished_is_named(root: Path) -> None:
    dataset = DATASETS.build(config(root))
    (root / "talk.jsonl").unlink()
    with pytest.raises(
        DataError, match=r"talk\.jsonl was read and cannot be read any more, so a checkpoint could not tell what it was trained on"
    ):
        describe_content(dataset)
