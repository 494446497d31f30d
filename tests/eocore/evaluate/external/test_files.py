import json

import numpy as np
import pytest

from eocore.data.io.masks import encode_rle
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.external.files import ExternalOptions, is_native, read_external
from eocore.evaluate.predictions import format_prediction
from eocore.evaluate.scoring.score import score_predictions


def write(path, *entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def read(path, task, **options):
    return read_external(path, ExternalOptions(task=task, **options))[0]


def test_lines_and_lists_are_read_alike(tmp_path):
    entries = [{"question_id": 7, "answer": "yes", "ground_truth": "no"}, {"question_id": 8, "answer": 3, "ground_truth": 3}]
    lines = read(write(tmp_path / "p.jsonl", *entries), "vqa")
    (tmp_path / "p.json").write_text(json.dumps(entries))
    assert read(tmp_path / "p.json", "vqa") == lines
    assert [(sample.sample_id, sample.prediction, sample.ground_truth) for sample in lines] == [("7", "yes", "no"), ("8", "3", "3")]


def test_null_is_a_missing_answer_and_an_absent_field_is_an_error(tmp_path):
    path = write(tmp_path / "p.jsonl", {"pred": None, "gt": "a"}, {"pred": "", "gt": "a"})
    group = score_predictions(read(path, "vqa"))["settings"]["optical"]["vqa"]["overall"]
    assert (group["n"], group["n_missing"], group["n_unparsed"]) == (2, 1, 1)
    path = write(tmp_path / "q.jsonl", {"pred": "a", "gt": "a"}, {"gt": "a"})
    with pytest.raises(AnnotationError, match=r"q\.jsonl:2: no field 'pred', which other entries have as prediction; found gt"):
        read(path, "vqa")


def test_what_else_stands_in_a_line_is_kept_for_groups(tmp_path):
    (sample,) = read(
        write(tmp_path / "p.jsonl", {"pred": "[1,2,3,4]", "gt": [1, 2, 3, 4], "unique": True, "size_group": "small"}), "grounding"
    )
    assert (sample.meta["unique"], sample.meta["size_group"], sample.ground_truth) == (True, "small", "[1, 2, 3, 4]")


def test_references_in_numbered_fields_a_list_or_the_truth(tmp_path):
    path = write(
        tmp_path / "p.jsonl", {"answer": "x", "caption0": "a", "caption1": "b"}, {"answer": "x", "caption0": "c", "caption1": None}
    )
    assert [sample.meta["references"] for sample in read(path, "caption")] == [["a", "b"], ["c"]]
    for truth, expected in (("a", ["a"]), (["a", "b"], ["a", "b"])):
        (sample,) = read(write(tmp_path / "p.jsonl", {"answer": "x", "annotation": truth}), "caption")
        assert (sample.meta["references"], sample.ground_truth) == (expected, "a")


def test_classes_come_from_the_file_the_user_or_the_truths(tmp_path):
    path = write(tmp_path / "p.jsonl", {"answer": "port", "annotation": "Port"}, {"answer": "beach", "annotation": "Port"})
    assert read(path, "classification")[0].meta["candidates"] == ["Port"]
    assert read(path, "classification", labels=("Port", "Beach"))[1].meta["candidates"] == ["Port", "Beach"]
    path = write(tmp_path / "m.jsonl", {"answer": "B", "annotation": "(C)"})
    assert read(path, "mcq")[0].meta["candidates"] == ["A", "B", "C"]
    path = write(tmp_path / "o.jsonl", {"answer": "road", "annotation": "road"})
    with pytest.raises(ConfigError, match=r"does not list the options, and they cannot be told .* --labels FILE"):
        read(path, "mcq")


def test_letters_alone_need_no_list_of_classes(tmp_path):
    path = write(tmp_path / "m.jsonl", {"answer": "A, c", "pred": "C and A"}, {"answer": "B", "pred": "Answer: S. There is a road."})
    item = score_predictions(read(path, "multilabel"))["settings"]["optical"]["multilabel"]
    assert item["overall"]["metrics"]["f1_sample"]["value"] == 0.5
    assert item["overall"]["metrics"]["f1_micro"]["value"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


@pytest.mark.parametrize(
    "truth", [[1, 2, 30, 2, 30, 40, 1, 40], [[1, 2], [30, 2], [30, 40], [1, 40]], [[[1, 2], [30, 2], [30, 40], [1, 40]]]]
)
def test_corners_in_lists_of_any_depth_are_one_box(tmp_path, truth):
    path = write(tmp_path / "p.jsonl", {"answer": "{<1><2><30><40>|<0>}", "ground_truth": truth})
    group = score_predictions(read(path, "grounding"))["settings"]["optical"]["grounding"]["overall"]
    assert (group["n"], group["metrics"]["mean_iou"]["value"]) == (1, pytest.approx(1.0))


def test_truths_from_another_file_and_what_lacks_counts_as_missing(tmp_path):
    said = write(tmp_path / "p.jsonl", {"question_id": 1, "answer": "yes"}, {"question_id": 3, "answer": "no"})
    truths = tmp_path / "answers.json"
    listed = [{"id": 9, "question_id": number, "answer": "yes", "active": number < 4} for number in (1, 2, 3, 4)]
    truths.write_text(json.dumps({"answers": listed}))
    group = score_predictions(read(said, "vqa", annotations=truths))["settings"]["optical"]["vqa"]["overall"]
    assert (group["n"], group["n_missing"], group["metrics"]["accuracy"]["value"]) == (3, 1, pytest.approx(1 / 3))
    write(said, {"question_id": 1, "answer": "yes"}, {"question_id": 77, "answer": "no"})
    with pytest.raises(DataError, match=r"1 samples are not annotated in .*answers\.json \(77\)"):
        read(said, "vqa", annotations=truths)
    write(said, {"answer": "yes"})
    with pytest.raises(ConfigError, match=r"no field with the sample id.*--map sample_id=FIELD"):
        read(said, "vqa", annotations=truths)


def test_the_same_sample_twice_is_refused_with_both_places(tmp_path):
    path = write(tmp_path / "p.jsonl", {"id": 1, "answer": "a", "gt": "a"}, {"id": 1, "answer": "b", "gt": "a"})
    with pytest.raises(DataError, match=r"p\.jsonl:2: sample '1' \(field 'id'\) stands already at .*p\.jsonl:1.*--map sample_id=-"):
        read(path, "vqa")
    assert [sample.sample_id for sample in read(path, "vqa", fields={"sample_id": "-"})] == ["000001", "000002"]


def test_a_repeated_image_is_no_repeated_sample(tmp_path):
    path = write(tmp_path / "p.jsonl", *[{"image_id": "x", "answer": "a", "gt": "a"}] * 2)
    assert [sample.image_ids for sample in read(path, "caption")] == [("x",), ("x",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"p\.jsonl: no samples"),
        ("\n\n", r"p\.jsonl: no samples"),
        ('{"answer": "a", "gt": "a"}\n{"answer": ', r"p\.jsonl:2: not JSON"),
        ("[1]\n", r"p\.jsonl:1: expected an object, found list"),
        ('{"answer": ["a"], "gt": "a"}\n', r"p\.jsonl:1: the prediction 'answer' must be a text or a number, found \['a'\]"),
        ('{"answer": {"b": 1}, "gt": "a"}\n', r"must be a text or a number, found \{'b': 1\}"),
        ('{"answer": NaN, "gt": "a"}\n', r"p\.jsonl:1: not usable JSON"),
        ('{"answer": "a", "gt": null}\n', r"the truth 'gt' must be a text or a number, found None"),
        ('{"answer": "a", "gt": "a"}\n{"answer": "a", "gt": "a", "gt": "b"}\n', r"p\.jsonl:2: not usable JSON: .* is duplicated"),
        ("[" * 100_000 + "\n", r"p\.jsonl:1: not (usable )?JSON"),
    ],
)
def test_broken_files_say_where(tmp_path, text, message):
    path = tmp_path / "p.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(path, "vqa")


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(DataError, match=r"no such file\. Predict first"):
        read(tmp_path / "p.jsonl", "vqa")
    (tmp_path / "p.jsonl").write_bytes(b'{"answer": "\xff"}\n')
    with pytest.raises(DataError, match=r"p\.jsonl:1: not UTF-8"):
        read(tmp_path / "p.jsonl", "vqa")


MASK = np.zeros((20, 30), dtype=bool)
MASK[5:10, 5:15] = True
RING = [5, 5, 15, 5, 15, 10, 5, 10]


@pytest.mark.parametrize(
    "entry",
    [
        {"pred_mask": encode_rle(MASK), "gt_mask": encode_rle(MASK)},
        {"pred_masks": [encode_rle(MASK)], "gt_mask": {"size": [20, 30], "counts": [105, 5, *[15, 5] * 9, 310]}},
        {"pred_mask": [RING], "gt_mask": [RING], "height": 20, "width": 30},
        {"pred_mask": [RING], "gt_mask": encode_rle(MASK)},
        {"pred_masks": [[RING, RING]], "gt_masks": [[RING]], "image_size": [20, 30]},
    ],
    ids=["rle", "rle of numbers", "polygon", "size of the other", "rings that overlap"],
)
def test_masks_in_every_form(tmp_path, entry):
    samples = read(write(tmp_path / "p.jsonl", entry), "referring")
    group = score_predictions(samples)["settings"]["optical"]["referring"]["overall"]
    assert group["metrics"]["miou"]["value"] == 1.0
    assert (group["n"], group["n_missing"]) == (1, 0)


def test_no_mask_at_all_is_missing(tmp_path):
    path = write(tmp_path / "p.jsonl", {"pred_mask": None, "gt_mask": encode_rle(MASK)}, {"pred_mask": [], "gt_mask": encode_rle(MASK)})
    group = score_predictions(read(path, "referring"))["settings"]["optical"]["referring"]["overall"]
    assert (group["n"], group["n_missing"], group["metrics"]["miou"]["value"]) == (2, 2, 0.0)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[5, 5, 15, 5]], r"a segmentation must be a list of rings"),
        ([[5, 5, 15, 5, 15, 10, 5]], r"polygon ring 0 has 7 numbers"),
        ([[5, 5, 15, 5, 15, 1e12]], r"coordinate 1000000000000.0; expected pixels of the 20 x 30 image"),
        ([[5, 5, 15, 5, 15, "x"]], r"coordinate 'x'"),
        ([[200, 200, 210, 200, 210, 210]], r"coordinate 200|lies outside"),
        ({"size": [20, 30], "counts": "0"}, r"runs sum to"),
        ({"size": [20, 30], "counts": "\x01\x02"}, r"no packed COCO runs"),
        ({"size": [20, 30], "counts": [-5, 605]}, r"expected runs of 0 px or more"),
        ({"size": [0, 30], "counts": ""}, r"the size of the image must be"),
        ({"size": [20], "counts": ""}, r"the size of the image must be"),
        ({"size": ["a", 30], "counts": ""}, r"the size of the image must be"),
        ({"counts": "abc"}, r"a segmentation must be"),
        ("abc", r"a segmentation must be"),
        (7, r"a segmentation must be"),
    ],
)
def test_malformed_masks_are_errors_with_file_and_line(tmp_path, mask, message):
    path = write(tmp_path / "p.jsonl", {"pred_mask": mask, "gt_mask": encode_rle(MASK)})
    with pytest.raises(AnnotationError, match=r"p\.jsonl:1, pred_mask.*(" + message + ")"):
        read(path, "referring")


def test_a_polygon_needs_a_size(tmp_path):
    path = write(tmp_path / "p.jsonl", {"pred_mask": [RING], "gt_mask": [RING]})
    with pytest.raises(AnnotationError, match=r"a polygon needs 'height' and 'width' in its entry"):
        read(path, "referring")


def test_our_own_files_are_known_by_their_fields(tmp_path, predicted):
    path = tmp_path / "p.jsonl"
    path.write_text(format_prediction(predicted[0]) + "\n")
    assert is_native(path)
    assert not is_native(write(tmp_path / "q.jsonl", {"answer": "a"}))
    assert not is_native(tmp_path / "none")
