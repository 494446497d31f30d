"""VNBench in its layout, and its score."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from video_making import grey_video

from eocore.data.dataset import RecordDataset
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.benchmarks.videos import EveryTry, VnBenchDataset
from eocore.evaluate.engine.benchmark_run import adapt
from eocore.evaluate.engine.run_options import RunOptions
from eocore.evaluate.predictions import Prediction

Load = Callable[[str], RecordDataset]
pytest.importorskip("av", reason="extra video is not installed")


def test_vnbench_asks_four_times_about_each_video(load: Load) -> None:
    records = load("vnbench").records
    assert [record.sample_id for record in records[:5]] == [f"ret_insert1_0_{number}" for number in range(4)] + ["ret_insert1_1_0"]
    first = records[0]
    assert [(ref.time, ref.item, Path(ref.paths[0]).name) for ref in first.images] == [
        (f"frame {number}", f"{number}/6", "ret_insert1_0.mp4") for number in range(1, 7)
    ]
    assert first.meta["answer"] == first.meta["candidates"][0] and records[1].meta["answer"] == records[1].meta["candidates"][3]
    assert first.turns[0].text.startswith("<image>\nWhich colour is the sign in this video?\nA. ")
    assert first.turns[0].text.endswith("Answer with the option's letter from the given choices directly.")
    assert len({record.meta["answer"][3:] for record in records[:4]}) == 1


def read(tmp_path: Path, **changes: Any) -> VnBenchDataset:
    grey_video(tmp_path / "a.mp4", 9)
    entry = {"video": "x/a.mp4", "question": "How many?", "options": ["1", "2"], "gt": "2", "type": "cnt_edit1", "try": 0}
    (tmp_path / "t.json").write_text(json.dumps([{**entry, **changes}]))
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    return VnBenchDataset(annotations=str(tmp_path / "t.json"), images=images, max_frames_num=4)


def test_what_breaks_the_layout_is_named(tmp_path: Path) -> None:
    assert [ref.item for ref in read(tmp_path).records[0].images] == ["1/4", "2/4", "3/4", "4/4"]
    with pytest.raises(AnnotationError, match="answer '3' is none of"):
        read(tmp_path, gt="3")
    with pytest.raises(DataError, match=r"b\.mp4: there is no such video file"):
        read(tmp_path, video="b.mp4")
    with pytest.raises(ConfigError, match="max_frames_num=0; expected at least 1"):
        VnBenchDataset(annotations="t.json", images={}, max_frames_num=0)


def test_the_number_of_frames_is_a_choice_of_the_run(published: Path) -> None:
    options = RunOptions(model=Path("m"), system="earthmind", out=Path("o"), max_frames_num=2)
    known = load_benchmarks()
    source = adapt(known["vnbench"], options)(data_root=str(published))
    assert [ref.item for ref in source.records[0].images] == ["1/2", "2/2"]
    with pytest.raises(ConfigError, match="--max-frames-num 2: benchmark 'aid' shows no videos"):
        adapt(known["aid"], options)


def test_a_video_counts_where_every_try_is_right() -> None:
    said = {"a": ["A. x", "B", "A", "B. x"], "b": ["A", "A", "A", "A"], "c": ["B", "B"]}
    samples = [
        Prediction(
            sample_id=f"{video}_{number}",
            task="mcq",
            image_ids=(f"{video}.mp4",),
            sensor="optical",
            prompt="Which?",
            prediction=answer,
            ground_truth=f"{'AB'[number % 2]}. x",
            meta={"candidates": ["A. x", "B. y"] if number % 2 == 0 else ["A. y", "B. x"], "video": video, "type": "ret"},
        )
        for video, answers in said.items()
        for number, answer in enumerate(answers)
    ]
    judged = EveryTry().judge(samples)
    value = judged.measures["accuracy_every_try"]
    sums = value.statistics.sum(0)
    assert sums[0] / sums[1] == pytest.approx(1 / 3) and sums[1] == pytest.approx(3)
    np.testing.assert_array_equal(judged.quality, [1, 1, 1, 1, 1, 0, 1, 0, 0, 1])
    alone = replace(samples[0], meta={**samples[0].meta, "video": "z"})
    assert EveryTry().judge([alone]).measures["accuracy_every_try"].statistics.tolist() == [[1.0, 1.0]]
