"""The page of a run: one table of all, then each benchmark with charts and its best and worst samples."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.data.dataset import SampleKey
from eocore.data.io.masks import encode_rle
from eocore.errors import DataError
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.commands import merge, report
from eocore.evaluate.engine.inputs import PREDICTIONS, SCORES
from eocore.evaluate.engine.job import collect
from eocore.evaluate.engine.manifest import Manifest, read_manifest
from eocore.evaluate.engine.predicting import describe
from eocore.evaluate.engine.run_options import Outcome
from eocore.evaluate.engine.shards import PredictionWriter, shard_path
from eocore.evaluate.predictions import Prediction, format_prediction, read_predictions
from eocore.evaluate.reporting.charts import draw_confusion, draw_types
from eocore.evaluate.reporting.qualitative_examples import qualitative_examples
from eocore.evaluate.reporting.suite_report import write_suite_report
from eocore.evaluate.reporting.summary import read_results, suite_table
from eocore.evaluate.reporting.tables import to_markdown
from eocore.evaluate.scoring.parsing.boxes import read_boxes
from eocore.synthetic.test_sets.catalogue import write_published

NAMES = ("eurosat", "vrsbench_grounding", "rsvqa_lr", "sar_referring")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_published(root, num_scenes=4, size=48)
    return root


def answered(unanswered: Prediction, index: int) -> Prediction:
    """Right for two of three."""
    if unanswered.task == "referring":
        size = tuple(unanswered.ground_truth_masks[0]["size"])
        drawn = unanswered.ground_truth_masks if index % 3 else (encode_rle(np.eye(*size, dtype=bool)),)
        return replace(unanswered, prediction="[SEG]", prediction_masks=drawn)
    return replace(unanswered, prediction=unanswered.ground_truth if index % 3 else "{<1><1><9><9>}")


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    known = load_benchmarks(["earthmind"])
    for name in NAMES:
        benchmark = known[name]
        source = benchmark(data_root=str(data))
        setting = next(iter(benchmark.settings))
        keep = [
            replace(record, images=tuple(ref for ref in record.images if ref.role in benchmark.settings[setting]))
            for record in source.records
        ]
        source.records = keep
        samples = []
        for index in range(len(source)):
            record, scenes, _ = source.load(SampleKey(0, index))
            samples.append(answered(describe(record, scenes, setting=setting), index))
        Manifest(
            run_id="run", benchmark=name, named=name, title=benchmark.title, task=benchmark.task, metric=dict(benchmark.metric),
            settings=[setting], sample_ids=[item.sample_id for item in samples], system="earthmind", model="m", model_stamp="s" * 64,
            config_sha256="c" * 64, data_sha256="d" * 64, data_root=str(data), notes=["A note <b>."],
        ).write(folder / name)  # fmt: skip
        for rank in range(2):
            with PredictionWriter(shard_path(folder / name, run_id="run", rank=rank, world_size=2)) as writer:
                for item in samples[rank::2]:
                    writer.write(item)
        collect(folder / name, time_s=1.5)
    return folder


def test_the_page_has_all_benchmarks_their_charts_and_reasons(out: Path) -> None:
    outcomes = [Outcome("aid", "skipped", "aid.jsonl not found."), Outcome("rsvqa_lr", "done")]
    page = write_suite_report(out, read_results(out), title="Run", outcomes=outcomes)
    text = page.read_text()
    for word in (
        "EuroSAT (RGB)",
        "VRSBench grounding",
        "aid: skipped. aid.jsonl not found.",
        "A note &lt;b&gt;.",
        "Best",
        "Worst",
        "Confusion",
    ):
        assert word in text
    assert "http://" not in text and "<script" not in text
    markdown = (out / "report.md").read_text()
    for name in ("eurosat_types.png", "eurosat_optical_confusion.png"):
        assert f"(figures/{name})" in markdown
        assert (out / "figures" / name).read_bytes().startswith(PNG)
    for line in markdown.splitlines():
        if "](figures/" in line:
            assert all((out / part.split(")")[0]).is_file() for part in line.split("](")[1:])


def test_the_table_has_a_row_a_benchmark_and_a_type(out: Path) -> None:
    table = suite_table(read_results(out, NAMES))
    assert table.header == ("benchmark", "metric", "optical", "sar", "n", "lost")
    firsts = [row[0] for row in table.rows]
    assert [name for name in firsts if not name.startswith("\u2003")] == [
        "EuroSAT (RGB)", "VRSBench grounding", "RSVQA-LR test", "SAR referring (EarthMind)",
    ]  # fmt: skip
    assert "\u2003mean of 3 types" in firsts
    assert table.rows[-1][2] == "-" and table.rows[-1][3] != "-"
    assert "| EuroSAT (RGB) | accuracy |" in to_markdown(table)


def test_samples_of_a_type_are_counted_under_each_setting() -> None:
    value = {"value": 0.5, "low": None, "high": None}

    def scores(types: dict[str, int]) -> Any:
        groups = {kind: {"n": count, "metrics": {"accuracy": value}} for kind, count in types.items()}
        whole = {"n": sum(types.values()), "n_missing": 0, "n_unparsed": 0, "metrics": {"accuracy": value}}
        return {"vqa": {"headline": "accuracy", "overall": whole, "by_type": groups, "subsets": {}}}

    settings = {"optical": scores({"count": 3, "presence": 2}), "sar": scores({"count": 2, "presence": 2, "rural": 1})}
    table = suite_table([{"title": "mine", "task": "vqa", "settings": settings}])
    assert [(row[0].strip(), row[2], row[3], row[4]) for row in table.rows] == [
        ("mine", "50.0", "50.0", "5"),
        ("count", "50.0", "50.0", "3/2"),
        ("presence", "50.0", "50.0", "2"),
        ("rural", "-", "50.0", "1"),
    ]


def test_best_and_worst_are_the_best_and_the_worst(out: Path, data: Path) -> None:
    source = load_benchmarks(["earthmind"])["vrsbench_grounding"](data_root=str(data))
    samples = read_predictions(out / "vrsbench_grounding" / PREDICTIONS)
    best, worst = qualitative_examples(samples, source, metrics=None, count=2)
    assert len(best) == 2 and len(worst) == 2
    assert all("IoU 1.00" in row.panels[-1].title for row in best)
    assert all(float(row.panels[-1].title.split()[-1]) < 0.5 for row in worst)


def test_boxes_are_drawn_on_the_scale_they_are_scored_on(out: Path, data: Path) -> None:
    source = load_benchmarks(["earthmind"])["vrsbench_grounding"](data_root=str(data))
    samples = read_predictions(out / "vrsbench_grounding" / PREDICTIONS)
    tenfold = [
        replace(item, prediction=str([[10 * number for number in box] for box in read_boxes(item.prediction or "").numbers]))
        for item in samples
    ]
    best, _ = qualitative_examples(tenfold, source, metrics=None, count=2)
    assert all("IoU 1.00" in row.panels[-1].title for row in best)


def test_a_report_without_the_images_says_so(out: Path, tmp_path: Path, data: Path) -> None:
    result: dict[str, Any] = dict(read_results(out, ["sar_referring"])[0])
    result["data_root"] = str(tmp_path / "gone")
    (tmp_path / "sar_referring").mkdir()
    (tmp_path / "sar_referring" / PREDICTIONS).write_text((out / "sar_referring" / PREDICTIONS).read_text())
    text = write_suite_report(tmp_path, [result], title="Run").read_text()
    assert "The best and worst samples are not shown" in text


def test_charts_are_pictures(out: Path) -> None:
    item = read_results(out, ["eurosat"])[0]["settings"]["optical"]["classification"]
    assert draw_confusion(item["confusion"], title="x").startswith(PNG)
    assert draw_types({"optical": item, "fused": item}, title="x").startswith(PNG)


def test_merge_and_report_commands(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    before = json.loads((out / "eurosat" / SCORES).read_text())["settings"]
    assert merge.run(argparse.Namespace(folder=out)) == 0
    assert json.loads((out / "eurosat" / SCORES).read_text())["settings"] == before
    assert report.run(argparse.Namespace(folder=out, benchmark=["eurosat"], title="T")) == 0
    assert "EuroSAT (RGB)" in capsys.readouterr().out


def test_a_folder_without_run_is_told(tmp_path: Path) -> None:
    import argparse

    with pytest.raises(DataError, match=r"holds no run.json"):
        merge.run(argparse.Namespace(folder=tmp_path))
    with pytest.raises(DataError, match="holds no scores"):
        read_results(tmp_path)
    with pytest.raises(DataError, match=r"has no run.json"):
        read_manifest(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"run.json: lacks run_id, benchmark"):
        read_manifest(tmp_path)


def test_a_line_of_a_sample_that_was_not_asked_is_refused(out: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(out / "rsvqa_lr", tmp_path / "rsvqa_lr")
    shard = next((tmp_path / "rsvqa_lr").glob("predictions.run.0of2.jsonl"))
    first = read_predictions(shard)[0]
    with shard.open("a") as file:
        file.write(format_prediction(replace(first, sample_id="x")) + "\n")
    with pytest.raises(DataError, match="1 samples are not among those of run"):
        collect(tmp_path / "rsvqa_lr")


def test_scores_of_other_predictions_are_not_reported(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / PREDICTIONS).write_text("{}\n")
    (folder / SCORES).write_text(json.dumps({"predictions": {"sha256": hashlib.sha256(b"{}\n").hexdigest()}}))
    assert len(read_results(tmp_path)) == 1
    (folder / PREDICTIONS).write_text("{ }\n")
    with pytest.raises(DataError, match=r"scores.json is not of .*predictions.jsonl, which has changed since it was scored"):
        read_results(tmp_path)
