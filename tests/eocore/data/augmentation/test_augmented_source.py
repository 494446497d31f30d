"""One list of transforms for any data: the same samples on any ranks, loader processes and resumptions, and sizes that fit."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from augmented_samples import SENSORS
from PIL import Image
from torch.utils.data import DataLoader

from eocore.data import registered  # noqa: F401
from eocore.data.augmentation.augmented_source import AugmentedSource, describe_unsafe_words
from eocore.data.conversation import ImageConversations
from eocore.data.dataset import PreparedDataset, SampleKey, random_stream
from eocore.data.formats.llava import LlavaDataset
from eocore.data.io.readers import SceneHeader
from eocore.data.loading.sample_stats import FIELDS, SampleSizes
from eocore.data.loading.sampler import GlobalBatchSampler
from eocore.data.loading.shard import Shard
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.evaluate.custom_dataset import CustomDataset
from eocore.models.feature_cache import content_keys
from eocore.portable.band_rendering import present
from eocore.sensors.scene import Scene
from eocore.synthetic.world import write_world

EVERYTHING: list[dict[str, Any]] = [
    {"type": "RandomOrientation"},
    {"type": "RandomScale"},
    {"type": "RandomCrop", "whole_image_stays_true": True},
    {"type": "RandomBrightness"},
    {"type": "RandomSpeckle"},
    {"type": "RandomClouds", "probability": 0.7},
    {"type": "BandDropout"},
    {"type": "SensorDropout", "probability": {"sar": 0.3, "multispectral": 0.3}, "one_grid": True},
]
VIEW = {"views": [["B04", "B03", "B02"]], "stretch": {"method": "range", "low": 0.0, "high": 0.5}}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> LlavaDataset:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, {"train": 3}, size=48)
    images = {role: {"root": str(folder / "train" / role), "sensor": SENSORS[role]} for role in ("multispectral", "sar")}
    return LlavaDataset(annotations=str(folder / "train/vqa.json"), images=images)


def digest(record: Record, scenes: Sequence[Scene], *, rng: np.random.Generator) -> str:
    """Of all that a model would see of a sample."""
    found = hashlib.sha256(json.dumps([turn.text for turn in record.turns]).encode())
    for scene in scenes:
        found.update(f"{scene.role} {scene.size} {scene.gsd_m}".encode() + scene.pixels.tobytes())
    return f"{found.hexdigest()} {rng.integers(2**31)}"


class HeightMeasurer:
    """Tiles: rows of the first image; mask images: its columns; tokens: images."""

    max_length = 100
    reads_headers = True
    settings: Mapping[str, Any] = {}
    code: Sequence[Path] = ()

    def __call__(self, record: Record, headers: Sequence[SceneHeader]) -> dict[str, int]:
        sizes = {"tokens": len(headers), "tiles": headers[0].height, "mask_images": headers[0].width}
        return {**dict.fromkeys(FIELDS, 0), **sizes}


def samples(source: LlavaDataset, *, ranks: int, workers: int, start: int = 0, steps: int = 2) -> list[list[str]]:
    """Digests of the samples of each step, over all ranks."""
    prepared = PreparedDataset(AugmentedSource(source, EVERYTHING), digest, seed=4)
    found: list[list[str]] = [[] for _ in range(steps - start)]
    for rank in range(ranks):
        shard = Shard(rank=rank, world_size=ranks, seed=4, start_step=start)
        sampler = GlobalBatchSampler(num_samples=len(prepared), batch_size=6 // ranks, shard=shard, num_steps=steps)
        for step, batch in enumerate(DataLoader(prepared, batch_sampler=sampler, num_workers=workers, collate_fn=list)):
            found[step] += batch
    return found


def test_ranks_loader_processes_and_resumption_change_no_sample(source: LlavaDataset) -> None:
    alone = samples(source, ranks=1, workers=0)
    assert len({digest for step in alone for digest in step}) == 12
    assert samples(source, ranks=2, workers=0) == alone
    assert samples(source, ranks=1, workers=2) == alone
    assert samples(source, ranks=2, workers=0, start=1) == alone[1:]


def test_another_epoch_or_seed_is_another_draw(source: LlavaDataset) -> None:
    augmented = AugmentedSource(source, EVERYTHING)

    def drawn(epoch: int, seed: int) -> list[object]:
        return [augmented.load(SampleKey(epoch, index), seed=seed)[0].augmentation.changes for index in range(4)]

    assert drawn(0, 1) == drawn(0, 1) and drawn(0, 1) != drawn(1, 1) and drawn(0, 1) != drawn(0, 2)


def test_sizes_found_from_headers_are_those_of_the_samples(source: LlavaDataset) -> None:
    augmented = AugmentedSource(source, EVERYTHING)
    table = SampleSizes(augmented, HeightMeasurer(), seed=9)(1)
    loaded = [augmented.load(SampleKey(1, index), seed=9)[1] for index in range(len(augmented))]
    np.testing.assert_array_equal(table[:, :3], [(len(scenes), *scenes[0].size) for scenes in loaded])
    assert len(set(table[:, 1].tolist())) > 5


def test_drawing_and_reading_give_one_record(source: LlavaDataset) -> None:
    augmented = AugmentedSource(source, EVERYTHING)
    for index in range(len(augmented)):
        drawn, _ = augmented.draw(SampleKey(0, index), random_stream(0, "sample", 0, index))
        read, scenes, _ = augmented.load(SampleKey(0, index))
        assert drawn == read and [scene.role for scene in scenes] == [ref.role for ref in read.images]


def test_a_vision_cache_never_takes_an_augmented_tile_for_another(source: LlavaDataset) -> None:
    augmented = AugmentedSource(source, [{"type": "RandomOrientation", "probability": 1.0}])

    def keys(data: LlavaDataset | AugmentedSource, epoch: int) -> list[str]:
        scene = next(scene for scene in data.load(SampleKey(epoch, 0))[1] if scene.role == "multispectral")
        return content_keys(torch.from_numpy(present(scene, VIEW, num_channels=3)))

    assert keys(source, 0) == keys(source, 1) and keys(augmented, 0) == keys(augmented, 0)
    assert len({tuple(keys(augmented, epoch)) for epoch in range(12)} | {tuple(keys(source, 0))}) >= 6


def test_images_are_found_below_the_root_of_their_data_set(tmp_path: Path) -> None:
    Image.new("RGB", (16, 24)).save(tmp_path / "a.png")
    entry = {"sample_id": "0", "image": "a.png", "label": "x", "candidates": ["x", "y"]}
    (tmp_path / "labels.jsonl").write_text(json.dumps(entry) + "\n")
    data = CustomDataset(annotations=str(tmp_path / "labels.jsonl"), task="classification")
    augmented = AugmentedSource(data, [{"type": "RandomCrop", "side": [0.5, 0.5], "whole_image_stays_true": True}])
    assert augmented.load(SampleKey(0, 0))[1][0].size == (12, 8)
    np.testing.assert_array_equal(SampleSizes(augmented, HeightMeasurer(), seed=0)(0)[0, 1:3], [12, 8])


def test_records_that_stay_as_they_are_are_counted_and_shown(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    names = ["Is this North Korea?", "Where is the lake?", "Is this West Street?", "How many pixels are water?"]
    turns = [[{"from": "human", "value": f"<image>\n{name}"}, {"from": "gpt", "value": "yes"}] for name in names]
    entries = [{"id": str(number), "image": "a.png", "conversations": turn} for number, turn in enumerate(turns)]
    (tmp_path / "a.json").write_text(json.dumps(entries))
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    data = LlavaDataset(annotations=str(tmp_path / "a.json"), images=images)
    turned, scaled = describe_unsafe_words(
        AugmentedSource(data, [{"type": "RandomOrientation"}, {"type": "RandomScale"}, {"type": "RandomBrightness"}])
    )
    assert turned.startswith("RandomOrientation: 2 of 4 records looked at in 'a' keep what it would change") and "North Korea" in turned
    assert scaled.startswith("RandomScale: 1 of 4 records")
    some = describe_unsafe_words(AugmentedSource(data, [{"type": "RandomOrientation"}]), most=2)
    assert some[0].startswith("RandomOrientation: 1 of 2 records looked at")


def test_records_of_one_image_augmented_apart_are_not_joined(source: LlavaDataset) -> None:
    config = {
        "type": "LlavaDataset",
        "annotations": source.annotations,
        "images": source.images,
        "transforms": [{"type": "RandomOrientation"}],
    }
    conversations = ImageConversations(datasets=[config])
    with pytest.raises(ConfigError, match=r"augmented each in its own way.*`transforms` of ImageConversations"):
        for index in range(3):
            conversations.load(SampleKey(0, index))
