"""How options of the data combine; tests/earthmind/test_task.py loads through them."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eocore.data import registered  # noqa: F401
from eocore.data.augmentation.augmented_source import AugmentedSource
from eocore.data.dataset import SampleKey
from eocore.data.loading.held_out import HeldOut
from eocore.errors import ConfigError
from eocore.train.checkpoint.run_record import KINDS
from eocore.train.options import DataOptions
from eocore.train.training_data import TrainingData


@pytest.mark.parametrize(
    ("options", "row_length", "max_length"),
    [
        ({"max_length": 30}, None, 30),
        ({"max_length": 30, "row_length": 90}, 90, 30),
        ({"max_length": 90, "row_length": 30}, 30, 30),
        ({"max_length": 90, "packing": {"max_tokens": 40}}, 40, 40),
    ],
)
def test_a_row_has_room_for_the_longest_sample(options: dict[str, Any], row_length: int | None, max_length: int) -> None:
    data = TrainingData(DataOptions(**options))
    assert (data.row_length, data.max_length) == (row_length, max_length)
    assert not data.full_rows


def test_sections_are_checked_and_resolved() -> None:
    resolved = TrainingData(DataOptions(packing={"max_tokens": 40, "full_rows": True}, data_faults={"policy": "skip"})).resolved()
    assert resolved["data_faults"].values == {"policy": "skip"}
    assert resolved["packing"].values["max_tokens"] == 40 and "folder" not in resolved["packing"].values
    with pytest.raises(ConfigError, match=r"config section 'packing' has no option 'max_token'\. Did you mean 'max_tokens'"):
        TrainingData(DataOptions(packing={"max_token": 40}))


def test_without_packing_there_are_no_packs() -> None:
    with pytest.raises(ConfigError, match=r"no task\.packing\. Add \+task\.packing\.max_tokens"):
        TrainingData(DataOptions()).build_packs(None, None, rules=None)  # type: ignore[arg-type]


def test_augmentation_comes_after_any_data_set_and_is_compared_by_a_resumption(tmp_path: Path) -> None:
    Image.new("RGB", (16, 24)).save(tmp_path / "a.png")
    (tmp_path / "captions.csv").write_text("image,caption\na.png,a lake\n")
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    config = {"type": "ImageCaptionDataset", "annotations": str(tmp_path / "captions.csv"), "images": images}
    plain = TrainingData(DataOptions(data=config)).build_dataset()
    halved = [{"type": "RandomScale", "factors": [0.5, 0.5]}]
    augmented = TrainingData(DataOptions(data=config, augmentation=halved)).build_dataset()
    assert isinstance(augmented, AugmentedSource) and not isinstance(plain, AugmentedSource)
    assert [source.load(SampleKey(0, 0))[1][0].size for source in (plain, augmented)] == [(24, 16), (12, 8)]
    assert KINDS["task.augmentation"] == "data"


def test_held_out_samples_are_not_augmented(tmp_path: Path) -> None:
    Image.new("RGB", (16, 24)).save(tmp_path / "a.png")
    (tmp_path / "captions.csv").write_text("image,caption\na.png,a lake\n")
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    config = {"type": "ImageCaptionDataset", "annotations": str(tmp_path / "captions.csv"), "images": images}
    data = TrainingData(DataOptions(data=config, augmentation=[{"type": "RandomScale", "factors": [0.5, 0.5]}], num_workers=0))
    batches = data.build_held_out(
        HeldOut(data=config),
        prepare=lambda record, scenes, rng: scenes[0].size,
        collate=list,
        rules=lambda: pytest.fail("it does not pack"),
    )
    assert list(batches.loader) == [[(24, 16)]]
