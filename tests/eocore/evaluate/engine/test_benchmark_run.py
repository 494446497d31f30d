"""Benchmarks run with a stand-in for the model that answers by rule: resumed, shared, counted, never mixed."""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_runs import RulePredictor, Said, on_ranks

from eocore.data.io.masks import decode_mask
from eocore.distributed import Ranks, join_ranks, leave_ranks
from eocore.errors import DataError, OutputError
from eocore.evaluate.benchmarks.catalogue import Benchmark
from eocore.evaluate.benchmarks.custom import custom_benchmark
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.engine.benchmark_run import run_benchmarks
from eocore.evaluate.engine.inputs import PREDICTIONS, SCORES
from eocore.evaluate.engine.job import collect
from eocore.evaluate.engine.run_options import Outcome, RunOptions
from eocore.evaluate.predictions import read_predictions
from eocore.folder_lock import LOCK
from eocore.synthetic.test_sets.catalogue import write_published

NAMES = ("rsvqa_lr", "ucm_captions", "vrsbench_grounding", "bigearthnet")


class RuleAnswerer(RulePredictor):
    """Right for every second image, by the shade of its first pixels."""

    def say(self, record: Any, scenes: Any) -> Said:
        scene = scenes[0]
        right = int(np.nansum(scene.pixels[0, :8, :8]) * 7) % 2 == 0
        masks = [decode_mask(mask, scene.size, source=record.source) for mask in record.masks]
        text = record.meta.get("answer", "Sure.") if right else "I see nothing."
        return Said(str(text), np.stack(masks) if masks else np.zeros((0, *scene.size), bool))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_published(root, num_scenes=5, size=48)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def options(data: Path, model: Path, tmp_path: Path) -> RunOptions:
    return RunOptions(model=model, system="earthmind", out=tmp_path / "out", data_root=str(data), batch_size=3, any_count=True)


def run(options: RunOptions, *names: str, answerer: RuleAnswerer | None = None, ranks: Ranks | None = None) -> list[Outcome]:
    known = load_benchmarks()
    used = answerer or RuleAnswerer()
    chosen = [custom_benchmark(name) if name.startswith("custom:") else known[name] for name in names]
    return run_benchmarks(chosen, options, predictor=used, ranks=ranks or Ranks())


def scores(options: RunOptions, name: str) -> dict[str, Any]:
    return json.loads((options.out / name / SCORES).read_text())


def test_predictions_and_scores_are_written(options: RunOptions) -> None:
    answerer = RuleAnswerer()
    assert run(options, *NAMES, answerer=answerer) == [Outcome(name, "done") for name in NAMES]
    for name in NAMES:
        found = scores(options, name)
        lines = read_predictions(options.out / name / PREDICTIONS)
        assert len(lines) == found["count"] * len(found["settings"])
        assert found["run_id"] and len(found["config_sha256"]) == len(found["data_sha256"]) == len(found["model_stamp"]) == 64
        assert found["n_missing"] == 0 and found["time_s"] > 0
    overall = scores(options, "rsvqa_lr")["settings"]["optical"]["vqa"]["overall"]
    assert 0 < overall["metrics"]["accuracy"]["value"] < 1
    assert list(scores(options, "bigearthnet")["settings"]) == ["optical", "sar", "multispectral", "fused"]


def test_a_finished_benchmark_is_not_predicted_again(options: RunOptions) -> None:
    run(options, "rsvqa_lr")
    before = scores(options, "rsvqa_lr")
    again = RuleAnswerer()
    run(options, "rsvqa_lr", answerer=again)
    assert again.asked == []
    assert scores(options, "rsvqa_lr")["settings"] == before["settings"]


def test_other_generation_is_another_run_and_is_noted(options: RunOptions) -> None:
    run(options, "rsvqa_lr")
    usual = scores(options, "rsvqa_lr")
    other = replace(options, out=options.out / "other", generation={"repetition_penalty": 1.1, "compile": True})
    run(other, "rsvqa_lr")
    found = scores(other, "rsvqa_lr")
    assert found["run_id"] != usual["run_id"] and found["notes"] == [
        *usual["notes"],
        "Generated with repetition_penalty=1.1, compile=True.",
    ]


def test_a_stopped_run_resumes_with_each_sample_once(options: RunOptions) -> None:
    whole = replace(options, out=options.out / "whole")
    run(whole, "bigearthnet")
    first, second = RuleAnswerer(most=7), RuleAnswerer()
    with pytest.raises(KeyboardInterrupt):
        run(options, "bigearthnet", answerer=first)
    run(options, "bigearthnet", answerer=second)
    assert 0 < len(first.asked) <= 7
    assert len(first.asked) + len(second.asked) == 4 * 5
    assert (options.out / "bigearthnet" / PREDICTIONS).read_text() == (whole.out / "bigearthnet" / PREDICTIONS).read_text()
    assert scores(options, "bigearthnet")["settings"] == scores(whole, "bigearthnet")["settings"]


def _rank(rank: int, world_size: int, port: int, options: RunOptions, names: Sequence[str], most: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    outcomes = run(options, *names, answerer=RuleAnswerer(most), ranks=join_ranks())
    assert [item.state for item in outcomes] == ["done"] * len(names), outcomes
    leave_ranks()


def run_on_ranks(world_size: int, options: RunOptions, *names: str, most: int = 10**9) -> list[int]:
    """Exit codes of so many processes that run the benchmarks together."""
    return on_ranks(world_size, _rank, options, names, most)


def test_one_two_and_three_ranks_give_the_same_files(options: RunOptions) -> None:
    texts = []
    for world_size in (1, 2, 3):
        chosen = replace(options, out=options.out / str(world_size))
        assert run_on_ranks(world_size, chosen, *NAMES) == [0] * world_size
        texts.append([(chosen.out / name / PREDICTIONS).read_text() for name in NAMES])
        shards = list((chosen.out / "rsvqa_lr").glob(f"predictions.*.*of{world_size}.jsonl"))
        assert len(shards) == world_size
    assert texts[0] == texts[1] == texts[2]


def test_a_run_stopped_on_two_ranks_resumes_on_three(options: RunOptions) -> None:
    run(replace(options, out=options.out / "whole"), "bigearthnet")
    assert any(run_on_ranks(2, options, "bigearthnet", most=4))
    done = sum(len(path.read_text().splitlines()) for path in (options.out / "bigearthnet").glob("predictions.*.*of2.jsonl"))
    assert 0 < done < 20
    assert run_on_ranks(3, options, "bigearthnet") == [0, 0, 0]
    lines = [line for path in (options.out / "bigearthnet").glob("predictions.*.*of*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == 20
    whole = (options.out / "whole" / "bigearthnet" / PREDICTIONS).read_text()
    assert (options.out / "bigearthnet" / PREDICTIONS).read_text() == whole


def test_shards_of_several_machines_are_merged_without_model_and_data(options: RunOptions) -> None:
    assert run_on_ranks(2, options, "ucm_captions") == [0, 0]
    folder = options.out / "ucm_captions"
    before = scores(options, "ucm_captions")["settings"]
    (folder / PREDICTIONS).unlink()
    assert collect(folder)["settings"] == before
    next(folder.glob("predictions.*.1of2.jsonl")).unlink()
    with pytest.raises(DataError, match="samples are in no shard of run"):
        collect(folder)


def test_absent_data_is_skipped_with_the_reason_and_the_others_run(options: RunOptions, tmp_path: Path, data: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    (some / "UCM_captions").symlink_to(data / "UCM_captions")
    outcomes = run(replace(options, data_root=str(some)), "rsvqa_lr", "ucm_captions")
    assert [item.state for item in outcomes] == ["skipped", "done"]
    assert "RSVQA_LR/LR_split_test_questions.json" in outcomes[0].reason
    assert "Zenodo record 6344334" in outcomes[0].reason


def test_a_wrong_count_fails_unless_it_is_allowed_and_then_it_is_noted(options: RunOptions) -> None:
    strict = run(replace(options, any_count=False), "ucm_captions")
    assert strict[0].state == "failed"
    assert "has 4 samples, the published test set 210" in strict[0].reason
    run(options, "ucm_captions")
    assert scores(options, "ucm_captions")["notes"] == ["4 samples, not the 210 of the published test set."]


def test_a_missing_image_counts_as_wrong_and_is_counted(options: RunOptions, tmp_path: Path, data: Path) -> None:
    import shutil

    shutil.copytree(data / "RSVQA_LR", tmp_path / "RSVQA_LR")
    (tmp_path / "RSVQA_LR/Images_LR/2.tif").unlink()
    here = replace(options, data_root=str(tmp_path))
    assert run(here, "rsvqa_lr")[0].state == "done"
    found = scores(here, "rsvqa_lr")
    assert found["n_missing"] == sum(item.prediction is None for item in read_predictions(options.out / "rsvqa_lr" / PREDICTIONS)) > 0


def test_no_readable_image_at_all_is_an_error(options: RunOptions, tmp_path: Path, data: Path) -> None:
    import shutil

    shutil.copytree(data / "RSVQA_LR", tmp_path / "RSVQA_LR")
    for path in (tmp_path / "RSVQA_LR/Images_LR").iterdir():
        path.write_text("not an image")
    outcome = run(replace(options, data_root=str(tmp_path)), "rsvqa_lr")[0]
    assert outcome.state == "failed"
    assert "none of the samples under 'optical' could be predicted. The first one: dataset 'rsvqa_lr', index 0" in outcome.reason


def test_another_model_does_not_resume_these_predictions(options: RunOptions, tmp_path: Path) -> None:
    run(options, "ucm_captions")
    other = tmp_path / "other_model"
    other.mkdir()
    (other / "config.json").write_text('{"changed": 1}')
    outcome = run(replace(options, model=other), "ucm_captions")[0]
    assert outcome.state == "failed"
    assert "holds predictions of another run" in outcome.reason
    answerer = RuleAnswerer()
    assert run(replace(options, model=other, overwrite=True), "ucm_captions", answerer=answerer)[0].state == "done"
    assert len(answerer.asked) == 4


def test_another_prompt_is_another_run(options: RunOptions) -> None:
    run(options, "ucm_captions")
    outcome = run(replace(options, prompts={"ucm_captions": "What is this?"}), "ucm_captions")[0]
    assert "holds predictions of another run" in outcome.reason


class Refusing(RuleAnswerer):
    """Takes no image of one sensor, and never the sample `bad`."""

    def __call__(self, samples: Sequence[Any]) -> list[Said]:
        if any(scene.role == "sar" for _, scenes in samples for scene in scenes):
            raise DataError("this model cannot be shown SAR")
        if any(record.sample_id == "patch_0001" for record, _ in samples):
            raise DataError("this sample is too long")
        return super().__call__(samples)


def test_a_refused_sample_costs_no_other_its_answer_and_a_refused_setting_no_other_its_score(options: RunOptions) -> None:
    outcome = run(options, "bigearthnet", answerer=Refusing())[0]
    assert outcome.state == "done"
    assert "none of the samples under 'sar' could be predicted" in outcome.reason
    found = scores(options, "bigearthnet")
    assert list(found["settings"]) == ["optical", "multispectral"]
    assert [item["multilabel"]["overall"]["n_missing"] for item in found["settings"].values()] == [1, 1]
    assert any("Not run under 'fused'" in note for note in found["notes"])


def test_broken_annotations_fail_with_file_and_entry(options: RunOptions, tmp_path: Path) -> None:
    (tmp_path / "VRSBench" / "Images_val").mkdir(parents=True)
    (tmp_path / "VRSBench" / "VRSBench_EVAL_vqa.json").write_text('[{"image_id": "a.png"}]')
    outcome = run(replace(options, data_root=str(tmp_path)), "vrsbench_vqa")[0]
    assert outcome.state == "failed"
    assert "VRSBench_EVAL_vqa.json#0: no field 'ground_truth'" in outcome.reason


def test_only_the_settings_asked_for(options: RunOptions) -> None:
    run(replace(options, settings=["sar"]), "bigearthnet")
    assert list(scores(options, "bigearthnet")["settings"]) == ["sar"]
    outcome = run(replace(options, settings=["sar"]), "ucm_captions")[0]
    assert "has the settings optical, none of sar" in outcome.reason


def test_a_model_that_draws_masks_is_asked_for_them_and_gives_the_box_around(options: RunOptions, tmp_path: Path) -> None:
    class Drawing(RuleAnswerer):
        def say(self, record: Any, scenes: Any) -> Said:
            assert "Please segment" in record.turns[0].text
            mask = np.zeros((1, 48, 48), bool)
            mask[0, 12:24, 24:48] = True
            return Said("Sure, [SEG].", mask)

    run(replace(options, boxes_by_masks=True, limit=1), "vrsbench_grounding", answerer=Drawing())
    line = read_predictions(options.out / "vrsbench_grounding" / PREDICTIONS)[0]
    assert line.prediction == "Sure, [SEG]. {<50><25><100><50>}"
    assert "Boxes are the bounds of the masks" in scores(options, "vrsbench_grounding")["notes"][-1]


def test_a_file_of_ones_own(options: RunOptions, tmp_path: Path, data: Path) -> None:
    image = next((data / "RSVQA_LR/Images_LR").iterdir())
    (tmp_path / "a.tif").write_bytes(image.read_bytes())
    file = tmp_path / "own.jsonl"
    entries = [{"sample_id": str(number), "image": "a.tif", "question": "Is it green?", "answer": "yes"} for number in range(3)]
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert run(options, f"custom:vqa:{file}")[0].state == "done"
    assert scores(options, "custom_vqa_own")["count"] == 3


def test_grey_settings_show_nothing_of_that_sensor(options: RunOptions, tmp_path: Path, data: Path) -> None:
    seen: dict[str, list[tuple[float, float]]] = {}

    class Looking(RuleAnswerer):
        def say(self, record: Any, scenes: Any) -> Said:
            seen.setdefault(record.meta["setting"], []).append(tuple(float(np.ptp(scene.pixels)) for scene in scenes))
            return super().say(record, scenes)

    pair: Callable[..., Benchmark] = load_benchmarks(["earthmind"])["earthmind_bench_masks"]  # type: ignore[assignment]
    run_benchmarks([pair], options, predictor=Looking(), ranks=Ranks())  # type: ignore[list-item]
    assert all(rgb > 0 and sar == 0 for rgb, sar in seen["grey_sar"])
    assert all(rgb == 0 and sar > 0 for rgb, sar in seen["grey_rgb"])
    assert all(rgb > 0 and sar > 0 for rgb, sar in seen["fused"])


@pytest.fixture
def own_data(tmp_path: Path, data: Path) -> Path:
    """A copy of the made-up sets that a test may change."""
    import shutil

    return Path(shutil.copytree(data, tmp_path / "own_data"))


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    """A model folder whose weights reach beyond both ends that fit a megabyte."""
    folder = tmp_path / "own_model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(3 << 20))
    return folder


def edit_annotations(options: RunOptions) -> RunOptions:
    path = Path(options.data_root) / "UCM_captions" / "dataset.json"
    path.write_text(path.read_text() + " ")
    return options


def edit_an_image(options: RunOptions) -> RunOptions:
    path = min((Path(options.data_root) / "UCM_captions" / "imgs").iterdir())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return options


def convert_again(options: RunOptions) -> RunOptions:
    content = bytearray((options.model / "model.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (options.model / "model.safetensors").write_bytes(content)
    return options


def convert_in_half_precision(options: RunOptions) -> RunOptions:
    (options.model / "config.json").write_text('{"dtype": "bfloat16"}')
    return options


REFUSED: list[tuple[Callable[[RunOptions], RunOptions], str]] = [
    (edit_annotations, "data 'ucm_captions: dataset.json' has another content"),
    (edit_an_image, "data 'ucm_captions: rgb images' has another content"),
    (convert_again, "model file 'model.safetensors' has another content"),
    (convert_in_half_precision, "model file 'config.json' has another content"),
    (lambda options: replace(options, limit=2), "limit was None, now 2"),
    (lambda options: replace(options, max_new_tokens=5), "max_new_tokens was 64, now 5"),
    (lambda options: replace(options, generation={"top_k": 1}), "generation.top_k was not set, now 1"),
    (lambda options: replace(options, prompts={"ucm_captions": "What is this?"}), "prompt was .*, now 'What is this"),
]


@pytest.mark.parametrize(("change", "named"), REFUSED, ids=[named.split(" was ")[0] for _, named in REFUSED])
def test_what_answers_depend_on_is_refused_by_name_and_nothing_changes(
    options: RunOptions, own_data: Path, own_model: Path, change: Callable[[RunOptions], RunOptions], named: str
) -> None:
    options = replace(options, data_root=str(own_data), model=own_model)
    assert run(options, "ucm_captions")[0].state == "done"
    folder = options.out / "ucm_captions"
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK}
    asked = RuleAnswerer()
    (outcome,) = run(change(options), "ucm_captions", answerer=asked)
    assert outcome.state == "failed" and not asked.asked
    assert re.search(rf"holds predictions of another run .*{named}", outcome.reason), outcome.reason
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK} == before


def test_scores_and_report_go_when_new_predictions_begin(options: RunOptions) -> None:
    run(options, "ucm_captions")
    (options.out / "report.html").write_text("of the old scores")
    with pytest.raises(KeyboardInterrupt):
        run(replace(options, overwrite=True), "ucm_captions", answerer=RuleAnswerer(most=0))
    assert not (options.out / "report.html").exists() and not (options.out / "ucm_captions" / SCORES).exists()


def test_a_full_disk_ends_the_run_and_space_lets_it_resume(options: RunOptions, limit_file_size: Callable[[int | None], None]) -> None:
    whole = replace(options, out=options.out / "whole")
    run(whole, "rsvqa_lr")
    with pytest.raises(KeyboardInterrupt):
        run(options, "rsvqa_lr", answerer=RuleAnswerer(most=6))
    limit_file_size(max(path.stat().st_size for path in (options.out / "rsvqa_lr").iterdir()) + 50)
    with pytest.raises(OutputError, match="cannot be written: the file would exceed the allowed size"):
        run(options, "rsvqa_lr", "ucm_captions")
    limit_file_size(None)
    assert run(options, "rsvqa_lr")[0].state == "done"
    assert (options.out / "rsvqa_lr" / PREDICTIONS).read_bytes() == (whole.out / "rsvqa_lr" / PREDICTIONS).read_bytes()
