"""docs/evaluation.md tells of every benchmark, with the number of samples that the registry expects."""

import re
from pathlib import Path

import yaml

from aerith import benchmarks as _aerith  # noqa: F401  (registers its benchmarks)
from eocore.data.image_sources import build_sources
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.custom_dataset import PROMPTS
from eocore.evaluate.engine.sources import read_evaluation
from eocore.registry import DATASETS

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"


def rows() -> dict[str, list[str]]:
    """First cell of the table of benchmarks -> all cells."""
    text = GUIDE.read_text(encoding="utf-8").split("## Benchmarks")[1].split("###")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells for cells in lines}


def test_every_benchmark_with_its_count_and_settings() -> None:
    known, told = load_benchmarks(["earthmind", "ms_clip", "earthfm"]), rows()
    assert set(told) == set(known)
    for name, benchmark in known.items():
        assert told[name][1] == (str(benchmark.expected) if benchmark.expected else "unknown"), name
        if "as above" not in told[name][3]:
            assert set(told[name][3].split(", ")) == set(benchmark.settings), name


def test_every_task_of_ones_own_data() -> None:
    text = GUIDE.read_text(encoding="utf-8").split("## Your own data")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == set(PROMPTS)


def test_the_config_it_shows_can_be_read() -> None:
    text = GUIDE.read_text(encoding="utf-8").split("```yaml")[1].split("```")[0]
    section = yaml.safe_load(text)["evaluation"]
    assert (read_evaluation(section).turns, list(section["settings"])) == ("dialogue", ["optical", "fused"])
    for entry in section["datasets"]:
        assert DATASETS.get(entry["type"]) is not None
        assert list(build_sources(entry["images"], "guide")) == ["multispectral", "sar"]


def test_the_commands_it_names_are_there() -> None:
    root = GUIDE.parents[1]
    for path in set(re.findall(r"(?:tools|scripts_eval)/[\w/-]+\.(?:py|sh)", GUIDE.read_text(encoding="utf-8"))):
        assert (root / path).is_file(), path
