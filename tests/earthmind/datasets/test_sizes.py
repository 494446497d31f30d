"""Sizes found from text and headers are those of the prepared samples, and are found anew when anything they depend on changes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from earthmind.datasets.preparation import SamplePreparer
from earthmind.datasets.sizes import SampleMeasurer
from earthmind.task import EarthMindTask
from eocore.config import load_config
from eocore.data.dataset import SampleKey, SampleSource
from eocore.data.loading import sample_stats as sample_sizes
from eocore.data.loading.sample_stats import FIELDS, SampleSizes
from eocore.errors import LengthError
from eocore.registry import DATASETS
from eocore.synthetic.world import write_world
from eocore.system import systems_of_config
from eocore.train.options import DataOptions
from eocore.train.training_data import TrainingData


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 5}, size=48)
    return root


@pytest.fixture(scope="module")
def data(world: Path, repo_root: Path) -> dict[str, Any]:
    """The data of the tiny config: questions, choices, captions, regions and masks, of any sensor, worded anew every time."""
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(world)}):
        config = load_config(repo_root / "configs" / "earthmind" / "earthmind_tiny_synthetic.py")
    systems_of_config(config)
    return dict(config.task.data.to_dict())


@pytest.fixture(scope="module")
def dataset(data: dict[str, Any]) -> SampleSource:
    return DATASETS.build(data)


def real_sizes(task: EarthMindTask, dataset: SampleSource, epoch: int) -> np.ndarray:
    """Of the samples as they are prepared."""
    prepare, rows = SamplePreparer(task.processor, max_length=4096), []
    for index in range(len(dataset)):
        record, scenes, rng = dataset.load(SampleKey(epoch, index), seed=3)
        sample = prepare(record, scenes, rng=rng)
        scored = int((sample.labels[1:] != -100).sum())
        drawn_on = 0 if sample.grounding_images is None else len(sample.grounding_images)
        rows.append([len(sample.input_ids), len(sample.tiles), drawn_on, len(sample.masks), scored])
    return np.array(rows)


def make_sizes(task: EarthMindTask, dataset: SampleSource, data: dict[str, Any], **choices: Any) -> SampleSizes:
    measurer = SampleMeasurer(task.processor, max_length=choices.pop("max_length", 4096))
    seed, packing = choices.pop("seed", 3), {"max_tokens": 4096, "folder": choices.pop("folder", None)}
    options = DataOptions(**{"data": data, "packing": packing, "num_workers": 0, **choices})
    return TrainingData(options).find_sizes(dataset, measurer, seed=seed)


@pytest.mark.parametrize(
    "processor",
    [
        {},
        {"max_tiles": 6},
        {"max_tiles": 4, "use_thumbnail": False, "token_order": "modality"},
        {"max_tiles": 4, "template": "chatml"},
    ],
    ids=["one tile", "tiles", "no thumbnail, blocks", "another template"],
)
def test_they_are_those_of_the_prepared_samples(
    make_task: Callable[..., EarthMindTask], dataset: SampleSource, data: dict[str, Any], processor: dict[str, Any]
) -> None:
    task = make_task(processor=processor)
    if not processor.get("use_thumbnail", True):
        dataset = next(part.dataset for part in dataset.parts if part.name == "referring")  # type: ignore[attr-defined]
    sizes = make_sizes(task, dataset, data)
    for epoch in (0, 2):
        np.testing.assert_array_equal(sizes(epoch), real_sizes(task, dataset, epoch))
    assert (sizes(0) != sizes(2)).any(), "samples are worded anew in every epoch"
    assert sizes(0)[:, FIELDS.index("masks")].any()


@pytest.mark.parametrize(
    ("model", "processor"),
    [
        ({"grounding_fusion": "gated"}, {}),
        ({}, {"grounding_channels": ["multispectral:B04|rgb:red", "sar:VV", "sar:VH"]}),
        ({"fusion": "hca"}, {"max_tiles": 4}),
    ],
    ids=["an image a sensor", "one image of all sensors", "sensors fused to one tile's tokens"],
)
def test_what_depends_on_the_model_is_counted_by_the_rule_of_the_processor(
    make_task: Callable[..., EarthMindTask], dataset: SampleSource, data: dict[str, Any], model: dict[str, Any], processor: dict[str, Any]
) -> None:
    task = make_task(model=model, processor=processor)
    np.testing.assert_array_equal(make_sizes(task, dataset, data)(0), real_sizes(task, dataset, 0))


def test_display_images_of_several_pictures_have_as_many_views(make_task: Callable[..., EarthMindTask], tmp_path: Path) -> None:
    """The upstream composites: four RGB pictures of one place are one scene of four views."""
    task = make_task(processor={"max_tiles": 4})
    for number in range(1, 5):
        (tmp_path / "patch").mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 80, 3), dtype=np.uint8)).save(
            tmp_path / "patch" / f"rgb_{number}.png"
        )
    talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A"}]
    (tmp_path / "ms.json").write_text(json.dumps([{"id": "1", "image": "patch.png", "conversations": talk}]))
    data = {"type": "MultispectralFolderDataset", "annotations": str(tmp_path / "ms.json"), "root": str(tmp_path), "id_field": None}
    dataset: SampleSource = DATASETS.build(data)
    found = make_sizes(task, dataset, data)(0)
    np.testing.assert_array_equal(found, real_sizes(task, dataset, 0))
    assert found[0, FIELDS.index("tiles")] == 4 * 3


def test_no_pixel_is_read(make_task: Callable[..., EarthMindTask], dataset: SampleSource, data: dict[str, Any]) -> None:
    task = make_task()
    refused = AssertionError("pixels were read")
    with (
        mock.patch("eocore.data.io.image_files.Picture.read", side_effect=refused),
        mock.patch("eocore.data.io.image_files.GeoTiff.read", side_effect=refused),
    ):
        assert len(make_sizes(task, dataset, data)(0)) == len(dataset)


def test_processes_find_the_same(make_task: Callable[..., EarthMindTask], dataset: SampleSource, data: dict[str, Any]) -> None:
    task = make_task()
    with mock.patch.object(sample_sizes, "CHUNK", 3):
        np.testing.assert_array_equal(make_sizes(task, dataset, data)(1), make_sizes(task, dataset, data, num_workers=2)(1))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_draws_of_the_training_do_not_depend_on_when_they_are_found(
    make_task: Callable[..., EarthMindTask], dataset: SampleSource, data: dict[str, Any], num_workers: int
) -> None:
    sizes = make_sizes(make_task(), dataset, data, num_workers=num_workers)
    before = torch.get_rng_state()
    sizes(4)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_sample_that_is_too_long_is_named_or_left_out(
    make_task: Callable[..., EarthMindTask], dataset: SampleSource, data: dict[str, Any]
) -> None:
    task = make_task()
    with pytest.raises(LengthError, match=r"mixture, part '.*', .*sample '.*\d+ tokens \(\d tiles\), at most 60 are allowed"):
        make_sizes(task, dataset, data, max_length=60)(0)
    left = make_sizes(task, dataset, data, max_length=60, data_faults={"policy": "skip"})(0)
    assert (left == 0).all(axis=1).any()


class TestKeptTables:
    @pytest.fixture
    def measured(self) -> Any:
        """Counts the samples that are measured."""
        with (
            mock.patch.object(sample_sizes, "WORTH_KEEPING_S", 0.0),
            mock.patch.object(SampleMeasurer, "__call__", autospec=True, side_effect=SampleMeasurer.__call__) as called,
        ):
            yield called

    def test_a_table_is_found_once(
        self, make_task: Callable[..., EarthMindTask], dataset: SampleSource, data: dict[str, Any], tmp_path: Path, measured: Any
    ) -> None:
        task = make_task()
        first = make_sizes(task, dataset, data, folder=str(tmp_path))(0)
        assert measured.call_count == len(dataset)
        np.testing.assert_array_equal(make_sizes(task, DATASETS.build(data), data, folder=str(tmp_path))(0), first)
        assert measured.call_count == len(dataset)
        assert [path.suffix for path in tmp_path.iterdir()] == [".npy"], "nothing half written is left"

    @pytest.mark.parametrize("change", ["annotations", "image", "processor", "tokenizer", "seed", "length", "broken table"])
    def test_it_is_found_anew_after_a_change(
        self, make_task: Callable[..., EarthMindTask], data: dict[str, Any], world: Path, tmp_path: Path, measured: Any, change: str
    ) -> None:
        task, choices = make_task(), {"folder": str(tmp_path)}
        annotations, image = world / "train" / "vqa.json", sorted((world / "train" / "rgb").iterdir())[0]
        before = (annotations.read_text(), image.stat())
        make_sizes(task, DATASETS.build(data), data, **choices)(0)
        count = measured.call_count
        if change == "annotations":
            annotations.write_text(before[0].replace("?", "??", 1))
        elif change == "image":
            os.utime(image, ns=(before[1].st_atime_ns, before[1].st_mtime_ns + 1))
        elif change == "processor":
            task = make_task(processor={"max_tiles": 2})
        elif change == "tokenizer":
            task.processor.tokenizer.add_tokens(["water"])
        elif change == "broken table":
            for path in tmp_path.iterdir():
                path.write_bytes(path.read_bytes()[:-3])
        try:
            more = {"seed": {"seed": 4}, "length": {"max_length": 4095}}.get(change, {})
            make_sizes(task, DATASETS.build(data), data, **choices, **more)(0)
        finally:
            annotations.write_text(before[0])
            os.utime(image, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))
        assert measured.call_count == 2 * count

    def test_a_folder_that_cannot_be_written_is_no_error(
        self, make_task: Callable[..., EarthMindTask], dataset: SampleSource, data: dict[str, Any], tmp_path: Path, measured: Any
    ) -> None:
        (tmp_path / "file").write_text("")
        assert len(make_sizes(make_task(), dataset, data, folder=str(tmp_path / "file" / "below"))(0)) == len(dataset)


def test_settings_name_all_that_the_processor_was_given(make_task: Callable[..., EarthMindTask]) -> None:
    settings = SampleMeasurer(make_task(processor={"max_tiles": 7}).processor, max_length=100).settings
    assert settings["max_tiles"] == 7
    assert {"tile_size", "tile_tokens", "template", "presentation", "grounding", "token_order", "tokenizer"} <= set(settings)
