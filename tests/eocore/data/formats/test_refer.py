"""Referring segmentation: REFER files and our own JSON lines."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.data.dataset import SampleKey, check_record
from eocore.data.formats.refer import ReferDataset, ReferringJsonlDataset
from eocore.data.io.masks import decode_mask, encode_rle
from eocore.data.records import Record
from eocore.data.transforms import ChooseModalities, ComposeReferring
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.registry import DATASETS

SIZE = (12, 16)
RING = [0, 0, 4, 0, 4, 4, 0, 4]
OTHER = [8, 8, 12, 8, 12, 12, 8, 12]


def block(top: int, left: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + 3, left : left + 3] = True
    return mask


def instances() -> dict[str, Any]:
    def annotation(number: int, image_id: int, segmentation: Any) -> dict[str, Any]:
        return {"id": number, "image_id": image_id, "category_id": 1, "segmentation": segmentation, "bbox": [0, 0, 4, 4], "area": 16}

    return {
        "images": [{"id": number, "file_name": f"p{number}.png", "height": SIZE[0], "width": SIZE[1]} for number in (1, 2)],
        "annotations": [
            annotation(11, 1, [RING]),
            annotation(12, 1, [OTHER]),
            annotation(21, 2, encode_rle(block(2, 2))),
            annotation(22, 2, encode_rle(block(4, 4))),
        ],
        "categories": [{"id": 1, "name": "lake"}],
    }


def ref(number: int, image_id: int, ann_id: Any, *raws: str, split: str = "train", **more: Any) -> dict[str, Any]:
    sentences = [
        {"sent_id": 100 * number + place, "raw": raw, "sent": raw.lower().rstrip("."), "tokens": raw.split()}
        for place, raw in enumerate(raws)
    ]
    return {
        "ref_id": number,
        "ann_id": ann_id,
        "image_id": image_id,
        "category_id": 1,
        "split": split,
        "file_name": "other.jpg",
        "sent_ids": [sentence["sent_id"] for sentence in sentences],
        "sentences": sentences,
        **more,
    }


def refer(tmp_path: Path, *refs: Any, table: Any = None, **settings: Any) -> ReferDataset:
    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps(list(refs), protocol=2))
    (tmp_path / "instances.json").write_text(json.dumps(table or instances()))
    config = {"type": "ReferDataset", "annotations": str(tmp_path / "refs(unc).p"), "images": images(tmp_path), **settings}
    dataset: ReferDataset = DATASETS.build(config)
    return dataset


def images(tmp_path: Path) -> dict[str, dict[str, Any]]:
    return {
        "sar": {"root": str(tmp_path / "sar"), "pattern": "{stem}.npy", "sensor": "sentinel1_grd"},
        "rgb": {"root": str(tmp_path / "rgb"), "pattern": "{name}", "sensor": "rgb_uint8"},
    }


def drawn(record: Record, number: int = 0) -> np.ndarray:
    mask = record.expressions[number].mask
    assert mask is not None
    return decode_mask(mask, SIZE, source=record.source)


class TestRefer:
    def test_each_phrase_is_a_record(self, tmp_path: Path) -> None:
        dataset = refer(tmp_path, ref(1, 1, 11, "The Lake.", "Water"), ref(2, 2, 21, "A hill", cloudy=True))
        assert [record.sample_id for record in dataset.records] == ["1-100", "1-101", "2-200"]
        assert [record.expressions[0].text for record in dataset.records] == ["The Lake.", "Water", "A hill"]
        assert dataset.records[0].source == f"{tmp_path}/refs(unc).p#0 sentences[0]"
        assert dataset.records[2].meta == {"image": "p2.png", "image_size": [12, 16], "cloudy": True}
        assert {ref.role: ref.paths for ref in dataset.records[2].images} == {
            "rgb": (f"{tmp_path}/rgb/p2.png",),
            "sar": (f"{tmp_path}/sar/p2.npy",),
        }
        assert np.array_equal(drawn(dataset.records[2]), block(2, 2))

    def test_the_simplified_text_by_option(self, tmp_path: Path) -> None:
        assert refer(tmp_path, ref(1, 1, 11, "The Lake."), text_field="sent").records[0].expressions[0].text == "the lake"

    def test_one_split_is_taken(self, tmp_path: Path) -> None:
        refs = [ref(1, 1, 11, "a", split="train"), ref(2, 1, 12, "b", split="val")]
        assert [record.sample_id for record in refer(tmp_path, *refs, split="val").records] == ["2-200"]
        assert len(refer(tmp_path, *refs)) == 2
        with pytest.raises(DataError, match=r"refs\(unc\)\.p: no ref of split 'test'; it has train, val"):
            refer(tmp_path, *refs, split="test")

    def test_all_phrases_of_an_image_make_one_record(self, tmp_path: Path) -> None:
        refs = [ref(1, 1, 11, "a", "b", cloudy=True), ref(2, 2, 21, "c"), ref(3, 1, 12, "d", cloudy=True, hard=True)]
        first, second = refer(tmp_path, *refs, group="image").records
        assert [expression.text for expression in first.expressions] == ["a", "b", "d"]
        assert first.meta == {"image": "p1.png", "image_size": [12, 16], "cloudy": True}
        assert (first.sample_id, second.sample_id) == ("p1.png", "p2.png")
        assert drawn(first, 0).any() and not np.array_equal(drawn(first, 0), drawn(first, 2))

    def test_several_annotations_are_one_mask(self, tmp_path: Path) -> None:
        refs = [ref(1, 1, [11, 12], "polygons"), ref(2, 2, [21, 22], "run lengths that overlap"), ref(3, 1, [11], "one")]
        polygons, runs, one = refer(tmp_path, *refs).records
        assert np.array_equal(drawn(runs), block(2, 2) | block(4, 4))
        assert drawn(polygons)[10, 10] and drawn(polygons)[2, 2] and not drawn(one)[10, 10]

    @pytest.mark.parametrize("ann_id", [-1, [-1], []])
    def test_a_phrase_without_a_target_has_no_mask(self, tmp_path: Path, ann_id: Any) -> None:
        assert refer(tmp_path, ref(1, 1, ann_id, "a ship")).records[0].expressions[0].mask is None

    def test_composed_records_hold_together(self, tmp_path: Path) -> None:
        (tmp_path / "sar").mkdir()
        np.save(tmp_path / "sar/p1.npy", np.full((2, *SIZE), -12.0, dtype=np.float32))
        dataset = refer(
            tmp_path,
            ref(1, 1, 11, "The Lake."),
            ref(2, 1, -1, "A ship"),
            ref(3, 1, 12, "the hill"),
            group="image",
            images={"sar": images(tmp_path)["sar"]},
            transforms=[
                {"type": ChooseModalities.__name__, "settings": {"sar": ["sar"]}},
                {"type": ComposeReferring.__name__, "num_expressions": 3},
            ],
        )
        for epoch in range(5):
            record, scenes, _ = dataset.load(SampleKey(epoch, 0))
            check_record(record)
            assert len(record.turns) == 6 and len(record.masks) == 2 and record.meta["setting"] == "sar"
            assert scenes[0].size == SIZE

    def test_code_in_the_pickle_does_not_run(self, tmp_path: Path) -> None:
        marker = tmp_path / "marker"
        with pytest.raises(AnnotationError, match=r"refs\(unc\)\.p: the pickle asks for"):
            refer(tmp_path, _Payload(marker))
        assert not marker.exists()

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            (ref(1, 3, 11, "a"), r"refs\(unc\)\.p#0: image_id 3 is not in .*instances\.json; the two files are of different releases"),
            (ref(1, 1, 99, "a"), r"#0: ann_id 99 is not in .*instances\.json"),
            (ref(1, 1, 21, "a"), r"#0: ann_id 21 belongs to image 2, the ref to image 1"),
            (ref(1, 1, "11", "a"), r"#0: field 'ann_id' must be a whole number or a list of them, found '11'"),
            (ref(1, 1, [11, None], "a"), r"field 'ann_id' must be a whole number or a list of them, found \[11, None\]"),
            (ref(1, 1, 11), r"field 'sentences' must be a list that is not empty"),
            (ref(1, 1, 11, ""), r"#0 sentences\[0\]: field 'raw' must be a text that is not empty"),
            (ref(1, 1, 11, "an <image>"), r"phrase 'an <image>' holds <image> or <region>"),
            ({"ref_id": 1}, r"#0: no field 'split'; found ref_id"),
            ([1], r"#0: expected an object, found list: \[1\]"),
        ],
    )
    def test_refs_that_break_the_form_are_named(self, tmp_path: Path, broken: Any, message: str) -> None:
        with pytest.raises(AnnotationError, match=message):
            refer(tmp_path, broken)

    @pytest.mark.parametrize(("name", "lead"), [("refs.json", ""), ("refs(unc).p", "\n "), ("refs.json", "\ufeff")])
    def test_refs_as_json_are_the_same_records(self, tmp_path: Path, name: str, lead: str) -> None:
        refs = [ref(1, 1, 11, "the lake"), ref(2, 1, 12, "a road")]
        pickled = refer(tmp_path, *refs)
        (tmp_path / name).write_text(lead + json.dumps(refs), encoding="utf-8")
        read = ReferDataset(annotations=str(tmp_path / name), images=images(tmp_path))
        assert [record.expressions for record in read.records] == [record.expressions for record in pickled.records]
        assert [record.sample_id for record in read.records] == [record.sample_id for record in pickled.records]

    def test_json_of_another_kind_is_told_as_json(self, tmp_path: Path) -> None:
        refer(tmp_path, ref(1, 1, 11, "the lake"))
        (tmp_path / "refs(unc).p").write_text('{"refs": []}')
        with pytest.raises(AnnotationError, match=r"refs\(unc\)\.p: expected a list of objects"):
            ReferDataset(annotations=str(tmp_path / "refs(unc).p"), images=images(tmp_path))

    def test_one_ref_id_twice_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(AnnotationError, match=r"sample id '1-100' is taken by .*refs\(unc\)\.p#0 sentences\[0\]"):
            refer(tmp_path, ref(1, 1, 11, "a"), ref(1, 1, 12, "b"))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda table: table["images"].append(table["images"][0]), r"instances\.json images#2: id 1 is taken by .*images#0"),
            (lambda table: table["annotations"].append(table["annotations"][0]), r"annotations#4: id 11 is taken by .*annotations#0"),
            (lambda table: table.pop("annotations"), r"instances\.json annotations: expected a list of objects, found NoneType"),
            (lambda table: table["annotations"][0].update(segmentation=[]), r"annotations#0: a segmentation must be a list of rings"),
            (lambda table: table["images"][0].update(height=0), r"images#0: field 'height' must be a number of at least 1"),
        ],
    )
    def test_instances_that_break_the_form_are_named(self, tmp_path: Path, change: Any, message: str) -> None:
        table = instances()
        change(table)
        with pytest.raises(AnnotationError, match=message):
            refer(tmp_path, ref(1, 1, 11, "a"), table=table)

    def test_instances_of_another_kind_or_place(self, tmp_path: Path) -> None:
        with pytest.raises(AnnotationError, match=r"instances\.json: expected an object with images and annotations, found list"):
            refer(tmp_path, ref(1, 1, 11, "a"), table=[1])
        with pytest.raises(DataError, match=r"instances_new\.json: no such annotation file"):
            refer(tmp_path, ref(1, 1, 11, "a"), instances=str(tmp_path / "instances_new.json"))

    @pytest.mark.parametrize("setting", ["group", "text_field"])
    def test_unknown_choices_are_named(self, tmp_path: Path, setting: str) -> None:
        with pytest.raises(ConfigError, match=rf"ReferDataset\.{setting} is 'other' .*expected one of '"):
            refer(tmp_path, ref(1, 1, 11, "a"), **{setting: "other"})


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


def line(number: int, mask: Any, **fields: Any) -> dict[str, Any]:
    return {
        "sample_id": f"r{number}",
        "image": "v1.2_p1",
        "height": SIZE[0],
        "width": SIZE[1],
        "expression": f"Lake {number}",
        "mask": mask,
        **fields,
    }


def jsonl(tmp_path: Path, *lines: Any, **settings: Any) -> ReferringJsonlDataset:
    (tmp_path / "referring.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return ReferringJsonlDataset(annotations=str(tmp_path / "referring.jsonl"), images=images(tmp_path), **settings)


class TestJsonl:
    def test_each_line_is_a_record(self, tmp_path: Path) -> None:
        rle, absent = jsonl(tmp_path, line(1, encode_rle(block(1, 1)), cloudy=True, type="class"), line(2, None)).records
        assert (rle.sample_id, rle.source, rle.task) == ("r1", f"{tmp_path}/referring.jsonl:1", "referring")
        assert rle.meta == {"image": "v1.2_p1", "cloudy": True, "type": "class", "image_size": [12, 16]}
        assert rle.images_of("sar")[0].paths == (f"{tmp_path}/sar/v1.2_p1.npy",)
        assert np.array_equal(drawn(rle), block(1, 1))
        assert absent.expressions[0].mask is None

    def test_a_place_in_words_stays_with_its_phrase(self, tmp_path: Path) -> None:
        told, silent = jsonl(tmp_path, line(1, None, place="north"), line(2, None)).records
        assert (told.expressions[0].place, silent.expressions[0].place) == ("north", "")
        assert "place" not in told.meta

    def test_all_kinds_of_mask(self, tmp_path: Path) -> None:
        np.save(tmp_path / "classes.npy", block(3, 3).astype(np.uint8) * 4)
        polygon, box, file = jsonl(
            tmp_path, line(1, [RING]), line(2, {"box": [3, 3, 6, 6]}), line(3, {"path": "classes.npy", "value": 4})
        ).records
        assert drawn(polygon)[2, 2]
        assert np.array_equal(drawn(box), block(3, 3))
        assert np.array_equal(drawn(file), block(3, 3))

    def test_a_json_list_is_read_and_grouped(self, tmp_path: Path) -> None:
        (tmp_path / "referring.json").write_text(json.dumps([line(1, None), line(2, [RING])]))
        dataset = ReferringJsonlDataset(annotations=str(tmp_path / "referring.json"), images=images(tmp_path), group="image")
        (record,) = dataset.records
        assert [expression.text for expression in record.expressions] == ["Lake 1", "Lake 2"]
        assert (record.sample_id, record.source) == ("v1.2_p1", f"{tmp_path}/referring.json#0")

    def test_sizes_of_one_image_must_agree(self, tmp_path: Path) -> None:
        with pytest.raises(AnnotationError, match=r"jsonl:2: image 'v1\.2_p1' is \[13, 16\] here but \[12, 16\] in .*jsonl:1"):
            jsonl(tmp_path, line(1, None), line(2, None, height=13), group="image")

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            ({key: value for key, value in line(1, None).items() if key != "mask"}, r"jsonl:1: no field 'mask'; write null for a phrase"),
            (line(1, "circle"), r"jsonl:1: a segmentation must be a list of rings"),
            (line(1, {"path": "../x.png"}), r"jsonl:1: '\.\./x\.png' is no relative path"),
            (line(1, {"path": 3}), r"jsonl:1 mask: field 'path' must be a text"),
            (line(1, None, expression=" "), r"field 'expression' must be a text that is not empty"),
            (line(1, None, width=1.5), r"field 'width' must be a whole number, found 1\.5"),
        ],
    )
    def test_lines_that_break_the_form_are_named(self, tmp_path: Path, broken: Any, message: str) -> None:
        with pytest.raises(AnnotationError, match=message):
            jsonl(tmp_path, broken)

    def test_unknown_group_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="group must be one of image, expression, found 'scene'"):
            jsonl(tmp_path, line(1, None), group="scene")

    def test_the_task_is_chosen(self, tmp_path: Path) -> None:
        assert [record.task for record in jsonl(tmp_path, line(1, [RING]), task="grounding").records] == ["grounding"]
        with pytest.raises(ConfigError, match="task must be one of referring, grounding, found 'boxes'"):
            jsonl(tmp_path, line(1, None), task="boxes")


class TestWindows:
    def test_windows_of_one_file_are_images_of_their_own(self, tmp_path: Path) -> None:
        here, there = [0, 0, *SIZE], [4, 8, *SIZE]
        dataset = jsonl(tmp_path, line(1, [RING], window=here), line(2, [RING], window=there), line(3, [RING], window=here), group="image")
        assert [(record.sample_id, len(record.expressions)) for record in dataset.records] == [
            (f"v1.2_p1@0,0,{SIZE[0]},{SIZE[1]}", 2),
            (f"v1.2_p1@4,8,{SIZE[0]},{SIZE[1]}", 1),
        ]
        assert dataset.records[1].images[0].window == tuple(there)

    def test_a_window_of_another_size_than_its_masks_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(AnnotationError, match=r"the window is 5 x 7 px, but height and width are"):
            jsonl(tmp_path, line(1, [RING], window=[0, 0, 5, 7]))
