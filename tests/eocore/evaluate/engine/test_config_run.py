"""The rule of re-use: answers of a folder are kept with the same model, data and choices, on any number of processes, or are refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation_runs import RulePredictor, on_ranks
from mmengine.config import Config
from safetensors.torch import save_file

from eocore.data.dataset import RecordDataset
from eocore.data.records import Record
from eocore.errors import DataError, OutputError
from eocore.evaluate.engine.config_run import run_config
from eocore.evaluate.engine.inputs import PREDICTIONS, SCORES
from eocore.evaluate.predictions import read_predictions
from eocore.folder_lock import LOCK, FolderLock
from eocore.portable.messages import read_turns
from eocore.registry import DATASETS
from eocore.synthetic.world import write_world

NUM_SCENES = 4
NUM_LINES = 2 * NUM_SCENES
QUESTION = "What covers most of this image? " * 60
"""Long enough that predictions are the largest file of a run."""


@DATASETS.register_module(force=True)
class ConfigRunQuestions(RecordDataset):
    """One open question of each entry {"id", "answer"}; ids are the images'."""

    def parse(self, path: Path) -> list[Record]:
        entries = json.loads(path.read_text())
        return [
            Record(
                entry["id"],
                self.locate_images(entry["id"], f"{path}#{number}"),
                read_turns([f"<image>\n{QUESTION}", entry["answer"]]),
                task="vqa",
                source=f"{path}#{number}",
                meta={"answer": entry["answer"]},
            )
            for number, entry in enumerate(entries)
        ]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    write_world(root, {"test": NUM_SCENES}, size=48)
    entries = [{"id": f"test_{number:05d}", "answer": ("water", "forest")[number % 2]} for number in range(NUM_SCENES)]
    (root / "questions.json").write_text(json.dumps(entries))
    return root


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "any"}')
    save_file({"weight": torch.arange(6.0)}, folder / "model.safetensors")
    return folder


def make_config(world: Path) -> Config:
    images = {
        "multispectral": {"root": str(world / "test" / "multispectral"), "sensor": "sentinel2_l2a"},
        "sar": {"root": str(world / "test" / "sar"), "sensor": "sentinel1_grd"},
    }
    data = {"type": "ConfigRunQuestions", "annotations": str(world / "questions.json"), "images": images}
    settings = {"sar": ["sar"], "fused": ["multispectral", "sar"]}
    section = {"datasets": [data], "settings": settings, "batch_size": 2, "max_new_tokens": 8}
    stretch = {"sar": {"stretch": {"method": "range", "low": -28.0, "high": 2.0}}}
    return Config({"evaluation": section, "task": {"processor": {"presentation": stretch}}})


def run(config: Config, model: Path, out: Path, answerer: RulePredictor | None = None, *, overwrite: bool = False) -> Any:
    return run_config(config, answerer or RulePredictor(), model=model, out=out, overwrite=overwrite)


def results(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != LOCK]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in results(folder)}


def change_answers(world: Path, config: Config) -> None:
    path = world / "questions.json"
    path.write_text(path.read_text().replace("forest", "desert"))


def change_a_pixel(world: Path, config: Config) -> None:
    path = world / "test" / "sar" / "test_00001.tif"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=times)  # same size, same time: the content alone tells


def lose_an_image(world: Path, config: Config) -> None:
    (world / "test" / "multispectral" / "test_00002.tif").unlink()


def fewer_samples(world: Path, config: Config) -> None:
    config.evaluation.datasets[0].limit = 2


def other_length(world: Path, config: Config) -> None:
    config.evaluation.max_new_tokens = 9


def other_generation(world: Path, config: Config) -> None:
    config.evaluation.generation = {"repetition_penalty": 1.5}


def other_precision(world: Path, config: Config) -> None:
    config.evaluation.dtype = "int8"


def fewer_settings(world: Path, config: Config) -> None:
    del config.evaluation.settings["fused"]


def other_modalities(world: Path, config: Config) -> None:
    config.evaluation.settings["fused"] = ["multispectral"]


def other_stretch(world: Path, config: Config) -> None:
    config.task.processor.presentation.sar.stretch.low = -20.0


def other_sensor(world: Path, config: Config) -> None:
    config.evaluation.datasets[0].images.sar.sensor = "sentinel1_rtc"


def other_order(world: Path, config: Config) -> None:
    images = config.evaluation.datasets[0].images
    config.evaluation.datasets[0].images = {name: images[name] for name in reversed(images)}


CHANGES: list[tuple[Callable[[Path, Config], None], str]] = [
    (change_answers, "data 'questions: questions.json' has another content"),
    (change_a_pixel, "data 'questions: sar images' has another content"),
    (lose_an_image, "data 'questions: multispectral images' has another content"),
    (fewer_samples, r"evaluation.datasets.0.limit was not set, now 2"),
    (other_length, "evaluation.max_new_tokens was 8, now 9"),
    (other_generation, "evaluation.generation.repetition_penalty was not set, now 1.5"),
    (other_precision, "evaluation.dtype was not set, now 'int8'"),
    (fewer_settings, "evaluation.settings.fused.0 was 'multispectral', now not set"),
    (other_modalities, "evaluation.settings.fused.1 was 'sar', now not set"),
    (other_stretch, "task.processor.presentation.sar.stretch.low was -28.0, now -20.0"),
    (other_order, "image_order.0.0 was 'multispectral', now 'sar'"),
    (other_sensor, "evaluation.datasets.0.images.sar.sensor was 'sentinel1_grd', now 'sentinel1_rtc'"),
]


@pytest.mark.parametrize(("change", "named"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "stopped"])
def test_what_changed_is_named_and_nothing_is_touched(
    world: Path, model: Path, tmp_path: Path, change: Callable[[Path, Config], None], named: str, finished: bool
) -> None:
    config, out = make_config(world), tmp_path / "out"
    if finished:
        run(config, model, out)
    else:
        with pytest.raises(KeyboardInterrupt):
            run(config, model, out, RulePredictor(most=5))
    before = contents(out)
    change(world, config)
    asked = RulePredictor()
    with pytest.raises(DataError, match=rf"out holds predictions of another run .*{named}.* nothing changed"):
        run(config, model, out, asked)
    assert not asked.asked and contents(out) == before


@pytest.mark.parametrize(("change", "_"), CHANGES[:1])
def test_what_is_overwritten_is_of_the_new_data_alone(
    world: Path, model: Path, tmp_path: Path, change: Callable[[Path, Config], None], _: str
) -> None:
    config, out = make_config(world), tmp_path / "out"
    run(config, model, out)
    (out / "report.html").write_text("of the old scores")
    change(world, config)
    answerer = RulePredictor(most=3)
    with pytest.raises(KeyboardInterrupt):
        run(config, model, out, answerer, overwrite=True)
    assert sorted(path.suffix for path in results(out)) == [".json", ".jsonl"]  # run.json and the shard: no old scores, no old report
    run(config, model, out)
    assert {item.ground_truth for item in read_predictions(out / PREDICTIONS)} == {"water", "desert"}


def test_moved_data_other_batches_and_a_copied_model_are_the_same_run(world: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(make_config(world), model, out)
    shutil.move(world, tmp_path / "elsewhere" / "data")
    shutil.copytree(model, tmp_path / "copy", copy_function=shutil.copyfile)
    config = make_config(tmp_path / "elsewhere" / "data")
    config.evaluation.batch_size = 3
    asked = RulePredictor()
    again = run(config, tmp_path / "copy", out, asked)
    assert not asked.asked and again["settings"] == first["settings"] and again["run"]["run_id"] == first["run"]["run_id"]


def test_a_converted_again_model_at_the_same_place_is_another_model(world: Path, model: Path, tmp_path: Path) -> None:
    run(make_config(world), model, tmp_path / "out")
    weights = model / "model.safetensors"
    times = weights.stat().st_atime_ns, weights.stat().st_mtime_ns
    save_file({"weight": torch.arange(6.0) + 1e-6}, weights)
    os.utime(weights, ns=times)
    with pytest.raises(DataError, match=r"model file 'model.safetensors' has another content"):
        run(make_config(world), model, tmp_path / "out")


def test_a_file_that_a_model_lost_or_gained_is_named(world: Path, model: Path, tmp_path: Path) -> None:
    run(make_config(world), model, tmp_path / "out")
    (model / "processor_config.json").write_text("{}")
    with pytest.raises(DataError, match=r"model file 'processor_config.json' was absent"):
        run(make_config(world), model, tmp_path / "out")


def test_scores_of_unknown_origin_are_not_taken_over(world: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / SCORES).write_text('{"settings": {}}')
    with pytest.raises(DataError, match=r"another run \(scores.json\): nothing there says of which model, data and choices"):
        run(make_config(world), model, out)
    assert (out / SCORES).read_text() == '{"settings": {}}'


def test_a_broken_record_of_a_run_is_named(world: Path, model: Path, tmp_path: Path) -> None:
    run(make_config(world), model, tmp_path / "out")
    (tmp_path / "out" / "run.json").write_text('{"run_')
    with pytest.raises(DataError, match=r"run.json: not JSON .*--overwrite"):
        run(make_config(world), model, tmp_path / "out")


def test_a_run_holds_its_folder_while_it_predicts_and_no_longer(world: Path, model: Path, tmp_path: Path) -> None:
    holders = []

    class Waiting(RulePredictor):
        def load(self) -> None:
            holders.append(FolderLock(tmp_path / "out").take(wait_s=0))

    run(make_config(world), model, tmp_path / "out", Waiting())
    assert str(holders[0]).startswith(f"process {os.getpid()} on ")
    lock = FolderLock(tmp_path / "out")
    assert lock.take(wait_s=0) is None
    lock.release()


def test_scores_say_what_they_are_of(world: Path, model: Path, tmp_path: Path) -> None:
    run(make_config(world), model, tmp_path / "out")
    found = json.loads((tmp_path / "out" / SCORES).read_text())
    assert found["predictions"]["num_samples"] == NUM_LINES and found["run"]["model"] == str(model)
    assert len(found["run"]["model_stamp"]) == len(found["run"]["data_sha256"]) == len(found["run"]["config_sha256"]) == 64


def _rank(rank: int, world_size: int, port: int, data: Path, model: Path, out: Path, most: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    run(make_config(data), model, out, RulePredictor(most))


def test_a_run_killed_on_one_process_resumes_on_two(world: Path, model: Path, tmp_path: Path) -> None:
    run(make_config(world), model, tmp_path / "straight")
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(make_config(world), model, out, RulePredictor(most=3))
    assert on_ranks(2, _rank, world, model, out, 10**9) == [0, 0]
    assert (out / PREDICTIONS).read_bytes() == (tmp_path / "straight" / PREDICTIONS).read_bytes()
    lines = [line for path in out.glob("predictions.*.*of*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == NUM_LINES and len(list(out.glob("predictions.*.*of*.jsonl"))) == 3


def test_a_full_disk_keeps_what_was_predicted_and_the_run_resumes(
    world: Path, model: Path, tmp_path: Path, limit_file_size: Callable[[int | None], None]
) -> None:
    straight = run(make_config(world), model, tmp_path / "straight")
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(make_config(world), model, out, RulePredictor(most=3))
    size = next(out.glob("predictions.*.jsonl")).stat().st_size
    limit_file_size(size + 100)
    with pytest.raises(OutputError, match=r"predictions cannot be written: .* All samples written before are kept"):
        run(make_config(world), model, out)
    limit_file_size(None)
    asked = RulePredictor()
    assert run(make_config(world), model, out, asked)["settings"] == straight["settings"]
    assert 0 < len(asked.asked) < NUM_LINES
