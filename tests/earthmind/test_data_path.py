"""From files to batches: each image is opened and decoded once, nothing is kept of what passed, SAM 2's image is made for masks alone."""

import copy
import json
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from earthmind.datasets.preparation import SamplePreparer
from earthmind.task import EarthMindTask
from eocore.data.dataset import PreparedDataset, SampleKey, SampleSource
from eocore.data.io import readers
from eocore.errors import ConfigError
from eocore.registry import DATASETS
from eocore.synthetic.world import write_world

SIDE = 48
PHRASES = {"type": "ComposeReferring", "num_expressions": 3}
RING = [4, 4, 20, 4, 20, 20, 4, 20]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic scenes, and a folder in the layout of the upstream pairs."""
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 4}, size=SIDE)
    for folder, mode in (("rgb", "RGB"), ("sar", "L")):
        (root / "pairs" / folder / "img").mkdir(parents=True)
        for number in range(3):
            Image.effect_noise((SIDE, SIDE), 40 + number).convert(mode).save(root / "pairs" / folder / "img" / f"{number}.png")
    turns = [{"from": "human", "value": "<image>\nWet?"}, {"from": "gpt", "value": "Yes."}]
    entries = [{"image": f"{number}.png", "conversations": turns} for number in range(3)]
    (root / "pairs" / "final_all.json").write_text(json.dumps(entries))
    for entry in entries:
        folder = root / "pairs" / Path(entry["image"]).stem
        folder.mkdir()
        for number in range(1, 5):
            Image.effect_noise((SIDE, SIDE), 50).convert("RGB").save(folder / f"rgb_{number}.png")
    _write_published(root / "pairs")
    return root


def _write_published(root: Path) -> None:
    """REFER and COCO files about the pairs' images."""
    images = [{"id": number, "file_name": f"{number}.png", "height": SIDE, "width": SIDE, "caption": "a field"} for number in range(3)]
    marks = [{"id": 10 + number, "image_id": number, "segmentation": [RING]} for number in range(3)]
    (root / "instances.json").write_text(json.dumps({"images": images, "annotations": marks}))
    (root / "regions.json").write_text(json.dumps({"images": images, "annotations": marks}))
    refs = [
        {
            "ref_id": number,
            "ann_id": 10 + number,
            "image_id": number,
            "split": "train",
            "sentences": [{"sent_id": 0, "raw": "the field", "sent": "the field"}],
        }
        for number in range(3)
    ]
    (root / "refs(unc).p").write_bytes(pickle.dumps(refs))


def sources(world: Path) -> dict[str, dict[str, str]]:
    train = world / "train"
    return {
        "multispectral": {"root": str(train / "multispectral"), "sensor": "sentinel2_l2a"},
        "sar": {"root": str(train / "sar"), "sensor": "sentinel1_grd"},
    }


def configs(world: Path) -> dict[str, dict[str, Any]]:
    """A dataset of every kind that training reads."""
    train, pairs = world / "train", world / "pairs"
    both, rgb = sources(world), {"rgb": {"root": str(pairs / "rgb" / "img"), "pattern": "{name}", "sensor": "rgb_uint8"}}
    vqa = {"type": "LlavaDataset", "annotations": str(train / "vqa.json"), "images": both}
    referring = {"type": "ReferringJsonlDataset", "annotations": str(train / "referring.jsonl"), "images": both, "transforms": [PHRASES]}
    region = {"type": "OspreyRegionDataset", "annotations": str(train / "region.json"), "images": both}
    return {
        "llava": vqa,
        "mcq": {"type": "EarthMindBenchDataset", "annotations": str(train / "mcq.json"), "images": both},
        "osprey": {**region, "group": "image"},
        "referring": {**referring, "group": "image"},
        "refer": {"type": "ReferDataset", "annotations": str(pairs / "refs(unc).p"), "images": rgb, "transforms": [PHRASES]},
        "coco": {"type": "CocoRegionDataset", "annotations": str(pairs / "regions.json"), "images": rgb},
        "bands": {"type": "MultispectralFolderDataset", "annotations": str(pairs / "final_all.json"), "root": str(pairs), "id_field": None},
        "paired": {"type": "PairedDataset", "annotations": str(pairs / "final_all.json")},
        "conversations": {"type": "ImageConversations", "datasets": [vqa, region]},
        "mixture": {"type": "Mixture", "parts": [{"data": vqa}, {"data": {**referring, "group": "image"}}]},
    }


KINDS = ("llava", "mcq", "osprey", "referring", "refer", "coco", "bands", "paired", "conversations", "mixture")


class CountedFile:
    """An opened file whose readings are counted."""

    def __init__(self, file: Any, read: Counter[str]) -> None:
        self.__dict__.update(_file=file, _read=read)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, window: tuple[int, int, int, int]) -> Any:
        self._read[str(self._file.path)] += 1
        return self._file.read(window)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Counter[str], Counter[str]]]:
    """(times each file is opened, times it is decoded)."""
    opened: Counter[str] = Counter()
    decoded: Counter[str] = Counter()
    real = readers.open_layers

    def open_counted(path: Path, **choices: Any) -> Any:
        opened[str(path)] += 1
        return CountedFile(real(path, **choices), decoded)

    monkeypatch.setattr(readers, "open_layers", open_counted)
    yield opened, decoded


@pytest.fixture
def prepare(tiny: Any) -> SamplePreparer:
    return SamplePreparer(tiny.processor, max_length=4096)


def prepared(source: SampleSource, prepare: SamplePreparer) -> PreparedDataset:
    return PreparedDataset(source, prepare, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_is_opened_and_decoded_once(
    world: Path, prepare: SamplePreparer, counts: tuple[Counter[str], Counter[str]], kind: str
) -> None:
    source: SampleSource = DATASETS.build(configs(world)[kind])
    opened, decoded = counts
    assert not opened, "building a dataset opens no image"
    for index in range(len(source)):
        record, _, _ = source.load(SampleKey(0, index))
        expected = {os.path.realpath(path) for ref in record.images for path in ref.paths}
        assert expected
        opened.clear()
        decoded.clear()
        sample = prepared(source, prepare)[SampleKey(0, index)]
        assert opened == decoded == Counter(expected), f"{kind} {index}"
        assert len(sample.tiles) >= len(record.images)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_written_back_into_the_dataset(world: Path, prepare: SamplePreparer, kind: str) -> None:
    source: SampleSource = DATASETS.build(configs(world)[kind])
    before = [copy.deepcopy(leaf.records) for leaf in source.leaves()]
    size = sum(len(repr(records)) for records in before)
    for epoch in range(2):
        for index in range(len(source)):
            prepared(source, prepare)[SampleKey(epoch, index)]
    after = [leaf.records for leaf in source.leaves()]
    assert after == before and before
    assert sum(len(repr(records)) for records in after) == size


def test_sam_s_image_is_prepared_where_masks_are(world: Path, tiny: Any, prepare: SamplePreparer, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Counter[str]()
    real = type(tiny.processor).grounding_images

    def counted(self: Any, scenes: Mapping[str, Any]) -> Any:
        made["images"] += 1
        return real(self, scenes)

    monkeypatch.setattr(type(tiny.processor), "grounding_images", counted)
    for kind, wanted in (("llava", 0), ("mcq", 0), ("osprey", 0), ("paired", 0), ("refer", 3)):
        made.clear()
        source = prepared(DATASETS.build(configs(world)[kind]), prepare)
        for index in range(len(source)):
            source[SampleKey(0, index)]
        assert made["images"] == wanted, kind


def resident_bytes() -> int:
    """Memory of this process that only it has. Source: proc(5), /proc/[pid]/statm: resident less shared pages."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


class WithMemory:
    """A dataset that tells, beside each sample's length, what its process takes."""

    def __init__(self, dataset: PreparedDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, key: SampleKey) -> tuple[int, int]:
        sample = self.dataset[key]
        return len(sample.input_ids), resident_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell what a process takes")
def test_a_worker_s_memory_does_not_grow_with_the_samples_it_saw(world: Path, prepare: SamplePreparer) -> None:
    """Published: 3.3 to 43 KB a sample, since the prompt with its placeholders was written back."""
    source: SampleSource = DATASETS.build(configs(world)["mixture"])
    keys = [SampleKey(number // len(source), number % len(source)) for number in range(4000)]
    loader: DataLoader = DataLoader(
        WithMemory(prepared(source, prepare)),  # type: ignore[arg-type]
        sampler=keys,  # type: ignore[arg-type]
        batch_size=None,
        num_workers=1,
    )
    held = np.array([memory for _, memory in loader], dtype=np.float64)
    settled = held[1000:]  # libraries and pools fill up first
    slope = np.polyfit(np.arange(len(settled)), settled, 1)[0]
    print(f"{slope:.1f} bytes a sample; {held[0] / 2**20:.1f} MiB at first, {held[-1] / 2**20:.1f} at last")
    assert abs(slope) < 100
    assert held[-1] - held[1000] < 2**21


class TestPrefetch:
    def test_each_worker_prepares_as_many_batches_ahead_as_the_config_says(
        self, make_task: Callable[..., EarthMindTask], world: Path
    ) -> None:
        task = make_task(data=configs(world)["llava"], num_workers=1, prefetch=5)
        loader = task.build_loader(rank=0, world_size=1, seed=0, start_step=0)
        assert loader.prefetch_factor == 5
        assert torch.is_tensor(next(iter(loader)).input_ids)

    def test_without_workers_nothing_is_prepared_ahead(self, make_task: Callable[..., EarthMindTask], world: Path) -> None:
        task = make_task(data=configs(world)["llava"], num_workers=0, prefetch=5)
        loader = task.build_loader(rank=0, world_size=1, seed=0, start_step=0)
        assert torch.is_tensor(next(iter(loader)).input_ids)

    @pytest.mark.parametrize("count", [0, -1, 2.0, True])
    def test_a_count_that_is_none_is_refused(self, make_task: Callable[..., EarthMindTask], count: Any) -> None:
        with pytest.raises(ConfigError, match=r"task\.prefetch is .*; expected a whole number( of batches of at least 1)?\."):
            make_task(prefetch=count)
