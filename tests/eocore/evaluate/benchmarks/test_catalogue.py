"""The registry: names, files, counts."""

from pathlib import Path

import pytest

from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.catalogue import Benchmark, check_count, require_data
from eocore.evaluate.benchmarks.loading import choose, load_benchmarks
from eocore.evaluate.predictions import Prediction, format_prediction, parse_prediction
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.settings import SETTINGS, Setting
from eocore.evaluate.suites import SUITES
from eocore.evaluate.tasks import TASKS, EvaluationTask, scorer_of
from eocore.registry import METRICS

PUBLISHED_COUNTS = {
    "vrsbench_vqa": 37409,
    "vrsbench_grounding": 16159,
    "vrsbench_caption": 9350,
    "rsvqa_lr": 10004,
    "dior_rsvg": 7500,
    "earthmind_bench_choice": 1810,
    "earthmind_bench_masks": 438,
    "sar_referring": 438,
    "nwpu_captions": 3150,
    "rsicd": 1093,
    "ucm_captions": 210,
    "sydney_captions": 58,
    "rsitmd": 452,
    "whu_rs19": 1005,
    "ucmerced": 2100,
    "rsvg": 1227,
}


@pytest.fixture(scope="module")
def known() -> dict[str, Benchmark]:
    return load_benchmarks(["earthmind"])


def test_the_published_counts_are_expected(known: dict[str, Benchmark]) -> None:
    assert {name: known[name].expected for name in PUBLISHED_COUNTS} == PUBLISHED_COUNTS


def test_every_benchmark_says_what_to_download_and_can_be_scored(known: dict[str, Benchmark]) -> None:
    for benchmark in known.values():
        assert benchmark.source, benchmark.name
        METRICS.build(benchmark.metric or scorer_of(benchmark.task, by_vectors=False))


def test_every_suite_has_benchmarks(known: dict[str, Benchmark]) -> None:
    assert {benchmark.suite for benchmark in known.values()} - {""} == set(SUITES)


def test_an_unknown_name_gets_a_suggestion(known: dict[str, Benchmark]) -> None:
    with pytest.raises(ConfigError, match=r"no benchmark 'rsvqalr'. Did you mean 'rsvqa_lr'"):
        choose(["rsvqalr"], None, known=known)


def test_nothing_chosen_is_an_error(known: dict[str, Benchmark]) -> None:
    with pytest.raises(ConfigError, match="no benchmark chosen"):
        choose([], None, known=known)


def test_a_benchmark_is_chosen_once(known: dict[str, Benchmark]) -> None:
    with pytest.raises(ConfigError, match="chosen twice: aid"):
        choose(["aid"], "image", known=known)


def test_absent_files_are_named_with_their_source(known: dict[str, Benchmark], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'aid': .*GeoChat-Bench/aid.jsonl, .*aid_test_image not found. Question files: GeoChat-Bench"):
        require_data(known["aid"], str(tmp_path))


def test_a_wrong_count_is_told(known: dict[str, Benchmark]) -> None:
    assert check_count(known["rsvqa_lr"], 10004) is None
    assert "has 9000 samples, the published test set 10004" in str(check_count(known["rsvqa_lr"], 9000))
    assert check_count(known["rsvqa_hrben"], 5) is None


def test_a_wrong_definition_is_refused() -> None:
    with pytest.raises(ConfigError, match="task 'guess'"):
        Benchmark(name="x", title="x", task="guess", settings={"optical": ["rgb"]}, dataset={})


def test_an_unknown_suite_names_the_suites(known: dict[str, Benchmark]) -> None:
    with pytest.raises(ConfigError, match=r"no suite 'imag'. Did you mean 'image'\? Choices: image, region"):
        choose([], "imag", known=known)


def test_a_setting_a_task_and_a_suite_of_ones_own_are_registered_and_then_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for choices in (SETTINGS, TASKS, SUITES):
        monkeypatch.setattr(choices, "_entries", dict(choices))
    wanted = {"name": "x", "title": "x", "task": "change", "suite": "floods", "settings": {"thermal": ["thermal"]}, "dataset": {}}
    with pytest.raises(ConfigError, match="task 'change', suite 'floods'"):
        Benchmark(**wanted)
    SETTINGS.register("thermal", Setting())
    TASKS.register("change", EvaluationTask(scorers={"generates": {"type": "OpenAnswer"}}))
    SUITES.register("floods", "before and after")
    assert Benchmark(**wanted).task == "change"
    line = Prediction("s", "change", ("a",), "thermal", "What changed?", "a field is under water", "a flooded field", {"type": "flood"})
    scores = score_predictions([parse_prediction(format_prediction(line), source="a line")])
    assert list(scores["settings"]) == ["thermal"] and list(scores["settings"]["thermal"]) == ["change"]
