"""Reading configs, overriding them, and what each mistake says."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from mmengine.config import Config

from eocore import config as configs
from eocore.config import read_options, require
from eocore.errors import ConfigError

load_config = partial(configs.load_config, trust=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.py").write_text("seed = 0\ntraining = dict(max_iters=10, clip_norm=1.0)\nhooks = [dict(type='A', interval=1)]\n")
    (tmp_path / "mine.py").write_text("_base_ = './base.py'\ntraining = dict(max_iters=20)\n")
    return tmp_path


def test_bases_are_merged_and_options_override(folder: Path) -> None:
    config = load_config(folder / "mine.py", {"seed": 3, "training.clip_norm": 0.5, "hooks.0.interval": 7})
    assert (config.seed, config.training.max_iters, config.training.clip_norm, config.hooks[0].interval) == (3, 20, 0.5, 7)


def test_a_plus_adds_a_key(folder: Path) -> None:
    assert load_config(folder / "mine.py", {"+training.accumulation": 2}).training.accumulation == 2


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("training.max_iter", r"training has no 'max_iter'.*Did you mean 'training.max_iters'.*write \+training.max_iter="),
        ("trainin.max_iters", r"the config has no 'trainin'.*Did you mean 'training'"),
        ("hooks.3.interval", r"hooks has no '3'.*Keys there: 0\."),
        ("seed.value", r"seed has no 'value'.*Keys there: none"),
    ],
)
def test_an_override_of_what_does_not_exist_is_an_error(folder: Path, key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(folder / "mine.py", {key: 1})


def test_a_missing_file_names_the_nearest(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"mime.py does not exist. Did you mean .*mine.py\?"):
        load_config(folder / "mime.py")
    with pytest.raises(ConfigError, match=r"There is no folder .*nowhere either"):
        load_config(folder / "nowhere" / "mine.py")
    with pytest.raises(ConfigError, match=r"Did you mean .*configs/earthmind/earthmind_tiny_synthetic\.py\?"):
        load_config(folder / "nowhere" / "earthmind_tiny_synthetc.py")


def test_a_folder_in_place_of_a_config_shows_its_configs(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder; expected a file\. Configs in it: .*mine\.py"):
        load_config(folder)


def test_a_missing_base_is_named(folder: Path) -> None:
    (folder / "bad.py").write_text("_base_ = './gone.py'\n")
    with pytest.raises(ConfigError, match=r"bad.py: a file it builds on is missing: .*gone.py"):
        load_config(folder / "bad.py")


def test_a_syntax_error_is_given_with_its_line(folder: Path) -> None:
    (folder / "bad.py").write_text("seed = 0\ntraining = dict(max_iters=\n")
    with pytest.raises(ConfigError, match=r"bad.py:2: not valid Python"):
        load_config(folder / "bad.py")
    (folder / "child.py").write_text("_base_ = './bad.py'\n")
    with pytest.raises(ConfigError, match=r"a _base_ file of .*child.py:2: not valid Python"):
        load_config(folder / "child.py")


def test_an_error_inside_the_config_is_told(folder: Path) -> None:
    (folder / "bad.py").write_text("seed = 1 / 0\n")
    with pytest.raises(ConfigError, match=r"bad.py: reading it failed with ZeroDivisionError: division by zero"):
        load_config(folder / "bad.py")


@dataclass(frozen=True, kw_only=True)
class Options:
    size: int
    colour: str = "red"


def test_options_are_read_from_a_section() -> None:
    assert read_options(Options, {"size": 3}, name="shape") == Options(size=3)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"section 'shape' has no option 'color'. Did you mean 'colour'\? Options: size, colour"):
        read_options(Options, {"size": 3, "color": "blue"}, name="shape")


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ConfigError, match=r"section 'shape' needs size"):
        read_options(Options, {}, name="shape")


def test_a_missing_section_is_named() -> None:
    with pytest.raises(ConfigError, match=r"the config has no 'task', which is needed. Keys there: seed"):
        require(Config({"seed": 1}), "task")


@pytest.mark.parametrize("value", ["abc", None, [1e-4], True])
def test_a_number_that_is_none_is_named(value: object) -> None:
    from eocore.train.schedule import OptimizerOptions

    with pytest.raises(ConfigError, match=r"optimizer\.lr is .*; expected a number, such as 1e-4"):
        read_options(OptimizerOptions, {"lr": value}, name="optimizer")
    assert read_options(OptimizerOptions, {"lr": 1}, name="optimizer").lr == 1
