"""Predicting data sets under each setting: shared among ranks, stopped and resumed, with images that cannot be read."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import rasterio

from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.dataset import RecordDataset, SampleKey, SampleSource, Scenes
from eocore.data.io.masks import decode_mask, decode_scene_mask, encode_rle
from eocore.data.records import Expression, ImageRef, MaskRef, Record
from eocore.data.transforms import ComposeReferring
from eocore.errors import ConfigError, DataError
from eocore.evaluate.engine.predicting import (
    MOST_TOGETHER,
    RankSamples,
    deal_images,
    describe_unread,
    key_of,
    predict_samples,
    write_lost,
)
from eocore.evaluate.engine.responders import GeneratedAnswers
from eocore.evaluate.engine.shards import PredictionWriter, merge_shards, shard_path
from eocore.evaluate.engine.sources import EvaluationOptions, build_sources, read_evaluation
from eocore.evaluate.predictions import read_predictions
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.tasks import scorer_of
from eocore.portable.messages import read_turns
from eocore.registry import DATASETS, METRICS
from eocore.sensors.orientation import Turn, stored_transform
from eocore.synthetic.world import write_world

SIZE = 48
SETTINGS = {"optical": ["multispectral"], "sar": ["sar"], "fused": ["multispectral", "sar"]}


@DATASETS.register_module(force=True)
class RunQuestions(RecordDataset):
    """One multiple-choice question of each line {"id", "answer"}; ids are the images'."""

    def parse(self, path: Path) -> list[Record]:
        entries = json.loads(path.read_text())
        return [
            Record(
                entry["id"],
                self.locate_images(entry["id"], f"{path}#{number}"),
                read_turns(["<image>\nWhat covers most?", entry["answer"]]),
                task="mcq",
                source=f"{path}#{number}",
                meta={"answer": entry["answer"], "candidates": ["water", "forest"], "cloudy": number % 2 == 1},
            )
            for number, entry in enumerate(entries)
        ]


@DATASETS.register_module(force=True)
class RunPhrases(RunQuestions):
    """One phrase of each line, its target a box; the last has none."""

    def parse(self, path: Path) -> list[Record]:
        records = super().parse(path)
        masks = [MaskRef("box", [0, 0, 10 + number, 20]) for number in range(len(records) - 1)] + [None]
        return [
            Record(
                f"p-{record.sample_id}",
                record.images,
                expressions=(Expression("the water", mask),),
                task="referring",
                source=record.source,
                meta={"cloudy": False},
            )
            for record, mask in zip(records, masks, strict=True)
        ]


@DATASETS.register_module(force=True)
class RunJoined(SampleSource):
    """Several data sets as one."""

    def __init__(self, *, transforms: Sequence[Any]) -> None:
        self.name = "joined"

    def __len__(self) -> int:
        return 0

    def read(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, Scenes]:
        raise NotImplementedError

    def describe(self, key: SampleKey) -> str:
        raise NotImplementedError

    def lengths(self, epoch: int = 0) -> np.ndarray:
        raise NotImplementedError


@dataclass
class Said:
    text: str
    masks: np.ndarray


class Answerer:
    """Answers by what the record says, and keeps count; stops after `most` records."""

    def __init__(self, most: int = 10**9) -> None:
        self.most = most
        self.batches: list[list[str]] = []

    def __call__(self, samples: Sequence[Any]) -> list[Said]:
        self.batches.append([record.sample_id for record, _ in samples])
        if sum(map(len, self.batches)) > self.most:
            raise KeyboardInterrupt
        return [self.answer(record, scenes) for record, scenes in samples]

    def answer(self, record: Record, scenes: Sequence[Any]) -> Said:
        shape = scenes[0].size
        masks = [decode_mask(mask, shape, source=record.source) for mask in record.masks]
        return Said(f"{record.meta.get('answer', 'Sure.')}", np.stack(masks) if masks else np.zeros((0, *shape), bool))


@pytest.fixture
def world(tmp_path: Path) -> Path:
    write_world(tmp_path, {"test": 5}, size=SIZE)
    entries = [{"id": f"test_{number:05d}", "answer": ("water", "forest")[number % 2]} for number in range(5)]
    (tmp_path / "questions.json").write_text(json.dumps(entries))
    return tmp_path


@pytest.fixture
def options(world: Path) -> EvaluationOptions:
    images = {
        "multispectral": {"root": str(world / "test" / "multispectral"), "sensor": "sentinel2_l2a"},
        "sar": {"root": str(world / "test" / "sar"), "sensor": "sentinel1_grd"},
    }
    data = {"annotations": str(world / "questions.json"), "images": images}
    one = {"type": "ComposeReferring", "num_expressions": 1}
    return EvaluationOptions(
        datasets=[{"type": "RunQuestions", **data}, {"type": "RunPhrases", "transforms": [one], **data}], settings=SETTINGS, batch_size=2
    )


def run(options: EvaluationOptions, path: Path, answerer: Callable[..., Any], *, rank: int = 0, world_size: int = 1) -> list[int]:
    """Predicts everything into the file; returns the counts that were reported as done."""
    done: list[int] = []
    with PredictionWriter(path) as writer:
        for setting, source in build_sources(options):
            mine = deal_images(source.records, range(len(source)), rank=rank, world_size=world_size)
            todo = [index for index in mine if key_of(source.records[index], setting) not in writer]
            done.append(len(mine) - len(todo))
            own = RankSamples(source, setting, todo, batch_size=options.batch_size)
            write_lost(predict_samples(own, GeneratedAnswers(answerer), writer=writer, on_samples=done.append), writer, anything=True)
    return done


def test_every_setting_shows_its_sensors_and_asks_the_same(options: EvaluationOptions, tmp_path: Path) -> None:
    shown: list[tuple[str, ...]] = []

    def answer(samples: Sequence[Any]) -> list[Said]:
        shown.extend(record.roles for record, _ in samples)
        return Answerer()(samples)

    done = run(options, tmp_path / "all.jsonl", answer)
    predictions = read_predictions(tmp_path / "all.jsonl")
    assert sum(done) == len(predictions) == 3 * (5 + 5)
    assert set(shown) == {("multispectral",), ("sar",), ("multispectral", "sar")}
    for setting in SETTINGS:
        asked = [item for item in predictions if item.sensor == setting]
        assert [item.sample_id for item in asked] == [item.sample_id for item in predictions[:10]]
        assert {item.image_ids[0] for item in asked} == {f"test_{number:05d}" for number in range(5)}
    (first, *_, last) = predictions
    assert (first.prompt, first.prediction, first.ground_truth) == ("<image>\nWhat covers most?", "water", "water")
    assert first.meta["candidates"] == ["water", "forest"] and "answer" not in first.meta
    assert (last.task, len(last.ground_truth_masks), len(last.prediction_masks)) == ("referring", 0, 0)
    assert sum(len(item.ground_truth_masks) for item in predictions) == 3 * 4
    assert [item.prediction_masks for item in predictions] == [item.ground_truth_masks for item in predictions]


def test_masks_of_rasters_that_are_turned_count_their_stored_pixels(options: EvaluationOptions, world: Path, tmp_path: Path) -> None:
    for path in (world / "test").rglob("*.tif"):
        with rasterio.open(path, "r+") as file:
            file.write(file.read()[:, ::-1])
            file.transform = stored_transform(file.transform, file.shape, turn=Turn(reverse_rows=True))

    class Seeing(Answerer):
        def answer(self, record: Record, scenes: Sequence[Any]) -> Said:
            masks = [decode_scene_mask(mask, scenes[0], source=record.source) for mask in record.masks]
            assert scenes[0].turn and all(mask[-1, 0] for mask in masks), "boxes at the first stored rows lie in the south"
            return Said("Sure.", np.stack(masks) if masks else np.zeros((0, *scenes[0].size), bool))

    run(options, tmp_path / "all.jsonl", Seeing())
    drawn = [item for item in read_predictions(tmp_path / "all.jsonl") if item.prediction_masks]
    assert len(drawn) == 3 * 4 and [item.prediction_masks for item in drawn] == [item.ground_truth_masks for item in drawn]
    assert drawn[0].ground_truth_masks[0] == encode_rle(decode_mask(MaskRef("box", [0, 0, 10, 20]), (SIZE, SIZE), source="x"))


def test_samples_are_answered_in_batches(options: EvaluationOptions, tmp_path: Path) -> None:
    answerer = Answerer()
    run(options, tmp_path / "all.jsonl", answerer)
    assert [len(batch) for batch in answerer.batches] == [2, 2, 1] * 6


@pytest.mark.parametrize("most", [0, 3, 11])
def test_a_stopped_run_ends_with_the_same_file(options: EvaluationOptions, tmp_path: Path, most: int) -> None:
    run(options, tmp_path / "straight.jsonl", Answerer())
    first, second = Answerer(most), Answerer()
    with pytest.raises(KeyboardInterrupt):
        run(options, tmp_path / "parts.jsonl", first)
    kept = len(read_predictions(tmp_path / "parts.jsonl"))
    with (tmp_path / "parts.jsonl").open("a") as file:
        file.write('{"sample_id": "test_0')
    done = run(options, tmp_path / "parts.jsonl", second)
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "straight.jsonl").read_bytes()
    assert sum(map(len, second.batches)) == 30 - kept and sum(done) == 30
    assert kept == most // 2 * 2 if most < 4 else kept < 30


def test_a_finished_run_asks_nothing_more(options: EvaluationOptions, tmp_path: Path) -> None:
    run(options, tmp_path / "all.jsonl", Answerer())
    again = Answerer()
    assert sum(run(options, tmp_path / "all.jsonl", again)) == 30
    assert not again.batches


def test_an_image_that_cannot_be_read_counts_as_missing(options: EvaluationOptions, world: Path, tmp_path: Path) -> None:
    (world / "test" / "sar" / "test_00001.tif").write_bytes(b"II*\0 cut short")
    (world / "test" / "sar" / "test_00004.tif").unlink()
    done = run(options, tmp_path / "all.jsonl", Answerer())
    predictions = read_predictions(tmp_path / "all.jsonl")
    assert len(predictions) == sum(done) == 30
    missing = {(item.sensor, item.sample_id) for item in predictions if item.prediction is None}
    names = ("test_00001", "test_00004", "p-test_00001", "p-test_00004")
    assert missing == {(setting, name) for setting in ("sar", "fused") for name in names}
    scores = score_predictions(predictions)["settings"]
    for setting, right in (("optical", 1.0), ("sar", 0.6), ("fused", 0.6)):
        assert scores[setting]["mcq"]["overall"]["metrics"]["accuracy"]["value"] == pytest.approx(right)
        assert scores[setting]["referring"]["overall"]["metrics"]["miou"]["value"] == pytest.approx(right)
        assert scores[setting]["mcq"]["overall"]["n_missing"] == (0 if setting == "optical" else 2)


def test_without_its_image_a_phrase_keeps_its_box_so_that_it_is_scored(world: Path) -> None:
    images = {"rgb": {"root": str(world / "nowhere"), "pattern": "{stem}.png", "sensor": "rgb_uint8"}}
    asked = {"type": "ComposeGrounding", "decimals": 2}
    data = {"type": "ReferringJsonlDataset", "annotations": str(world / "test/referring.jsonl"), "task": "grounding", "images": images}
    phrases = DATASETS.build({**data, "transforms": [asked]})
    unread = describe_unread(phrases, SampleKey(0, 0), setting="optical")
    x0, y0, x1, y1 = unread.meta["boxes"][0]
    assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 and unread.ground_truth.startswith("[") and not unread.ground_truth_masks
    assert METRICS.build(scorer_of("grounding", by_vectors=False)).judge([unread]).measures
    refused = DATASETS.build({**data, "transforms": [{"type": "PrefixQuestions", "prefix": "[VQA] "}]})
    as_it_is = describe_unread(refused, SampleKey(0, 0), setting="optical")
    assert as_it_is.sample_id == unread.sample_id and "boxes" not in as_it_is.meta  # what transforms refuse stays


def test_two_ranks_give_together_what_one_gives(options: EvaluationOptions, tmp_path: Path) -> None:
    for rank in (0, 1):
        run(options, shard_path(tmp_path, run_id="two", rank=rank, world_size=2), Answerer(), rank=rank, world_size=2)
    run(options, tmp_path / "alone.jsonl", Answerer())
    alone = read_predictions(tmp_path / "alone.jsonl")
    assert merge_shards(tmp_path, [item.key for item in alone], run_id="two") == alone
    own_samples = [read_predictions(shard_path(tmp_path, run_id="two", rank=rank, world_size=2)) for rank in (0, 1)]
    assert [len(own) for own in own_samples] == [18, 12]


def test_a_mask_of_another_size_counts_as_missing_too(options: EvaluationOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its truth cannot be drawn on this image; the sample is not left out, and the run continues."""
    rle = {"size": [10, 10], "counts": [100]}

    def wrong(self: ComposeReferring, record: Record, rng: np.random.Generator) -> Record:
        turns = read_turns(["<image>\nsegment", "[SEG]"])
        return Record(record.sample_id, record.images, turns, (MaskRef("rle", rle),), task=record.task, source=record.source)

    monkeypatch.setattr(ComposeReferring, "__call__", wrong)
    run(options, tmp_path / "all.jsonl", Answerer())
    predictions = [item for item in read_predictions(tmp_path / "all.jsonl") if item.task == "referring"]
    assert len(predictions) == 15 and all(item.prediction is None for item in predictions)


class TestDealing:
    """Which rank answers what."""

    @staticmethod
    def about(*images: str) -> list[Record]:
        shown = {image: (ImageRef("rgb", "rgb_uint8", (f"{image}.png",)),) if image else () for image in images}
        return [Record(f"s{number}", shown[image], read_turns(["What?"])) for number, image in enumerate(images)]

    def test_questions_about_one_image_stand_together(self) -> None:
        records = self.about("a", "b", "a", "c", "", "b", "a", "")
        assert deal_images(records, range(8), rank=0, world_size=1) == [0, 2, 6, 1, 5, 3, 4, 7]
        assert deal_images(records, [6, 1, 7, 0, 3], rank=0, world_size=1) == [6, 0, 1, 7, 3]

    def test_every_question_is_one_ranks_alone_and_all_have_about_as_many(self) -> None:
        records = self.about("a", "b", "a", "c", "", "b", "a", "")
        own_samples = [deal_images(records, range(8), rank=rank, world_size=3) for rank in range(3)]
        assert own_samples == [[0, 1, 4], [2, 5, 7], [6, 3]]

    def test_many_questions_about_one_image_are_shared(self) -> None:
        records = self.about(*["a"] * 2 * MOST_TOGETHER)
        own_samples = [deal_images(records, range(len(records)), rank=rank, world_size=2) for rank in range(2)]
        assert [len(own) for own in own_samples] == [MOST_TOGETHER] * 2


def test_what_is_prepared_ahead_is_what_is_answered(options: EvaluationOptions, tmp_path: Path) -> None:
    class InTwoSteps:
        def prepare(self, sample: Any) -> Any:
            if sample[0].sample_id == first:
                raise DataError("too many bands")
            return sample

        def answer(self, prepared: Sequence[Any]) -> list[Said]:
            return Answerer()(prepared)

    ((setting, source), *_) = build_sources(options)
    first = source.records[0].sample_id
    with PredictionWriter(tmp_path / "p.jsonl") as writer:
        own = RankSamples(source, setting, range(len(source)))
        write_lost(predict_samples(own, GeneratedAnswers(cast("Any", InTwoSteps())), writer=writer), writer, anything=True)
    written = {item.sample_id: item.prediction for item in read_predictions(tmp_path / "p.jsonl")}
    assert written.pop(first) is None and all(written.values()) and len(written) == len(source) - 1


def test_several_questions_that_transforms_make_are_not_scored_by_one_answer(options: EvaluationOptions, tmp_path: Path) -> None:
    several = {"type": "ComposeReferring", "num_expressions": 2, "unique": False}
    asked = replace(options, datasets=[{**options.datasets[1], "transforms": [several]}], settings={"sar": ["sar"]})
    (_, source), *_ = build_sources(asked)
    with PredictionWriter(tmp_path / "p.jsonl") as writer:
        lost = predict_samples(RankSamples(source, "sar", [0]), GeneratedAnswers(Answerer()), writer=writer)
    assert "the transforms make 2 questions of sample 'p-test_00000'" in lost[0].reason and "num_expressions=1" in lost[0].reason


class TestOptions:
    def test_a_source_without_records_of_its_own_is_refused(self) -> None:
        joined = EvaluationOptions(datasets=[{"type": "RunJoined"}], settings={"sar": ["sar"]})
        with pytest.raises(ConfigError, match=r"evaluation.datasets holds a RunJoined, which has no records of its own. Name its parts"):
            list(build_sources(joined))

    def test_samples_of_one_id_in_two_sets_are_refused(self, options: EvaluationOptions) -> None:
        twice = EvaluationOptions(datasets=[options.datasets[0]] * 2, settings={"sar": ["sar"]})
        with pytest.raises(ConfigError, match=r"sample 'test_00000' \(mcq\) is in 'questions' and in 'questions', and only one of them"):
            list(build_sources(twice))

    @pytest.mark.parametrize(
        ("section", "message"),
        [
            ({"datasets": [], "settings": {"radar": ["sar"]}}, r"evaluation.settings names \['radar'\]; choices: optical, sar"),
            ({"datasets": [], "settings": {}}, "evaluation.settings names nothing"),
            ({"datasets": [], "settings": {"sar": ["sar"]}, "batch_size": 0}, "evaluation.batch_size is 0; expected at least 1"),
            ({"datasets": [], "settings": {"sar": ["sar"]}, "max_new_tokens": 0}, "evaluation.max_new_tokens is 0; expected at least 1"),
            ({"datasets": [], "setting": {}}, r"config section 'evaluation' has no option 'setting'. Did you mean 'settings'\?"),
            ({"settings": {"sar": ["sar"]}}, "config section 'evaluation' needs datasets"),
        ],
    )
    def test_mistakes_are_named(self, section: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            read_evaluation(section)

    def test_no_sample_at_all_is_an_error(self, world: Path, options: EvaluationOptions) -> None:
        (world / "questions.json").write_text("[]")
        with pytest.raises(DataError, match=r"questions.json: no record for dataset 'questions'"):
            list(build_sources(options))
