"""The registry: names, files, counts."""

from pathlib import Path

import pytest

from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.catalogue import SUITES, Benchmark, check_count, choose, load_benchmarks, require_data
from eocore.evaluate.scoring.score import DEFAULT_SCORERS
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
        METRICS.build(benchmark.metric or DEFAULT_SCORERS[benchmark.task])


def test_every_suite_has_benchmarks(known: dict[str, Benchmark]) -> None:
    assert {benchmark.suite for benchmark in known.values()} - {""} == set(SUITES)


def test_an_unknown_name_gets_a_suggestion(known: dict[str, Benchmark]) -> None:
    with pytest.raises(ConfigError, match=r"no benchmark 'rsvqalr'. Did you mean 'rsvqa_lr'"):
        choose(["rsvqalr"], None, known)


def test_nothing_chosen_is_an_error(known: dict[str, Benchmark]) -> None:
    with pytest.raises(ConfigError, match="no benchmark chosen"):
        choose([], None, known)


def test_a_benchmark_is_chosen_once(known: dict[str, Benchmark]) -> None:
    with pytest.raises(ConfigError, match="chosen twice: aid"):
        choose(["aid"], "image", known)


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
