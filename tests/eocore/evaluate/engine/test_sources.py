"""What of a config is asked under which setting: records that have its images, each question a sample, data sets apart and together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_runs import RulePredictor, Said
from mmengine.config import Config
from PIL import Image

from eocore.distributed import Ranks
from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.custom import custom_benchmark
from eocore.evaluate.engine.benchmark_run import check_prompts, run_benchmarks
from eocore.evaluate.engine.config_run import run_config
from eocore.evaluate.engine.run_options import RunOptions
from eocore.evaluate.engine.sources import EvaluationOptions, find_sources
from eocore.evaluate.predictions import read_predictions
from eocore.evaluate.reporting.tables import run_notes, set_table

BOTH = {"optical": ["rgb"], "sar": ["sar"], "fused": ["rgb", "sar"]}


class Knows(RulePredictor):
    """Right where the radar image is shown."""

    def say(self, record: Any, scenes: Any) -> Said:
        answer = record.turns[-1].text if any(scene.role == "sar" for scene in scenes) else "wrong"
        return Said(answer, np.zeros((0, *scenes[0].size), bool))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


def talk(*said: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[number % 2], "value": text} for number, text in enumerate(said)]


def llava(folder: Path, name: str, *, with_sar: int, count: int = 4, questions: int = 1) -> dict[str, Any]:
    """A data set of `count` pictures, the first `with_sar` of which have a radar image."""
    root = folder / name
    for role in ("rgb", "sar"):
        (root / role).mkdir(parents=True)
    entries = []
    for number in range(count):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / "rgb" / f"{number}.png")
        if number < with_sar:
            Image.new("L", (8, 8), number).save(root / "sar" / f"{number}.png")
        said = [text for question in range(questions) for text in (f"What of {question}?", f"answer {question}")]
        entries.append({"id": f"{name}{number}", "image": f"{number}.png", "conversations": talk(*said)})
    (root / "vqa.json").write_text(json.dumps(entries))
    sensors = {"rgb": "rgb_uint8", "sar": "grey_uint8"}
    images = {role: {"root": str(root / role), "pattern": "{name}", "sensor": sensor, "optional": True} for role, sensor in sensors.items()}
    return {"type": "LlavaDataset", "annotations": str(root / "vqa.json"), "images": images, "name": name}


def options(*datasets: dict[str, Any], **others: Any) -> EvaluationOptions:
    return EvaluationOptions(datasets=datasets, settings=BOTH, **others)


def evaluate(model: Path, out: Path, *datasets: dict[str, Any], **others: Any) -> Any:
    section = {"datasets": list(datasets), "settings": BOTH, **others}
    return run_config(Config({"evaluation": section}), Knows(), model=model, out=out)


def test_a_setting_applies_to_the_records_that_have_its_images_and_the_others_are_counted(model: Path, tmp_path: Path) -> None:
    scores = evaluate(model, tmp_path / "out", llava(tmp_path, "a", with_sar=1), llava(tmp_path, "b", with_sar=3))
    overall = {setting: by_task["vqa"]["overall"] for setting, by_task in scores["settings"].items()}
    assert {setting: group["n"] for setting, group in overall.items()} == {"optical": 8, "sar": 4, "fused": 4}
    assert [overall[name]["metrics"]["accuracy"]["value"] for name in ("optical", "fused")] == [0.0, 1.0]
    assert overall["fused"]["n_missing"] == 0
    assert run_notes(scores) == [
        "'sar' (sar) leaves out 3 of 4 samples of 'a', which lack one of its images.",
        "'sar' (sar) leaves out 1 of 4 samples of 'b', which lack one of its images.",
        "'fused' (rgb, sar) leaves out 3 of 4 samples of 'a', which lack one of its images.",
        "'fused' (rgb, sar) leaves out 1 of 4 samples of 'b', which lack one of its images.",
    ]
    gains = {(item["against"], item["group"]): item for item in scores["differences"]}
    assert gains["optical", "all"]["n"] == 4 and gains["optical", "all"]["difference"]["value"] == 1.0
    assert gains["optical", "data set a"]["n"] == 1 and gains["optical", "data set b"]["n"] == 3
    rows = [(row[1], row[2], row[4]) for row in set_table(scores).rows]
    assert rows[:3] == [("optical", "a", "4"), ("optical", "b", "4"), ("optical", "together", "8")]
    assert rows[-3:] == [("fused", "a", "1"), ("fused", "b", "3"), ("fused", "together", "4")]


def test_a_data_set_names_its_own_settings(model: Path, tmp_path: Path) -> None:
    pictures, pairs = llava(tmp_path, "a", with_sar=0), llava(tmp_path, "b", with_sar=4)
    found = list(find_sources(options({**pictures, "settings": ["optical"]}, {**pairs, "settings": ["sar", "fused"]})))
    assert [(source.setting, source.dataset.name, source.left_out) for source in found] == [
        ("optical", "a", 0),
        ("sar", "b", 0),
        ("fused", "b", 0),
    ]
    scores = evaluate(model, tmp_path / "out", {**pictures, "settings": ["optical"]}, {**pairs, "settings": ["sar", "fused"]})
    assert {setting: by_task["vqa"]["overall"]["n"] for setting, by_task in scores["settings"].items()} == dict.fromkeys(BOTH, 4)
    assert [item["against"] for item in scores["differences"]] == ["sar", "sar"]  # all, and of b: none is common with optical


@pytest.mark.parametrize("chosen", ["optical", [], ["radar"]])
def test_settings_of_a_data_set_are_some_of_the_section(tmp_path: Path, chosen: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected a list of some of evaluation.settings: optical, sar, fused"):
        list(find_sources(options({**llava(tmp_path, "a", with_sar=1), "settings": chosen})))


def test_a_setting_or_a_data_set_that_nothing_is_asked_of_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'sar' shows images of sar, and no record of the data sets has them all"):
        list(find_sources(options(llava(tmp_path, "a", with_sar=0))))
    pairs = {**llava(tmp_path, "b", with_sar=4), "settings": ["optical", "sar", "fused"]}
    with pytest.raises(DataError, match=r"no setting applies to .*c/vqa.json"):
        list(find_sources(options({**llava(tmp_path, "c", with_sar=0), "settings": ["sar"]}, pairs)))


@pytest.mark.parametrize(("turns", "asked"), [("each", [2, 2, 2]), ("dialogue", [2, 4, 6])])
def test_each_question_of_a_conversation_is_a_sample(model: Path, tmp_path: Path, turns: str, asked: list[int]) -> None:
    data = llava(tmp_path, "a", with_sar=2, count=2, questions=3)
    ((source, *_)) = list(find_sources(options(data, turns=turns)))
    assert [len(record.turns) for record in source.dataset.records] == asked * 2
    scores = evaluate(model, tmp_path / "out", data, turns=turns)
    assert scores["settings"]["fused"]["vqa"]["overall"]["n"] == 6
    assert scores["settings"]["fused"]["vqa"]["overall"]["metrics"]["accuracy"]["value"] == 1.0
    lines = [item for item in read_predictions(tmp_path / "out" / "predictions.jsonl") if item.sensor == "fused"]
    assert [(item.sample_id, item.ground_truth) for item in lines[:3]] == [(f"a0#{n + 1}", f"answer {n}") for n in range(3)]
    assert [item.prompt.removeprefix("<image>\n") for item in lines[:3]] == [f"What of {number}?" for number in range(3)]
    (note,) = run_notes(scores)
    assert note.startswith("2 records of 'a' hold several questions: each is a sample of its own, asked ")


def test_other_words_for_turns_and_precisions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"evaluation.turns is 'all'; choices: each, dialogue"):
        options(turns="all")
    with pytest.raises(ConfigError, match=r"evaluation.dtype is 'int4'; choices: float32, bfloat16, int8"):
        options(dtype="int4")


def own_file(folder: Path) -> str:
    """Three pictures, the last of which has a radar image."""
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    base = [{"sample_id": str(number), "question": "What?", "answer": "water"} for number in range(3)]
    pair = {"rgb": "2.png", "sar": {"path": "2.png", "sensor": "rgb_uint8"}}
    lines = [{**base[0], "image": "0.png"}, {**base[1], "image": "1.png"}, {**base[2], "images": pair}]
    (folder / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"custom:vqa:{folder / 'mine.jsonl'}"


def test_lines_of_ones_own_are_asked_under_the_settings_that_they_have_images_for(model: Path, tmp_path: Path) -> None:
    benchmark = custom_benchmark(own_file(tmp_path))
    assert benchmark.settings == {"optical": ["rgb"], "sar": ["sar"], "fused": ["rgb", "sar"]}
    run = RunOptions(model=model, system="any", out=tmp_path / "out")
    (outcome,) = run_benchmarks([benchmark], run, predictor=RulePredictor(), ranks=Ranks())
    assert outcome.state == "done"
    scores = json.loads((tmp_path / "out" / "custom_vqa_mine" / "scores.json").read_text())
    found = {setting: by_task["vqa"]["overall"] for setting, by_task in scores["settings"].items()}
    assert {setting: (group["n"], group["n_missing"]) for setting, group in found.items()} == {
        "optical": (3, 0),
        "sar": (1, 0),
        "fused": (1, 0),
    }
    assert scores["lacking"] == {"sar": 2, "fused": 2}
    assert "'fused' (rgb, sar) leaves out 2 of 3 samples, which lack one of its images." in scores["notes"]
    assert any("Each question is asked as" in note and "--prompt custom_vqa_mine=TEXT" in note for note in scores["notes"])


def test_a_prompt_for_a_benchmark_that_is_not_run_names_those_that_are(tmp_path: Path) -> None:
    chosen = [custom_benchmark(own_file(tmp_path))]
    check_prompts({"custom_vqa_mine": "{question}"}, chosen)
    for name in ("custom_vqa_min", "rsvqa_lr"):
        with pytest.raises(ConfigError, match=rf"--prompt {name}=...: no such benchmark is run.*Choices: custom_vqa_mine"):
            check_prompts({name: "{question}"}, chosen)


def test_a_prompt_is_asked_with_the_question_of_each_line(model: Path, tmp_path: Path) -> None:
    chosen = custom_benchmark(own_file(tmp_path))
    run = RunOptions(model=model, system="any", out=tmp_path / "out", prompts={"custom_vqa_mine": "Say: {question}"}, limit=2)
    (outcome,) = run_benchmarks([chosen], run, predictor=RulePredictor(), ranks=Ranks())
    assert outcome.state == "done"
    lines = read_predictions(tmp_path / "out" / "custom_vqa_mine" / "predictions.jsonl")
    assert [(line.sample_id, line.sensor, line.prompt) for line in lines] == [
        ("0", "optical", "<image>\nSay: What?"),
        ("1", "optical", "<image>\nSay: What?"),
    ]
    scores = json.loads((tmp_path / "out" / "custom_vqa_mine" / "scores.json").read_text())
    assert scores["settings"]["optical"]["vqa"]["overall"]["n"] == 2
    assert "Only the first 2 samples were asked for." in scores["notes"]


@pytest.mark.parametrize("placeholder", ["{questoin}", "{phrase}", "{}"])
def test_a_placeholder_that_stands_for_nothing_is_not_asked(model: Path, tmp_path: Path, placeholder: str) -> None:
    chosen = custom_benchmark(own_file(tmp_path))
    run = RunOptions(model=model, system="any", out=tmp_path / "out", prompts={"custom_vqa_mine": f"Say {placeholder}"})
    (outcome,) = run_benchmarks([chosen], run, predictor=RulePredictor(), ranks=Ranks())
    assert outcome.state == "failed"
    assert placeholder in outcome.reason or "a vqa entry needs a 'phrase'" in outcome.reason


def test_roles_that_no_setting_shows_are_said(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    line = {"sample_id": "1", "question": "?", "answer": "x", "images": {"dem": {"path": "a.png", "sensor": "rgb_uint8"}}}
    (tmp_path / "mine.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(ConfigError, match=r"no sensor setting shows its images \(dem\)"):
        custom_benchmark(f"custom:vqa:{tmp_path / 'mine.jsonl'}")
