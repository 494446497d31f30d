"""Releases, generated in their layouts, as images/ and annotations.json."""

import json
from pathlib import Path

import pytest

from eocore.converters.task_sets import RELEASES, prepare_task_set
from eocore.data.dataset import SampleKey
from eocore.data.formats.task_annotations import TaskAnnotationsDataset
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.synthetic.test_sets.grounding import write_voc
from eocore.synthetic.test_sets.images import MadeScenes, make_scenes, rgb_picture, save_json, save_picture
from eocore.synthetic.test_sets.pictures import write_class_folders, write_karpathy, write_rsvqa


@pytest.fixture(scope="module")
def scenes() -> MadeScenes:
    return make_scenes(3, size=48, seed=1)


def read(folder: Path) -> TaskAnnotationsDataset:
    found = TaskAnnotationsDataset(annotations=str(folder / "annotations.json"), images={})
    found.load(SampleKey(0, len(found) - 1))
    return found


def test_uc_merced(tmp_path: Path, scenes: MadeScenes) -> None:
    write_class_folders(tmp_path / "r/Images", scenes, classes=("beach", "river"), suffix=".tif")
    assert prepare_task_set(tmp_path / "r", tmp_path / "UCM", release="UCM") == {"all": 2}
    records = read(tmp_path / "UCM").records
    assert [(record.meta["image"], record.labels) for record in records] == [
        ("beach/beach_1.tif", ("beach",)),
        ("river/river_2.tif", ("river",)),
    ]


@pytest.mark.parametrize(("release", "folder", "benchmark"), [("DIOR-RSVG", "DIOR_RSVG", "dior_rsvg"), ("RSVG", "RSVG", "rsvg")])
def test_boxes_are_those_of_the_benchmark_in_fractions(
    tmp_path: Path, scenes: MadeScenes, release: str, folder: str, benchmark: str
) -> None:
    write_voc(tmp_path / folder, scenes, split_by="object" if release == "DIOR-RSVG" else "file")
    counts = prepare_task_set(tmp_path / folder, tmp_path / "out", release=release)
    direct = load_benchmarks()[benchmark](data_root=str(tmp_path))
    own = [record for record in read(tmp_path / "out").records if record.meta["split"] == "test"]
    assert counts["test"] == len(direct) == len(own)
    for mine, theirs in zip(own, direct.records, strict=True):
        assert mine.meta["boxes"][0] == pytest.approx([value / 100 for value in theirs.meta["boxes"][0]], abs=1e-6)
        assert mine.meta["image_size"] == theirs.meta["image_size"]


def test_rsvqa_lr(tmp_path: Path, scenes: MadeScenes) -> None:
    for split in ("train", "test"):
        write_rsvqa(tmp_path / "r", tmp_path / "r/Images_LR", scenes=scenes, prefix=f"LR_split_{split}")
    counts = prepare_task_set(tmp_path / "r", tmp_path / "out", release="RSVQA-LR")
    records = read(tmp_path / "out").records
    assert counts["train"] == counts["test"] and sum(counts.values()) == len(records)
    assert {record.task for record in records} == {"vqa"} and records[0].meta["type"] == "presence"


def test_rsitmd(tmp_path: Path, scenes: MadeScenes) -> None:
    write_karpathy(tmp_path / "r/dataset_RSITMD.json", tmp_path / "r/images", scenes=scenes, suffix=".tif")
    prepare_task_set(tmp_path / "r", tmp_path / "out", release="RSITMD", copy=True)
    assert all(len(record.captions) > 1 for record in read(tmp_path / "out").records)


def write_rsicap(folder: Path, scenes: MadeScenes, *, names: tuple[str, ...]) -> None:
    save_picture(folder / "images" / "P0.png", rgb_picture(scenes[0]))
    save_json(folder / "captions.json", {"annotations": [{"filename": name, "text_output": " A lake. "} for name in names]})


def test_rsicap(tmp_path: Path, scenes: MadeScenes) -> None:
    write_rsicap(tmp_path / "r", scenes, names=("P0.png",))
    assert prepare_task_set(tmp_path / "r", tmp_path / "out", release="RSICap") == {"all": 1}
    assert read(tmp_path / "out").records[0].captions == ("A lake.",)
    write_rsicap(tmp_path / "r", scenes, names=("P1.png",))
    with pytest.raises(DataError, match=r"annotations#0: no image .*P1\.png"):
        prepare_task_set(tmp_path / "r", tmp_path / "out", release="RSICap")


def test_unknown_and_empty_releases_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no release 'fMoW'\. Choices: UCM, RSVG, DIOR-RSVG, RSICap, RSVQA-LR, RSITMD\. Others are unsupported"
    ):
        prepare_task_set(tmp_path, tmp_path / "out", release="fMoW")
    for release in RELEASES:
        with pytest.raises(DataError):
            prepare_task_set(tmp_path, tmp_path / "out", release=release)
    assert not (tmp_path / "out" / "annotations.json").exists()


def test_a_box_that_leaves_its_image_is_refused(tmp_path: Path, scenes: MadeScenes) -> None:
    write_voc(tmp_path / "r", scenes, split_by="file")
    for path in (tmp_path / "r/Annotations").glob("*.xml"):
        path.write_text(path.read_text().replace("<width>48<", "<width>4<"))
    with pytest.raises(AnnotationError, match="in fractions of the image"):
        prepare_task_set(tmp_path / "r", tmp_path / "out", release="RSVG")
    assert not (tmp_path / "out").exists() or "annotations.json" not in [path.name for path in (tmp_path / "out").iterdir()]


def test_the_file_is_plain_json(tmp_path: Path, scenes: MadeScenes) -> None:
    write_class_folders(tmp_path / "r/Images", scenes, classes=("beach",), suffix=".tif")
    prepare_task_set(tmp_path / "r", tmp_path / "out", release="UCM")
    content = json.loads((tmp_path / "out/annotations.json").read_text())
    assert content == {"classes": ["beach"], "annotations": [{"image": "beach/beach_1.tif", "label": "beach", "task": "classification"}]}
