"""Shipped configs by name: from the command line and as bases of one's own, in Python and as data."""

import re
from pathlib import Path
from typing import Any

import pytest

from eocore.config import load_config, locate_config
from eocore.errors import ConfigError
from eocore.shipped_configs import CONFIGS, find_shipped
from eocore.train.zero.settings import load_zero_config

SFT = CONFIGS / "earthmind" / "earthmind_4b_sft.py"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names are looked up from a folder that has nothing to do with the project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["earthmind_4b_sft", "earthmind_4b_sft.py", "earthmind/earthmind_4b_sft", "configs/earthmind/earthmind_4b_sft.py", str(SFT)]
)
def test_a_config_is_found_by_name_from_anywhere(name: str) -> None:
    assert locate_config(name) == SFT
    assert locate_config(Path(name)) == SFT


def test_every_config_has_a_name_of_its_own() -> None:
    paths = [path for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts]
    assert paths and [locate_config(path.stem) for path in paths] == paths


def test_a_file_of_that_name_goes_before_and_a_folder_does_not(elsewhere: Path) -> None:
    (elsewhere / "earthmind_4b_sft").mkdir()
    assert locate_config("earthmind_4b_sft") == SFT
    (elsewhere / "earthmind_4b_sft.py").write_text("seed = 1\n")
    assert locate_config("earthmind_4b_sft.py") == Path("earthmind_4b_sft.py")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("earthmind_4b_stf", r"does not exist\. Did you mean earthmind_4b_sft(_\w+)?, the shipped config .*earthmind_4b_sft"),
        ("synthetic", r"does not exist\..* or the name of a shipped config"),  # a part of configs, which cannot be run by itself
        ("../configs/earthmind/nothing_like_it.py", r"There is no folder \.\./configs/earthmind either"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        locate_config(name)


def test_an_ambiguous_name_names_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"name of 2 shipped configs.*_base_/datasets/earthmind_sft, _base_/schedules/earthmind_sft"):
        find_shipped("earthmind_sft", parts=True)
    assert find_shipped("schedules/earthmind_sft", parts=True) == CONFIGS / "_base_" / "schedules" / "earthmind_sft.py"


@pytest.mark.parametrize("base", ["earthmind_4b_sft", "earthmind_4b_sft.py", "earthmind/earthmind_4b_sft.py"])
@pytest.mark.parametrize(
    ("suffix", "text"),
    [("py", '_base_ = ["{}"]\ntraining = dict(max_iters=7)\n'), ("yaml", "_base_: {}\ntraining: {{max_iters: 7}}\n")],
)
def test_own_configs_inherit_by_name(elsewhere: Path, base: str, suffix: str, text: str) -> None:
    path = elsewhere / f"mine.{suffix}"
    path.write_text(text.format(base))
    found: Any = load_config(path, trust=suffix == "py").to_dict()
    expected: Any = load_config(SFT).to_dict()
    assert found.pop("training") == expected.pop("training") | {"max_iters": 7}
    assert found == expected


def test_names_work_through_own_bases_and_values_of_a_base_can_be_used(elsewhere: Path) -> None:
    (elsewhere / "common.py").write_text('_base_ = ["earthmind_tiny_synthetic"]\n')
    (elsewhere / "mine.py").write_text('_base_ = ["./common.py"]\nnote = {{_base_.seed}}\nfolder = "{{ fileDirname }}"\n')
    config = load_config(elsewhere / "mine.py", trust=True)
    assert (config.note, config.folder) == (config.seed, str(elsewhere))
    assert config.filename == str(elsewhere / "mine.py") or Path(config.filename) == elsewhere / "mine.py"


def test_a_file_beside_the_config_goes_before_a_shipped_one(elsewhere: Path) -> None:
    (elsewhere / "earthmind_4b_sft.py").write_text("seed = 5\n")
    (elsewhere / "mine.py").write_text('_base_ = ["earthmind_4b_sft.py"]\n')
    assert load_config(elsewhere / "mine.py", trust=True).to_dict() == {"seed": 5}


@pytest.mark.parametrize(("suffix", "text"), [("py", '_base_ = ["earthmind_4b_stf"]\n'), ("json", '{"_base_": "earthmind_4b_stf"}')])
def test_an_unknown_base_is_an_error_with_the_nearest(elsewhere: Path, suffix: str, text: str) -> None:
    (elsewhere / f"mine.{suffix}").write_text(text)
    with pytest.raises(ConfigError, match=r"No shipped config is called 'earthmind_4b_stf' either\. Did you mean earthmind_4b_sft"):
        load_config(elsewhere / f"mine.{suffix}", trust=True)


def test_inheriting_makes_a_python_file_no_safer(elsewhere: Path) -> None:
    (elsewhere / "mine.py").write_text('_base_ = ["earthmind_4b_sft"]\n')
    with pytest.raises(ConfigError, match=r"reading it runs it.*--trust-config.*inherit from shipped configs as well"):
        load_config(elsewhere / "mine.py")


def test_deepspeed_configurations_are_found_by_name_from_anywhere(elsewhere: Path) -> None:
    assert load_zero_config("deepspeed_zero2")["zero_optimization"]["stage"] == 2
    with pytest.raises(ConfigError, match=re.escape("no DeepSpeed configuration 'deepspeed_zero7'")):
        load_zero_config("deepspeed_zero7")
