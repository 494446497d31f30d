import json

import pytest

from eocore.errors import DataError
from eocore.evaluate.external.files import is_native
from eocore.evaluate.predictions import Prediction, format_prediction, parse_prediction, read_predictions

RLE = {"size": [4, 4], "counts": "04<"}


def sample(sample_id: str = "q1", **changes) -> Prediction:
    fields = {
        "task": "mcq",
        "image_ids": ("1.png",),
        "sensor": "fused",
        "prompt": "What?",
        "prediction": "Wald \u00e4",
        "ground_truth": "b",
    }
    return Prediction(sample_id, **{**fields, "meta": {"candidates": ["a", "b"], "cloudy": True}, **changes})


def entry(**changes) -> str:
    return json.dumps({**json.loads(format_prediction(sample())), **changes})


def write(path, *lines: str):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_what_is_written_is_read(tmp_path):
    masks = sample("r1", task="referring", prediction="[SEG]\nU+2028:\u2028", prediction_masks=(RLE,), ground_truth_masks=(RLE, RLE))
    path = write(
        tmp_path / "p.jsonl", format_prediction(sample()), format_prediction(masks), format_prediction(sample("q2", prediction=None))
    )
    assert read_predictions(path) == [sample(), masks, sample("q2", prediction=None)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r":1: not JSON .*line 1 column 1.* remove it and predict its sample again"),
        ("[]", r":1: expected an object, found \[\]"),
        ("", r":1: not JSON"),
        (entry(sensor="radar"), r":1: field sensor: expected one of optical, sar, multispectral, fused, .*, found 'radar'"),
        (entry(task="dance"), r":1: field task: expected one of vqa, mcq"),
        (entry(sample_id=7), r":1: field sample_id: expected a valid string, found 7"),
        (entry(sample_id=""), r":1: field sample_id: string should have at least 1 character, found ''"),
        (entry(prediction=3), r":1: field prediction: expected a valid string, found 3"),
        (entry(image_ids="1.png"), r":1: field image_ids: expected a valid array, found '1.png'"),
        (entry(prediction_masks=[{"size": [4, 0], "counts": "x"}]), r":1: field prediction_masks\[0\].size\[1\]: expected greater than 0"),
        (
            entry(ground_truth_masks=[{"size": [4, True], "counts": "x"}]),
            r":1: .*ground_truth_masks\[0\].size\[1\]: expected a valid int",
        ),
        (entry(ground_truth_masks=[{"size": [4, 4], "counts": [1, 2]}]), r":1: .*ground_truth_masks\[0\].counts: expected a valid string"),
        (
            entry(ground_truth_masks=[{"size": [4, 4]}, {"size": [4, 4]}]),
            r":1: lacks ground_truth_masks\[0\].counts, ground_truth_masks",
        ),
        (entry(score=1), r":1: has the unknown score"),
        ('{"sample_id": "a"}', r":1: lacks task, image_ids, sensor, prompt"),
    ],
)
def test_broken_lines_name_file_and_line(tmp_path, line, message):
    path = write(tmp_path / "p.jsonl", line)
    with pytest.raises(DataError, match=r"p\.jsonl" + message):
        read_predictions(path)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(f"{format_prediction(sample())}\n{format_prediction(sample('q2'))}\n", encoding="utf-8-sig")
    assert read_predictions(path) == [sample(), sample("q2")] and is_native(path)


def test_masks_may_be_left_out_of_a_line():
    line = json.loads(entry())
    del line["prediction_masks"], line["ground_truth_masks"]
    assert parse_prediction(json.dumps(line), source="x:1") == sample()


def test_duplicate_sample_names_both_lines(tmp_path):
    path = write(tmp_path / "p.jsonl", entry(), entry(sample_id="q2"), entry(prediction="other"))
    with pytest.raises(DataError, match=r"p\.jsonl:3: sample 'q1' \(mcq, fused\) stands already in line 1; it would count twice"):
        read_predictions(path)


def test_one_sample_may_stand_under_several_settings(tmp_path):
    path = write(tmp_path / "p.jsonl", entry(), entry(sensor="sar"))
    assert len(read_predictions(path)) == 2


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: no such predictions file. Predict first"):
        read_predictions(tmp_path / "none.jsonl")


def test_what_is_no_json_is_not_written():
    with pytest.raises(DataError, match=r"sample 'q1': Object of type set is not JSON serializable. Give 'meta' plain"):
        format_prediction(sample(meta={"flags": {1, 2}}))


def test_what_could_not_be_read_back_is_not_written():
    with pytest.raises(DataError, match=r"sample 'q1': field sensor: expected one of"):
        format_prediction(sample(sensor="radar"))
