"""EarthMind's own benchmarks, read from their upstream layouts."""

from pathlib import Path

import pytest

from eocore.data.dataset import SampleKey
from eocore.evaluate.benchmarks.catalogue import Benchmark
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.engine.predicting import describe
from eocore.synthetic.test_sets.catalogue import write_published

OWN = (
    "rsvg_region",
    "rrsisd",
    "refsegrs",
    "risbench",
    "sar_referring",
    "bigearthnet_composites",
    "earthmind_bench_choice",
    "earthmind_bench_choice_ms",
    "earthmind_bench_open",
    "earthmind_bench_masks",
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("published")
    write_published(root, num_scenes=3, size=64)
    return str(root)


@pytest.fixture(scope="module")
def known() -> dict[str, Benchmark]:
    return load_benchmarks(["earthmind"])


@pytest.mark.parametrize("name", OWN)
def test_published_layouts(known: dict[str, Benchmark], published: str, name: str) -> None:
    source = known[name](data_root=published)
    record, scenes, _ = source.load(SampleKey(0, 0))
    line = describe(record, scenes, setting=next(iter(known[name].settings)))
    assert line.task == known[name].task
    assert [scene.role for scene in scenes] == list(source.sources)
    assert record.turns[0].text.startswith("<image>")


def test_the_bench_has_all_ten_subtasks_and_every_setting(known: dict[str, Benchmark], published: str) -> None:
    kinds = [record.meta["type"] for name in ("choice", "open") for record in known[f"earthmind_bench_{name}"](data_root=published).records]
    assert len(set(kinds)) == 9  # and referring segmentation
    for name in ("choice", "open", "masks"):
        assert list(known[f"earthmind_bench_{name}"].settings) == ["optical", "sar", "fused", "grey_sar", "grey_rgb"]


def test_sar_partners_of_another_ending_are_found(known: dict[str, Benchmark], published: str) -> None:
    record = known["earthmind_bench_masks"](data_root=published).records[0]
    assert [Path(record.images_of(name)[0].paths[0]).suffix for name in ("rgb", "sar")] == [".jpg", ".png"]


def test_letters_are_those_of_the_question(known: dict[str, Benchmark], published: str) -> None:
    record = known["bigearthnet_composites"](data_root=published).records[0]
    assert len(record.meta["candidates"]) == 19
    assert record.meta["candidates"][6].startswith("Land principally occupied by agriculture, with")


def test_bands_and_sar_of_the_second_release_are_asked_without_its_suffix(known: dict[str, Benchmark], published: str) -> None:
    made = known["earthmind_bench_choice_ms"]
    record, scenes, _ = made(data_root=published).load(SampleKey(0, 0))
    bands = dict(zip((scene.role for scene in scenes), scenes, strict=True))["multispectral"].bands
    assert len(bands) == 12 and {"B02", "B8A", "B12"} <= set(bands)
    assert record.meta["type"] == "scene classification"  # pooled with the other scenes where both files are scored together
    assert record.turns[0].text.endswith(record.meta["candidates"][-1])
    assert list(made.settings) == ["multispectral", "sar", "fused"]
