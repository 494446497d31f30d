"""Boxes as models and annotation files write them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eocore.evaluate.metrics.boxes import box_text
from eocore.evaluate.scoring.parsing.boxes import boxes_of_value, parse_boxes, read_boxes

ONE = (10, 20, 30, 40)
OF_ONE = [
    "{<10><20><30><40>}", "<10><20><30><40>", "{<10>,<20>,<30>,<40>}", "[10, 20, 30, 40]", "[10 20 30 40]", "(10, 20, 30, 40)",
    "[[10, 20, 30, 40]]",
    "(10, 20), (30, 40)", "(10,20),(30,40)", "[[10, 20], [30, 40]]", "<box>(10,20),(30,40)</box>", "<box>[[10, 20, 30, 40]]</box>",
    "<box>10 20 30 40</box>", "<bbox>10, 20, 30, 40</bbox>", "<|box_start|>(10,20),(30,40)<|box_end|>", "<loc_10><loc_20><loc_30><loc_40>",
    "<|object_ref_start|>the ship 5<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|>",
    "<ref>ship 3</ref><box>[[10, 20, 30, 40]]</box>",
    "10, 20, 30, 40", "10 20 30 40 is where", "Box: 10 20 30 40", "1. 10, 20, 30, 40", "[10%, 20%, 30%, 40%]", "[1e1, 2e1, 30, 40.0]",
    "x1=10, y1=20, x2=30, y2=40", "[xmin: 10, ymin: 20, xmax: 30, ymax: 40]", "left: 10, top: 20, right: 30, bottom: 40",
    "top-left (10, 20), bottom-right (30, 40)", "from (10, 20) to (30, 40)", '{"bbox_2d": [10, 20, 30, 40], "label": "runway 30"}',
    '```json\n[\n\t{"bbox_2d": [10, 20, 30, 40], "label": "ship 2"}\n]\n```',
    '{"bbox": [10, 20, 30, 40], "confidence": 0.9, "class_id": 4}',
    '{"objects": [{"box": {"x1": 10, "y1": 20, "x2": 30, "y2": 40}, "score": 0.93}], "count": 1}', '{"bbox": "10, 20, 30, 40", "id": 7}',
    '{"x": 10, "y": 20, "width": 20, "height": 20, "score": 0.5}', '{"answer": "[10, 20, 30, 40]"}',
    "{'bbox': [10, 20, 30, 40], 'label': 'a 5'}",
    '[{"bbox_2d": [10, 20, 30, 40], "label": "ship",}]', '{"bbox_2d": [10, 20, 30, 40], "scores": [0.9, 0.8, 0.7, 0.6]}',
    '{"bbox_2d": [10, 20, 30, 40], "label": "not [1, 2, 3, 4]"}', "There are 2 ships, one of them at {<10><20><30><40>}.",
    "The runway 09/27 of 3000 m is at [10, 20, 30, 40].", "ship 1: [10, 20, 30, 40]", "ship [1]: [10, 20, 30, 40], score 0.9, class 3",
    "image size (512, 512): (10,20),(30,40)", "(x1, y1, x2, y2) = (10, 20, 30, 40)", "[SEG] [10, 20, 30, 40]", "{<10><20><30><40>",
    "<think>[1, 2, 3, 4]</think>[10, 20, 30, 40]", "<answer>[10, 20, 30, 40]</answer>", "[10, 20, 30, 40]<|im_end|>",
    "The probabilities are [0.1, 0.2, 0.3, 0.4], the box {<10><20><30><40>}", "In 2019 there were 4 ships. [10, 20, 30, 40]",
]  # fmt: skip


@pytest.mark.parametrize("text", OF_ONE)
def test_one_level_box(text):
    (box,) = parse_boxes(text)
    assert (box.x0, box.y0, box.x1, box.y1) == ONE
    assert box.is_level


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("There are 2 ships in the image: <11><20><30><40>, <50><60><70><80>.", [(11, 20, 30, 40), (50, 60, 70, 80)]),
        ("ship 1: [1, 2, 3, 4]\nship 2: [5, 6, 7, 8]", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "ship 1"}, {"bbox_2d": [5, 6, 7, 8], "label": "ship 2"}]', [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ('{"bbox_2d": [1, 2, 3, 4]}\n{"bbox_2d": [5, 6, 7, 8]}', [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ('{"ship": [[1, 2, 3, 4], [5, 6, 7, 8]]}', [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("<box>[[12, 30, 40, 55, 90], [1, 2, 3, 4, 0]]</box>", [(12, 30, 40, 55, 90), (1, 2, 3, 4, 0)]),
        ("the ship {<12><30><40><55>|<90>}.", [(12, 30, 40, 55, 90)]),
        ("{<12><30><40><55>|90}", [(12, 30, 40, 55, 90)]),
        ("{<1><2><3><4>} and {<5><6><7><8>|<30>}", [(1, 2, 3, 4), (5, 6, 7, 8, 30)]),
        ('{"bbox_2d": [1, 2, 3, 4], "angle": 30, "score": 0.9}', [(1, 2, 3, 4, 30)]),
        ("{<0><0><10><0><10><5><0><5>}", [(0, 0, 10, 0, 10, 5, 0, 5)]),
        ('{"polygon": [[0, 0], [10, 0], [10, 5], [0, 5]]}', [(0, 0, 10, 0, 10, 5, 0, 5)]),
        ("<p>2 ships</p> at [0.1, 0.25, .5, 1.0]", [(0.1, 0.25, 0.5, 1.0)]),
        ("[-3, 0, 5.5, 9]", [(-3, 0, 5.5, 9)]),
    ],
)
def test_several_turned_and_cornered_boxes(text, numbers):
    assert list(read_boxes(text).numbers) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "", "I cannot find it.", "[1, 2, 3]", "{<10><20><30>", "In 2019 there were 4 ships, 3 boats and 2 piers", "1, 2, 3, 4, 5",
        "ship 1 of 2, score 0.9",
        '{"scores": [0.9, 0.8, 0.7, 0.6]}', '{"label": "ship", "reason": "It is near [1, 2, 3, 4]"}', '{"boxes": [], "count": 0}',
        "[NaN, 1, 2, 3]",
        "[" + "9" * 400 + ", 1, 2, 3]", '[{"bbox_2d": [10, 20, 30], "score": 1}]', '[{"bbox_2d": null}]', "[true, false, true, true]",
        "<think>[1, 2, 3, 4]",
    ],
)  # fmt: skip
def test_numbers_that_are_no_box(text):
    assert parse_boxes(text) == []


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ('[{"bbox_2d": [10, 20, 30, 40], "label": "ship"}, {"bbox_2d": [50, 6', [(10, 20, 30, 40)]),
        ('```json\n[{"label": "runway 30", "scores": [1, 2, 3, 4], "bbox_2d": [10, 20, 30, 40]}, {"lab', [(10, 20, 30, 40)]),
        ('[{"bbox_2d": [10, 20', []),
        ('{"label": "ship", "score": 0.9, "bbox": [1, 2, 3, ', []),
    ],
)
def test_json_that_is_cut_off_gives_its_whole_boxes_and_is_told(text, boxes):
    read = read_boxes(text)
    assert list(read.numbers) == boxes
    assert read.malformed


def test_whole_json_and_other_forms_are_not_called_malformed():
    assert not any(read_boxes(text).malformed for text in OF_ONE)


def test_values_of_decoded_json():
    assert boxes_of_value({"a": [{"bbox": [1, 2, 3, 4]}, {"bbox": [5, 6, 7, 8]}]}) == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert boxes_of_value([1, 2, 3]) == []
    deep: list = [1, 2, 3, 4]
    for _ in range(5000):
        deep = [deep]
    assert boxes_of_value(deep) == []


COORDINATE = st.integers(0, 1000) | st.floats(0, 1000).map(lambda value: round(value, 3))
LABEL = st.sampled_from(["ship", "runway 30", "tank 4 of 12", "B-52", "small vehicle", "ship 0.9"])


def _written(box: list, label: str, form: str) -> str:
    forms = {
        "published": box_text(box),
        "list": str(box),
        "qwen": f"```json\n[{json.dumps({'bbox_2d': box, 'label': label})}]\n```",
        "bbox": json.dumps({"label": label, "bbox": box, "confidence": 0.87}),
        "sentence": f"There are 3 objects here; the {label} is at {box}.",
        "tag": f"<ref>{label}</ref><box>[{box}]</box>",
        "corners": "({}, {}), ({}, {})".format(*box),
        "named": "x1: {}, y1: {}, x2: {}, y2: {}".format(*box),
        "bare": " ".join(map(str, box)),
    }
    return forms[form]


FORMS = ("published", "list", "qwen", "bbox", "sentence", "tag", "corners", "named", "bare")


@given(st.lists(COORDINATE, min_size=4, max_size=4), LABEL, st.sampled_from(FORMS))
@settings(max_examples=300, deadline=None)
def test_a_box_in_any_form_is_read_back(box, label, form):
    (read,) = read_boxes(_written(box, label, form)).numbers
    assert read == pytest.approx(box, rel=1e-5)  # the published form has six digits


@given(st.lists(st.lists(COORDINATE, min_size=4, max_size=4), min_size=1, max_size=5), LABEL, st.integers(-90, 90).filter(bool))
@settings(max_examples=100, deadline=None)
def test_several_boxes_and_angles_are_read_back(boxes, label, angle):
    answer = json.dumps([{"bbox_2d": box, "label": f"{label} {number}", "score": 0.5} for number, box in enumerate(boxes)])
    assert [list(box) for box in read_boxes(answer).numbers] == boxes
    turned = read_boxes(" ".join(box_text([*map(int, box), angle]) for box in boxes)).numbers
    assert [list(box) for box in turned] == [[*map(int, box), angle] for box in boxes]


@given(st.text(max_size=60) | st.text("[]{}()<>|,:\"'. \nx1y20bo", max_size=80))
@settings(max_examples=400, deadline=None)
def test_any_text_gives_boxes_of_finite_numbers(text):
    for box in read_boxes(text).numbers:
        assert len(box) in (4, 5, 8)
        assert all(abs(number) < 1e7 for number in box)
        assert read_boxes(box_text(box)).numbers == (pytest.approx(box, rel=1e-5, abs=1e-9),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y_min: 20, x_min: 10, y_max: 40, x_max: 30", [[10, 20, 30, 40]]), ("ymin=20, xmin=10, ymax=40, xmax=30", [[10, 20, 30, 40]]),
        ("x: 10, y: 20, width: 20, height: 20", [[10, 20, 30, 40]]), ("x=10, y=20, x=30, y=40", [[10, 20, 30, 40]]),
        ("Image width: 512, height: 512. Box: x1=10, y1=20, x2=30, y2=40", [[10, 20, 30, 40]]),
        ('{"top_left": [10, 20], "bottom_right": [30, 40]}', [[10, 20, 30, 40]]),
        ('{"top-left": {"x": 10, "y": 20}, "bottom-right": {"x": 30, "y": 40}}', [[10, 20, 30, 40]]),
        ('{"bbox_2d": ["10", "20", "30", "40"]}', [[10, 20, 30, 40]]), ('["10", "20", "30.5", "40"]', [[10, 20, 30.5, 40]]),
        ("[10px, 20px, 30 px, 40 pixels]", [[10, 20, 30, 40]]), ("10, 20, 30, 40\n50, 60, 70, 80", [[10, 20, 30, 40], [50, 60, 70, 80]]),
        ("ship 10 20 30 40\nship 50 60 70 80", [[10, 20, 30, 40], [50, 60, 70, 80]]),
    ],
)  # fmt: skip
def test_names_lines_and_texts_of_numbers(text, expected):
    assert [list(numbers) for numbers in read_boxes(text).numbers] == expected


def test_a_fifth_number_below_one_is_a_score_and_no_angle():
    assert read_boxes("[10, 20, 30, 40, 0.95]").numbers == ((10, 20, 30, 40),)
    assert read_boxes('{"bbox": [10, 20, 30, 40, 0.5]}').numbers == ((10, 20, 30, 40),)
    assert read_boxes("[10, 20, 30, 40, 90]").numbers == ((10, 20, 30, 40, 90),)


@pytest.mark.parametrize("text", ['["10", "20", "ship", "40"]', "width: 20, height: 20", "x1=10, y1=20, x2=30", '{"top_left": [10, 20]}'])
def test_halves_of_a_box_are_none(text):
    assert not read_boxes(text).numbers
