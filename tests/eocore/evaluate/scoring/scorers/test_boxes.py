import numpy as np
import pytest

from eocore.data.io.masks import encode_rle
from eocore.errors import AnnotationError, ConfigError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.score import score_predictions


def ref(sample_id: str, said: str | None, truth: str, task: str = "grounding", masks: tuple = (), **meta) -> Prediction:
    return Prediction(sample_id, task, (sample_id,), "optical", "", said, truth, meta, masks)


def scores(*samples: Prediction, **options) -> dict:
    task = samples[0].task
    kind = {"grounding": "Grounding", "detection": "Detection"}[task]
    return score_predictions(samples, metrics={task: {"type": kind, **options}})["settings"]["optical"][task]


def values(item: dict) -> dict[str, float]:
    return {name: round(value["value"], 4) for name, value in item["overall"]["metrics"].items()}


def test_accuracy_mean_and_cumulated_iou():
    item = scores(
        ref("a", "{<0><0><10><10>}", "{<0><0><10><5>}"), ref("b", "[0, 0, 1, 1]", "[0, 0, 1, 1]"), ref("c", "there", "[5, 5, 6, 6]")
    )
    found = values(item)
    assert (found["acc@0.5"], found["acc@0.6"]) == (pytest.approx(2 / 3, abs=1e-4), pytest.approx(1 / 3, abs=1e-4))
    assert found["mean_iou"] == pytest.approx((0.5 + 1 + 0) / 3, abs=1e-4)
    assert found["cum_iou"] == pytest.approx((50 + 1) / (100 + 1 + 1), abs=1e-4)
    assert (item["overall"]["n"], item["overall"]["n_unparsed"], item["overall"]["n_missing"]) == (3, 1, 0)


def test_unit_boxes_apart_score_nothing_but_in_the_published_way():
    item = scores(ref("a", "[0.1, 0.1, 0.2, 0.2]", "[0.11, 0.11, 0.3, 0.3]"))
    assert values(item)["acc@0.5"] == 0.0
    assert item["reference_compat"]["acc@0.5_plus_one"]["value"] == 1.0


def test_only_as_many_boxes_as_asked_are_read():
    item = scores(ref("a", "[90, 90, 95, 95] [0, 0, 10, 10]", "[0, 0, 10, 10]"))
    assert values(item)["acc@0.5"] == 0.0
    assert item["overall"]["n_extra"] == 1


def test_several_boxes_are_paired_whatever_their_order():
    item = scores(ref("a", "[20, 20, 30, 30] [0, 0, 10, 10]", "[[0, 0, 10, 10], [20, 20, 30, 30]]"))
    assert values(item)["acc@0.9"] == 1.0
    assert item["overall"]["n"] == 2


def test_groups_by_uniqueness_and_size():
    item = scores(
        ref("a", "[0, 0, 9, 9]", "[0, 0, 9, 9]", unique=True, size_group="small"),
        ref("b", "", "[0, 0, 9, 9]", unique=False, size_group="large"),
    )
    found = {
        field: {name: group["metrics"]["acc@0.5"]["value"] for name, group in groups.items()} for field, groups in item["by_group"].items()
    }
    assert found == {"unique": {"True": 1.0, "False": 0.0}, "size_group": {"small": 1.0, "large": 0.0}}


def test_scales_are_brought_together():
    same = ref("a", "[100, 200, 300, 400]", "", boxes=[[10, 20, 30, 40]], box_scale=100, image_size=[500, 1000])
    assert values(scores(same, prediction_scale=1000))["acc@0.9"] == 1.0
    pixels = ref("a", "[100, 100, 300, 200]", "", boxes=[[10, 20, 30, 40]], box_scale=100, image_size=[500, 1000])
    assert values(scores(pixels, prediction_scale=0))["acc@0.9"] == 1.0
    with pytest.raises(AnnotationError, match=r"sample 'a': boxes in pixels meet boxes on a scale of 100, and 'image_size'"):
        scores(ref("a", "[1, 1, 3, 3]", "[1, 1, 3, 3]"), prediction_scale=0)


def test_a_drawn_mask_stands_for_its_bounds():
    mask = np.zeros((50, 100), dtype=bool)
    mask[10:20, 10:30] = True
    item = scores(ref("a", "Sure, [SEG].", "", masks=(encode_rle(mask),), boxes=[[10, 20, 30, 40]], box_scale=100))
    assert values(item)["acc@0.9"] == 1.0
    assert item["details"] == {"boxes_from_masks": 1}


def test_corner_polygon_meets_turned_box():
    turned = "{<20><40><60><50>|<30>}"
    corners = [25.179, 30.67, 59.82, 50.67, 54.821, 59.33, 20.179, 39.33]
    assert values(scores(ref("a", turned, "", boxes=[corners])))["mean_iou"] > 0.99


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (ref("a", "", "in the middle"), r"sample 'a': the annotation 'in the middle' holds no box with an area"),
        (ref("a", "", "[9, 9, 3, 3]"), r"holds no box with an area"),
        (ref("a", "", "", boxes=[[1, 2, 3]]), r"'boxes' in its meta must be lists of 4, 5 or 8 numbers"),
        (ref("a", "", "", boxes=[[1, 2, 3, "x"]]), r"'boxes' in its meta: could not convert"),
    ],
)
def test_wrong_annotations(sample, message):
    with pytest.raises(AnnotationError, match=message):
        scores(sample)


def test_detection_gives_precision_recall_f1_and_the_published_figure_apart():
    said = "[[0, 0, 10, 10, 0], [0, 0, 10, 9.5, 0], [50, 50, 60, 60, 0]]"
    item = scores(
        ref("a", said, "[[0, 0, 10, 10, 0], [80, 80, 90, 90, 0]]", task="detection"), ref("b", None, "[1, 1, 3, 3]", task="detection")
    )
    assert values(item) == {"f1@0.5": round(2 / 6, 4), "precision@0.5": round(1 / 3, 4), "recall@0.5": round(1 / 3, 4)}
    assert item["reference_compat"]["precision_many_to_one@0.5"]["value"] == pytest.approx(2 / 3)
    assert item["headline"] == "f1@0.5"


def test_no_ship_and_no_box_is_right():
    assert values(scores(ref("a", "There is none.", "", task="detection")))["f1@0.5"] == 1.0


TRUE = [[10, 20, 30, 40], [50, 60, 70, 90], [5, 5, 95, 60], [40, 40, 60, 60]]


@pytest.mark.parametrize("factor", [0.01, 10, 1])
@pytest.mark.parametrize("task", ["grounding", "detection"])
def test_the_scale_of_a_file_is_told_and_said(factor, task):
    samples = [ref(str(n), str([v * factor for v in box]), str(box), task=task) for n, box in enumerate(TRUE)]
    item = scores(*samples)
    assert values(item)["f1@0.5" if task == "detection" else "mean_iou"] == 1.0
    name = {0.01: "0 to 1", 10: "0 to 1000", 1: "0 to 100"}[factor]
    assert item["details"]["box_scales"] == {"answers": name, "annotations": "0 to 100", "how": "told by their range", "order": "xyxy"}
    assert f"scale of boxes: answers {name} (told by their range), annotations 0 to 100." in item["notes"][0]


def test_scales_may_be_stated():
    samples = [ref(str(n), str([v * 10 for v in box]), str(box)) for n, box in enumerate(TRUE)]
    assert values(scores(*samples, prediction_scale=100))["mean_iou"] < 0.01
    assert values(scores(*samples, prediction_scale=1000, truth_scale=100))["mean_iou"] == 1.0
    sized = [ref(str(n), str([v * 5 for v in box]), str(box), image_size=[500, 500]) for n, box in enumerate(TRUE)]
    assert values(scores(*sized, prediction_scale="pixels"))["mean_iou"] == 1.0
    assert "(stated)" in scores(*samples, prediction_scale=1000)["notes"][0]


def test_other_orders_of_the_numbers():
    for order, places in (("yxyx", (1, 0, 3, 2)), ("xyxy", (0, 1, 2, 3))):
        samples = [ref(str(n), str([box[index] for index in places]), str(box)) for n, box in enumerate(TRUE)]
        assert values(scores(*samples, order=order))["mean_iou"] == 1.0
    sizes = [ref(str(n), str([x0, y0, x1 - x0, y1 - y0]), str([x0, y0, x1, y1])) for n, (x0, y0, x1, y1) in enumerate(TRUE)]
    assert values(scores(*sizes, order="xywh"))["mean_iou"] == 1.0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"prediction_scale": -1}, "Grounding: prediction_scale must be 0 or 'pixels', or a number above 0"),
        ({"truth_scale": "percent"}, "truth_scale must be 0 or 'pixels'"),
        ({"order": "xy"}, "order must be one of xyxy, yxyx, xywh, found 'xy'"),
    ],
)
def test_wrong_options(option, message):
    with pytest.raises(ConfigError, match=message):
        scores(ref("a", "[1, 2, 3, 4]", "[1, 2, 3, 4]"), **option)


def test_answers_that_were_cut_off_are_counted_and_shown():
    cut = '[{"bbox_2d": [10, 20, 30, 40], "label": "ship 1"}, {"bbox_2d": [50, 6'
    item = scores(
        ref("a", cut, "[10, 20, 30, 40]"), ref("b", '[{"bbox_2d": [10, 2', "[10, 20, 30, 40]"), ref("c", "there", "[10, 20, 30, 40]")
    )
    assert item["details"]["malformed_json"] == 2
    assert item["unparsed"]["reasons"] == {"JSON that is cut off or malformed": 1, "no box": 1}
    assert "2 answers hold JSON that cannot be decoded" in item["notes"][1]


def test_annotations_on_several_scales_are_said():
    samples = [
        ref("a", "[10, 20, 30, 40]", "", boxes=[[10, 20, 30, 40]], box_scale=100),
        ref("b", "[0.1, 0.2, 0.3, 0.4]", "", boxes=[[1, 2, 3, 4]], box_scale=10),
    ]
    assert "annotations are on 2 scales" in " ".join(scores(*samples)["notes"])


@pytest.mark.parametrize("task", ["grounding", "detection"])
def test_another_order_of_the_numbers_is_said_where_boxes_fit_far_better(task):
    samples = [ref(str(n), str([box[index] for index in (1, 0, 3, 2)]), str(box), task=task) for n, box in enumerate(TRUE)]
    assert "another order is likely. Where it is so, state it: --box-order yxyx." in " ".join(scores(*samples)["notes"])
    assert "--box-order" not in " ".join(scores(*samples, order="yxyx")["notes"])
    sizes = [ref(str(n), str([x0, y0, x1 - x0, y1 - y0]), str([x0, y0, x1, y1]), task=task) for n, (x0, y0, x1, y1) in enumerate(TRUE)]
    assert "--box-order xywh" in " ".join(scores(*sizes, truth_scale=100, prediction_scale=100)["notes"])


def test_boxes_of_no_area_are_counted_and_said():
    samples = [ref("a", "[30, 40, 10, 20]", "[10, 20, 30, 40]"), ref("b", "[10, 20, 30, 40]", "[10, 20, 30, 40]")]
    assert "1 of 2 boxes of answers have no area, or their far corner before the near one" in " ".join(scores(*samples)["notes"])
    assert "no area" not in " ".join(scores(samples[1])["notes"])


@pytest.mark.parametrize("task", ["grounding", "detection"])
def test_boxes_beyond_a_stated_scale_are_counted_and_the_option_is_named(task):
    samples = [ref(str(n), f"[{100 + n}, 200, 300, 400]", f"[{10 + n / 10}, 20, 30, 40]", task) for n in range(5)]
    (note,) = [note for note in scores(*samples, prediction_scale=100)["notes"] if "go beyond" in note]
    assert note.startswith("5 of 5 boxes of answers go beyond the scale of 0 to 100, up to 400")
    assert note.endswith("--prediction-scale 1000.")
    shares = [ref(str(n), f"[{100 + n}, 200, 3000, 4000]", "[0.1, 0.2, 0.3, 0.4]", task) for n in range(5)]
    assert "--prediction-scale pixels." in " ".join(scores(*shares, prediction_scale=1, truth_scale=1)["notes"])
    assert not [note for note in scores(*samples)["notes"] if "go beyond" in note]


def test_boxes_beyond_one_of_several_scales_of_annotations_are_counted():
    fits = ref("a", "[0.1, 0.1, 0.4, 0.4]", "[0.1, 0.1, 0.4, 0.4]", box_scale=1)
    beyond = ref("b", "[100, 200, 300, 400]", "[10, 20, 30, 40]", box_scale=100)
    assert "1 of 1 boxes of answers go beyond the scale of 0 to 100, up to 400" in " ".join(scores(fits, beyond)["notes"])


def test_lhrs_adds_a_whole_side_and_its_headline_leaves_answers_without_a_box_out():
    # (0.0, 0.0, 0.1, 0.1) and (0.5, 0.5, 0.6, 0.6): sides 1.1, shared (0.1 - 0.5 + 1)^2 = 0.36, union 2 * 1.21 - 0.36: 0.175.
    # (0.4, 0.4, 0.5, 0.5) and (0.5, 0.5, 0.6, 0.6) only touch: shared 1, union 1.42: 0.704.
    apart = ref("a", "[0.0, 0.0, 0.1, 0.1]", "", boxes=[[0.5, 0.5, 0.6, 0.6]], box_scale=1.0)
    touching = ref("b", "[0.4, 0.4, 0.5, 0.5]", "", boxes=[[0.5, 0.5, 0.6, 0.6]], box_scale=1.0)
    silent = ref("c", "nowhere", "", boxes=[[0.5, 0.5, 0.6, 0.6]], box_scale=1.0)
    item = scores(apart, touching, silent)
    assert values(item)["acc@0.5"] == 0.0 and item["overall"]["n_unparsed"] == 1
    assert item["reference_compat"]["acc@0.5_plus_one_of_side"]["value"] == pytest.approx(1 / 3)
    assert item["reference_compat"]["acc@0.5_plus_one_of_side_parsed"]["value"] == pytest.approx(1 / 2)


def test_a_side_is_that_of_the_image_on_any_scale():
    for scale, box in ((100.0, [50, 50, 60, 60]), (0.0, [100, 50, 120, 60])):
        said = "[0.4, 0.4, 0.5, 0.5]"
        item = scores(ref("a", said, "", boxes=[box], box_scale=scale, image_size=[100, 200]), prediction_scale=1)
        assert item["reference_compat"]["acc@0.5_plus_one_of_side"]["value"] == 1.0
        assert values(item)["acc@0.5"] == 0.0


def test_overlap_is_the_same_in_pixels_and_in_fractions():
    size = [300, 700]
    for scale, box in ((1.0, [0.2, 0.2, 0.6, 0.5]), (0.0, [140, 60, 420, 150])):
        item = scores(ref("a", "[0.25, 0.2, 0.6, 0.6]", "", boxes=[box], box_scale=scale, image_size=size), prediction_scale=1)
        # shared 0.35 * 0.3, covered 0.4 * 0.3 + 0.35 * 0.4 - 0.35 * 0.3
        assert values(item)["mean_iou"] == pytest.approx(0.105 / 0.155, abs=1e-4)


def test_boxes_that_leave_the_image_and_reversed_ones_are_counted():
    said = ("[0.2, 0.2, 1.3, 0.5]", "[-0.1, 0, 0.5, 0.5]", "[0.6, 0.2, 0.2, 0.5]", "[0.2, 0.2, 0.5, 0.5]")
    item = scores(*(ref(str(n), text, "", boxes=[[0.2, 0.2, 0.5, 0.5]], box_scale=1.0) for n, text in enumerate(said)), prediction_scale=1)
    assert (item["details"]["boxes_outside"], item["details"]["boxes_without_area"]) == (2, 1)
    assert item["overall"]["n"] == 4 and item["overall"]["n_unparsed"] == 0
    assert values(item)["acc@0.5"] == 0.25
