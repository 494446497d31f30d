"""The command as a user types it; figures of EarthDial's released answers."""

import hashlib
import json

import pytest

from eocore.evaluate.__main__ import main
from eocore.evaluate.predictions import format_prediction

GOLDEN = {
    "classification": ("rs_classification_WHU_19", {"accuracy": 0.9642}),
    "caption": (
        "rs_image_caption_UCM_captions",
        {"bleu1": 0.5763, "bleu2": 0.4217, "bleu3": 0.3270, "bleu4": 0.2641, "rouge_l": 0.4730, "cider": 1.2963},
    ),
    "region": (
        "rs_region_captioning_GeoChat",
        {"bleu1": 0.7093, "bleu2": 0.6422, "bleu3": 0.6105, "bleu4": 0.5840, "rouge_l": 0.7235, "cider": 5.3809},
    ),
}


def run(capsys, *words) -> tuple[int, str, str]:
    status = main(["score", *map(str, words)])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


@pytest.mark.parametrize("task", sorted(GOLDEN))
def test_golden_figures_to_four_digits(capsys, shared_dir, tmp_path, task):
    name, figures = GOLDEN[task]
    out = tmp_path / "scores.json"
    path = shared_dir / "golden_predictions" / f"{name}.jsonl"
    status, shown, _ = run(capsys, "--task", task, "--predictions", path, "--out", out)
    assert status == 0
    scores = json.loads(out.read_text())
    metrics = scores["settings"]["optical"][task]["overall"]["metrics"]
    for metric, figure in figures.items():
        assert round(metrics[metric]["value"], 4) == figure
        assert metrics[metric]["low"] < figure < metrics[metric]["high"]
        assert f"{figure:.4f}" in shown
    assert scores["predictions"]["fields"].startswith("prediction=answer")


def test_golden_figures_of_questions_with_fields_named(capsys, shared_dir, tmp_path):
    path, out = shared_dir / "golden_predictions" / "rs_vqa_RSVQA_LR.jsonl", tmp_path / "scores.json"
    fields = ("prediction=answer", "truth=annotation", "type=vqa_type")
    assert run(capsys, "--task", "vqa", "--predictions", path, "--map", *fields, "--expect", 10_004, "--out", out)[0] == 0
    item = json.loads(out.read_text())["settings"]["optical"]["vqa"]
    by_type = {name: round(group["metrics"]["accuracy"]["value"], 4) for name, group in item["by_type"].items()}
    assert by_type == {"presence": 0.9259, "comp": 0.9275, "rural_urban": 0.94, "count": 0.2769}
    without = item["subsets"]["without count"]
    assert round(without["macro"]["value"], 4) == 0.9311
    assert round(without["overall"]["metrics"]["accuracy"]["value"], 4) == 0.9270
    assert without["overall"]["n"] == 7057
    # 6,542 of the 7,057 answers are a part of the true one: counted without the package
    assert item["reference_compat"]["accuracy_evalai_substring"]["value"] == pytest.approx(6542 / 7057)


def test_golden_classes_by_the_longest_common_run(capsys, shared_dir, tmp_path):
    path, out = shared_dir / "golden_predictions" / "rs_classification_WHU_19.jsonl", tmp_path / "scores.json"
    assert run(capsys, "--task", "classification", "--predictions", path, "--out", out)[0] == 0
    item = json.loads(out.read_text())["settings"]["optical"]["classification"]
    # 969 of 1,005 by comparing every run of characters with every class: counted without the package
    assert item["reference_compat"]["accuracy_longest_common_substring"]["value"] == pytest.approx(969 / 1005)


def test_our_own_file_says_its_tasks_itself(capsys, tmp_path, predicted):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(format_prediction(sample) + "\n" for sample in predicted))
    status, shown, _ = run(capsys, "--predictions", path)
    assert status == 0
    assert all(word in shown for word in ("mcq", "vqa", "referring", "fused", "As published evaluations compute it"))
    assert run(capsys, "--predictions", path, "--expect", 40)[0] == 0  # of each task under each setting
    assert "vqa" not in run(capsys, "--predictions", path, "--task", "mcq")[1]


def write(path, *entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_wrong_inputs_are_one_line_and_status_1(capsys, tmp_path):
    path = write(tmp_path / "p.jsonl", {"answer": "a", "gt": "a"})
    for words, message in (
        (["--predictions", path], "its lines do not say what was asked. Give --task"),
        (["--predictions", tmp_path / "none", "--task", "vqa"], "no such file"),
        (["--predictions", path, "--task", "vqa", "--expect", 2], "1 of vqa (optical), expected 2 samples"),
        (["--predictions", path, "--task", "vqa", "--map", "truth=x"], "--map names the field 'x'"),
        (["--predictions", path, "--metric", "Caption"], "its lines do not say"),
        (["--predictions", path, "--task", "vqa", "--metric", "Nonsense"], "registry 'metric' has no 'Nonsense'"),
        (["--predictions", path, "--task", "vqa", "--metric-options", "match"], "expected NAME=VALUE"),
        (["--predictions", path, "--task", "vqa", "--judge"], "EOCORE_JUDGE_URL"),
    ):
        status, _, error = run(capsys, *words)
        assert (status, error.count("\n")) == (1, 1)
        assert message in error


def test_options_of_a_metric_and_labels(capsys, tmp_path):
    path = write(tmp_path / "p.jsonl", {"answer": "a red roof", "gt": "red"})
    out = tmp_path / "s.json"
    run(capsys, "--predictions", path, "--task", "vqa", "--metric-options", "match=contained", "--out", out)
    assert json.loads(out.read_text())["settings"]["optical"]["vqa"]["overall"]["metrics"]["accuracy"]["value"] == 1.0
    labels = tmp_path / "labels.txt"
    labels.write_text("Beaches, dunes, sands\nArable land\n")
    path = write(tmp_path / "m.jsonl", {"answer": "A", "gt": ["Beaches, dunes, sands"]})
    marked = tmp_path / "marked.json"
    marked.write_text('["Beaches, dunes, sands", "Arable land"]', encoding="utf-8-sig")
    for given in (labels, marked, "Beaches, dunes, sands;Arable land"):
        run(capsys, "--predictions", path, "--task", "multilabel", "--labels", given, "--out", out)
        assert json.loads(out.read_text())["settings"]["optical"]["multilabel"]["overall"]["metrics"]["f1_sample"]["value"] == 1.0


@pytest.mark.parametrize("content", [b"[1, 2]", b"[", b"\xff", b""])
def test_a_list_of_classes_that_is_none(capsys, tmp_path, content):
    path, labels = write(tmp_path / "p.jsonl", {"answer": "a", "gt": "a"}), tmp_path / "labels"
    labels.write_bytes(content)
    status, _, error = run(capsys, "--predictions", path, "--task", "classification", "--labels", labels)
    assert status == 1
    assert "Write one" in error


def test_a_benchmark_says_task_scorer_and_number(capsys, tmp_path):
    path, out = write(tmp_path / "p.jsonl", {"answer": "a red roof", "gt": "red"}), tmp_path / "s.json"
    assert "1 of vqa (optical), expected 37409 samples" in run(capsys, "--predictions", path, "--benchmark", "vrsbench_vqa")[2]
    assert run(capsys, "--predictions", path, "--benchmark", "vrsbench_vqa", "--expect", 1, "--out", out)[0] == 0
    assert json.loads(out.read_text())["settings"]["optical"]["vqa"]["overall"]["metrics"]["accuracy"]["value"] == 1.0
    assert "is of task 'vqa', not 'mcq'" in run(capsys, "--predictions", path, "--benchmark", "vrsbench_vqa", "--task", "mcq")[2]
    assert "no benchmark 'vrsbench'" in run(capsys, "--predictions", path, "--benchmark", "vrsbench")[2]


def test_a_benchmark_knows_its_classes(capsys, tmp_path):
    said = "Inland waters, Moors, heathland and sclerophyllous vegetation"
    path, out = write(tmp_path / "p.jsonl", {"answer": said, "annotation": said}), tmp_path / "s.json"
    assert run(capsys, "--predictions", path, "--benchmark", "bigearthnet", "--out", out)[0] == 0
    item = json.loads(out.read_text())["settings"]["optical"]["multilabel"]
    assert item["overall"]["metrics"]["exact_match"]["value"] == 1.0
    assert sum(tp for tp, _, _ in item["details"]["class_counts"]["tp_fp_fn"]) == 2


def test_a_judge_is_shown_beside_the_offline_figures(capsys, tmp_path, monkeypatch, judge_server):
    path = write(
        tmp_path / "p.jsonl", *[{"pred": f"houses {n}", "gt": f"house {n}", "question": "What?", "type": "ab"[n % 2]} for n in range(4)]
    )
    out = tmp_path / "s.json"
    with judge_server('{"accuracy": 4, "relevance": 5}') as server:
        monkeypatch.setenv("EOCORE_JUDGE_URL", server.url)
        monkeypatch.setenv("EOCORE_JUDGE_MODEL", "some-model")
        status, shown, _ = run(capsys, "--predictions", path, "--task", "open", "--judge", "--judge-cache", tmp_path / "c", "--out", out)
    item = json.loads(out.read_text())["settings"]["optical"]["open"]
    assert status == 0
    assert "judged by some-model on 20" in " ".join(shown.split())
    assert item["judge"]["scores"]["macro"]["value"] == 4.5
    assert 0 < item["overall"]["metrics"]["rouge_l"]["value"] < 1


def test_truths_of_annotations_that_changed_are_not_scored_unless_asked(capsys, tmp_path):
    truths = tmp_path / "truths.json"
    truths.write_text('[{"answer": "yes"}]')
    line = {"sample_id": "a", "task": "vqa", "image_ids": ["i"], "sensor": "optical", "prompt": "?", "prediction": "yes"}
    file = tmp_path / "predictions.jsonl"
    file.write_text(json.dumps({**line, "ground_truth": "yes", "meta": {}}) + "\n")
    digest = hashlib.sha256(truths.read_bytes()).hexdigest()
    inputs = {"model": {}, "data": {"truths: truths.json": digest}, "choices": {}, "paths": {"truths: truths.json": str(truths)}}
    (tmp_path / "run.json").write_text(json.dumps({"inputs": inputs}))
    assert run(capsys, "--predictions", file)[0] == 0
    truths.write_text('[{"answer": "no"}]')
    status, _, told = run(capsys, "--predictions", file)
    assert status == 1
    assert "its truths are those of" in told and "has changed since" in told and "--recorded-truths" in told
    assert run(capsys, "--predictions", file, "--recorded-truths")[0] == 0
    truths.unlink()  # on another machine the data need not be there
    assert run(capsys, "--predictions", file)[0] == 0


COVER = ["water", "forest", "road", "grass"]


def test_options_of_reading_are_stated_in_table_and_scores(capsys, tmp_path):
    answers = ["I would choose B", "B", "A, B"]
    path = write(tmp_path / "p.jsonl", *[{"id": n, "pred": said, "gt": "B", "options": COVER} for n, said in enumerate(answers)])
    out = tmp_path / "s.json"
    for words, mode, figure in (([], "lenient", 2 / 3), (["--reading", "strict"], "strict", 1 / 3)):
        status, shown, _ = run(capsys, "--predictions", path, "--task", "mcq", "--out", out, *words)
        item = json.loads(out.read_text())["settings"]["optical"]["mcq"]
        assert (status, item["details"]["reading"]) == (0, mode)
        assert item["overall"]["metrics"]["accuracy"]["value"] == pytest.approx(figure)
        assert f"options are read in {mode} mode" in shown
        assert "Unparsed: answers that cannot be read" in shown
        assert "'A, B'" in shown
        assert "several options are named (1)" in shown


def test_options_in_other_forms(capsys, tmp_path):
    forms = [{"options": {"A": "water", "B": "forest"}}, {"options": "water\nforest"}, {"A": "water", "B": "forest", "C": None}]
    for number, form in enumerate(forms):
        path = write(tmp_path / f"{number}.jsonl", {"pred": "Forest.", "gt": "B", **form})
        assert "accuracy 1.0000" in " ".join(run(capsys, "--predictions", path, "--task", "mcq")[1].split())
    path = write(
        tmp_path / "n.jsonl", {"pred": "three", "gt": 3, "options": [1, 2.0, 3]}, {"pred": "no", "gt": False, "options": ["yes", "no"]}
    )
    assert "accuracy 1.0000" in " ".join(run(capsys, "--predictions", path, "--task", "mcq")[1].split())
    path = write(
        tmp_path / "l.jsonl", {"pred": "A, C", "gt": ["A", "C"], "options": COVER}, {"pred": ["C"], "gt": ["road"], "options": COVER}
    )
    assert "accuracy 1.0000" in " ".join(run(capsys, "--predictions", path, "--task", "mcq")[1].split())


def test_annotated_options_of_which_only_letters_are_known(capsys, tmp_path):
    path = write(tmp_path / "p.jsonl", {"pred": "(B)", "gt": "B. forest"}, {"pred": "The answer is C", "gt": "C. road"})
    assert "accuracy 1.0000" in " ".join(run(capsys, "--predictions", path, "--task", "mcq")[1].split())


def test_truths_that_count_options(capsys, tmp_path):
    path = write(tmp_path / "p.jsonl", {"pred": "forest", "gt": 1, "options": COVER})
    assert "--index-base 0 or 1" in run(capsys, "--predictions", path, "--task", "mcq")[2]
    for base, figure in ((0, "1.0000"), (1, "0.0000")):
        assert f"accuracy {figure}" in " ".join(run(capsys, "--predictions", path, "--task", "mcq", "--index-base", base)[1].split())


def test_scales_are_said_and_may_be_stated(capsys, tmp_path):
    boxes = [[10, 20, 30, 40], [50, 60, 70, 90]]
    said = [{"bbox_2d": [10 * v for v in box], "label": "ship 1"} for box in boxes]
    path = write(
        tmp_path / "p.jsonl", *[{"id": n, "pred": [item], "gt": box} for n, (item, box) in enumerate(zip(said, boxes, strict=True))]
    )
    shown = run(capsys, "--predictions", path, "--task", "grounding")[1]
    assert "scale of boxes: answers 0 to 1000 (told by their range), annotations 0 to 100" in " ".join(shown.split())
    assert "mean_iou 1.0000" in " ".join(shown.split())
    shown = " ".join(run(capsys, "--predictions", path, "--task", "grounding", "--prediction-scale", 100)[1].split())
    assert "answers 0 to 100 (stated)" in shown
    assert "mean_iou 0.00" in shown
    with pytest.raises(SystemExit):
        run(capsys, "--predictions", path, "--task", "grounding", "--prediction-scale", "per cent")
    assert "expected 1, 100, 1000, another number, or pixels; found 'per cent'" in capsys.readouterr().err


def test_an_option_of_reading_of_another_task_is_refused(capsys, tmp_path):
    path = write(tmp_path / "p.jsonl", {"pred": "a", "gt": "a"})
    for words, message in (
        (("--reading", "strict"), "--reading is of mcq, multilabel, not of 'vqa'"),
        (("--box-order", "xywh"), "--box-order is of grounding, detection, not of 'vqa'"),
    ):
        status, _, error = run(capsys, "--predictions", path, "--task", "vqa", *words)
        assert status == 1
        assert message in error


def test_options_of_reading_hold_for_our_own_file(capsys, tmp_path, predicted):
    path, out = tmp_path / "p.jsonl", tmp_path / "s.json"
    path.write_text("".join(format_prediction(sample) + "\n" for sample in predicted))
    assert run(capsys, "--predictions", path, "--reading", "strict", "--out", out)[0] == 0
    assert json.loads(out.read_text())["settings"]["optical"]["mcq"]["details"]["reading"] == "strict"
