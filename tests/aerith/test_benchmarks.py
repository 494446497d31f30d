"""Aerith's benchmarks read made-up sets in the upstream layouts and ask in the model's words."""

from pathlib import Path

import numpy as np
import pytest

from aerith import benchmarks
from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.io.masks import mask_to_box
from eocore.data.task_turns import box_answer
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.score import score_predictions
from eocore.synthetic.test_sets.catalogue import write_published
from eocore.synthetic.world import make_scene

PREFIXES = {"classification": "[CLS] ", "grounding": "[VG] ", "vqa": "[VQA] ", "caption": "[CAP] "}
NAMES = [name for name, item in load_benchmarks().items() if item.suite == benchmarks.SUITE]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_published(folder, num_scenes=2, size=48)
    return folder


def load(root: Path, name: str) -> RecordDataset:
    return load_benchmarks()[name](data_root=str(root))


@pytest.mark.parametrize("name", NAMES)
def test_every_question_has_its_prefix_once(root: Path, name: str) -> None:
    source, benchmark = load(root, name), load_benchmarks()[name]
    record, scenes, _ = source.load(SampleKey(0, 0))
    assert record.task == benchmark.task and benchmark.source and not benchmark.mask_prompt
    assert record.turns[0].text.startswith(f"<image>\n{PREFIXES[record.task]}") and record.turns[0].text.count("[") == 1
    assert record.roles == ("rgb",) and len(scenes) == 1


def test_the_sets_of_the_model_are_all_there() -> None:
    wanted = "aid whu_rs19 siri_whu eurosat resisc45 meterml fmow ucm rsvg dior_rsvg rsvqa_lr".split()  # noqa: SIM905
    assert {f"aerith_{name}" for name in wanted} <= set(NAMES)


def test_classes_are_listed_as_words(root: Path) -> None:
    record = load(root, "aerith_aid").records[1]
    assert "[CLS] Choose the best categories describe the image from: airport, bare land, baseball field" in record.turns[0].text
    record, _, _ = load(root, "aerith_fmow").load(SampleKey(0, 1))
    assert record.turns[0].text.endswith("from: airport, crop field, solar farm") and record.turns[1].text == "crop field"


def test_positions_are_asked_by_the_phrase_alone_and_scored_in_fractions_or_per_cent(root: Path) -> None:
    record, _, _ = load(root, "aerith_dior_rsvg").load(SampleKey(0, 0))
    assert record.meta["box_scale"] == 100 and record.meta["image_size"] == [48, 48]
    assert load_benchmarks()["aerith_dior_rsvg"].metric == {"type": "Grounding", "prediction_scale": 1.0}


def test_guessing_boxes_is_wrong_by_true_overlap_and_right_half_the_time_by_upstreams() -> None:
    rng = np.random.default_rng(0)
    samples = []
    for number in range(40):
        scene = make_scene("test", number, size=64)
        for index, phrase in enumerate(scene.questions.phrases):
            (x0, x1), (y0, y1) = np.sort(rng.random((2, 2)))
            truth = [value / 64 for value in mask_to_box(phrase.mask) or ()]
            meta = {"boxes": [truth], "box_scale": 1.0}
            guess = box_answer([x0, y0, x1, y1], decimals=2)
            samples.append(Prediction(f"{number}-{index}", "grounding", ("a",), "optical", "", guess, "", meta))
    item = score_predictions(samples)["settings"]["optical"]["grounding"]
    assert item["overall"]["metrics"]["acc@0.5"]["value"] < 0.05
    assert item["reference_compat"]["acc@0.5_plus_one_of_side"]["value"] > 0.4
