"""From chips and a table to a config and split annotation files, whole: every format, what is skipped, and what is refused."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from own_chips import make_chips, write_table
from PIL import Image

from eocore.checks.datasets import FoundDataset, find_datasets, open_dataset
from eocore.config import load_config, read_options
from eocore.data import registered as _registered  # noqa: F401  (registers what configs name)
from eocore.errors import ConfigError, DataError, OutputError
from eocore.onboarding.choices import DatasetChoices
from eocore.onboarding.dataset import NewDataset, make_dataset
from eocore.train.validation.options import ValidationOptions


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chips")
    make_chips(folder)
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., NewDataset]:
    def made(source: Path, *, overwrite: bool = False, base: str = "own_tiny", root: Path | None = None, **choices: Any) -> NewDataset:
        out = tmp_path / "own" / "mine.yaml"
        return make_dataset(source, out, choices=DatasetChoices(**choices), base=base, overwrite=overwrite, root=root)

    return made


def entries(made: NewDataset, name: str) -> dict[str, list[dict[str, Any]]]:
    """Split -> entries of its annotation file."""
    found = {}
    for split in ("train", "val", "test"):
        text = (made.folder / split / name).read_text()
        found[split] = [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)
    return found


def places_of(made: NewDataset) -> dict[str, set[str]]:
    """Place -> splits that its images stand in."""
    found: dict[str, set[str]] = {}
    with (made.folder / "splits.csv").open() as file:
        for row in csv.DictReader(file):
            found.setdefault(row["place"], set()).add(row["split"])
    return found


def test_a_chat_is_written_as_conversations_and_no_place_stands_in_two_splits(chips: Path, make: Callable[..., NewDataset]) -> None:
    made = make(chips / "chat.csv")
    found = entries(made, "chat.json")
    assert sum(map(len, found.values())) == 12 and all(found.values())
    first = found["train"][0]
    assert first["image"] == "rgb/field_00.tif" or first["image"].startswith("rgb/")
    assert first["conversations"][0] == {"from": "human", "value": "<image>\nOn which side is the pond?"}
    assert len(places_of(made)) == 6, "the chips of a pair overlap"
    assert all(len(splits) == 1 for splits in places_of(made).values())
    config = load_config(made.config)
    assert config.task.type and config.task.data.images.rgb == {"root": str(chips), "pattern": "{name}", "sensor": "rgb_uint8"}
    assert config.task.tokenizer.corpus == [config.task.data.annotations]
    assert config.evaluation.settings == {"optical": ["rgb"]} and config.evaluation.datasets[0].task == "vqa"
    watched = read_options(ValidationOptions, config.training.validation, name="training.validation")
    assert watched.every == config.training.max_iters // 4 and watched.best == "loss" and watched.metrics == ["vqa"]
    assert Path(watched.datasets[0]["annotations"]).parent.name == "val"


def test_phrases_with_mask_files_become_run_lengths(chips: Path, make: Callable[..., NewDataset]) -> None:
    made = make(chips / "referring.csv")
    found = entries(made, "referring.jsonl")
    assert {entry["expression"] for part in found.values() for entry in part} == {"the pond"}
    assert found["test"][0]["mask"]["size"] == [16, 16] and found["test"][0]["height"] == 16
    config = load_config(made.config)
    assert config.task.data.group == "image" and config.evaluation.datasets[0].group == "expression"


def test_pairs_by_columns_are_two_roles_found_by_one_pattern(chips: Path, make: Callable[..., NewDataset]) -> None:
    made = make(chips / "pairs.csv")
    images = load_config(made.config).task.data.images
    assert {role: source["sensor"] for role, source in images.items()} == {"multispectral": "sentinel2_l2a", "sar": "sentinel1_grd"}
    assert images["sar"] == {"root": str(chips / "s1"), "pattern": "{stem}.tif", "sensor": "sentinel1_grd"}
    assert any("taken for VV, VH" in line for line in made.findings.unsure)


def test_a_pair_joins_all_images_of_a_place(chips: Path, make: Callable[..., NewDataset]) -> None:
    made = make(chips / "captions.csv", pair=True, leave_out=("s1", "masks"))
    assert set(load_config(made.config).task.data.images) == {"rgb", "multispectral"}
    assert "pairs: 12 of 12 images of rgb have a partner in s2 (12 by location)" in made.findings.guessed
    with pytest.raises(ConfigError, match=r"masks: grey pictures of 8 bits.*--role masks=sar"):
        make(chips / "captions.csv", pair=True, overwrite=True)


def test_names_that_do_not_follow_from_one_another_are_indexed(chips: Path, tmp_path: Path, make: Callable[..., NewDataset]) -> None:
    rows = [(f"s2/field_{number:02d}.tif", f"s1/field_{11 - number:02d}.tif", "a pond") for number in range(12)]
    write_table(chips / "crossed.csv", ("optical", "sar", "caption"), rows)
    made = make(chips / "crossed.csv", group_by="name")
    (chips / "crossed.csv").unlink()
    config = load_config(made.config)
    index = json.loads(Path(config.task.data.images.sar.index).read_text())
    assert index["s2/field_00.tif"] == "s1/field_11.tif" and len(index) == 12
    facts, dataset = open_dataset(FoundDataset(config.task.data.to_dict()))
    assert not facts.problems and dataset is not None
    record = dataset.records[0]
    assert Path(record.images_of("sar")[0].paths[0]).name != Path(record.images_of("multispectral")[0].paths[0]).name


def test_rows_that_cannot_be_used_are_skipped_and_counted_with_their_lines(chips: Path, make: Callable[..., NewDataset]) -> None:
    lines = (chips / "chat.csv").read_text().splitlines()
    broken = ["rgb/gone.tif,Where?,left", "rgb/field_00.tif,,left", "rgb/field_00.tif,Where?"]
    (chips / "broken.csv").write_text("\n".join([*lines, *broken]) + "\n")
    made = make(chips / "broken.csv")
    (chips / "broken.csv").unlink()
    skipped = {item.source.rpartition("/")[2]: item.reason for item in made.findings.skipped}
    assert set(skipped) == {"broken.csv:14", "broken.csv:15", "broken.csv:16"}
    assert "no image 'rgb/gone.tif'" in skipped["broken.csv:14"] and "no field 'question'" in skipped["broken.csv:15"]
    assert json.loads((made.folder / "guesses.json").read_text())["skipped"][0]["source"].endswith("broken.csv:16")


def test_a_table_of_which_most_is_broken_is_refused_and_nothing_is_written(
    chips: Path, tmp_path: Path, make: Callable[..., NewDataset]
) -> None:
    write_table(tmp_path / "bad.csv", ("image", "caption"), [("rgb/field_00.tif", "a pond"), ("rgb/x.tif", "a"), ("rgb/y.tif", "b")])
    with pytest.raises(DataError, match=r"2 rows or files cannot be used, 1 rows have images.*The first: .*bad.csv:3"):
        make(tmp_path / "bad.csv", root=chips)
    assert not (tmp_path / "own").exists()


def test_an_earlier_data_set_is_kept_or_replaced_whole(chips: Path, make: Callable[..., NewDataset]) -> None:
    made = make(chips / "captions.csv")
    with pytest.raises(OutputError, match=r"is there already. Replace it with --overwrite"):
        make(chips / "chat.csv")
    (made.folder / "tokenizer").mkdir()
    make(chips / "chat.csv", overwrite=True)
    assert not (made.folder / "tokenizer").exists() and not (made.folder / "train" / "captions.json").exists()
    (made.folder / "splits.csv").unlink()
    with pytest.raises(OutputError, match="It is not of this command"):
        make(chips / "chat.csv", overwrite=True)


def test_class_folders_ask_for_the_class(tmp_path: Path, make: Callable[..., NewDataset]) -> None:
    rng = np.random.default_rng(0)
    for label in ("forest", "lake"):
        for number in range(6):
            path = tmp_path / "classes" / label / f"{label}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(path)
    made = make(tmp_path / "classes")
    asked = entries(made, "labels.json")["train"][0]["conversations"]
    assert asked[0]["value"].endswith("Which class does this image show? Choose from: forest, lake.") and asked[1]["value"] in (
        "forest",
        "lake",
    )
    assert any(line.startswith("learns classification: 2 folders are taken for classes") for line in made.findings.guessed)


@pytest.mark.parametrize("base", ["own_4b", "earthmind_4b_sft"])
def test_other_bases_keep_their_tokenizer_and_lose_their_data(chips: Path, make: Callable[..., NewDataset], base: str) -> None:
    made = make(chips / "captions.csv", base=base)
    values = yaml.safe_load(made.config.read_text())
    assert values["_base_"] == [base] and "tokenizer" not in values["task"]
    found = find_datasets(load_config(made.config).to_dict())
    assert {Path(item.config["annotations"]).parent.name for item in found} == {"train", "val", "test"}


def test_a_base_that_is_no_model_and_a_config_that_is_code_are_refused(chips: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--base runtime: it describes no task"):
        make_dataset(chips / "chat.csv", tmp_path / "a.yaml", choices=DatasetChoices(), base="runtime")
    with pytest.raises(ConfigError, match=r"expected a name that ends in .yaml"):
        make_dataset(chips / "chat.csv", tmp_path / "a.py", choices=DatasetChoices(), base="own_tiny")
    with pytest.raises(DataError, match="no such folder or file"):
        make_dataset(chips / "none.csv", tmp_path / "a.yaml", choices=DatasetChoices(), base="own_tiny")


def test_without_val_nothing_is_validated_and_without_test_nothing_evaluated(chips: Path, make: Callable[..., NewDataset]) -> None:
    made = make(chips / "captions.csv", fractions=(1.0, 0.0, 0.0), base="earthmind_4b_sft")
    config = load_config(made.config)
    assert "validation" not in config.training and "evaluation" not in config
    assert "nothing is in test: the config describes no evaluation" in made.findings.unsure
    with pytest.raises(ConfigError, match="--base earthmind_tiny_tiles evaluates on data of its own, and test is empty"):
        make(chips / "captions.csv", fractions=(1.0, 0.0, 0.0), base="earthmind_tiny_tiles", overwrite=True)
    config = load_config(make(chips / "captions.csv", base="earthmind_tiny_validated", overwrite=True).config)
    assert len(config.training.validation.data) == 1 and "patience" not in config.training.validation
