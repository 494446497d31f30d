"""DeepSpeed configurations by name and by path."""

from pathlib import Path

import pytest

from eocore.errors import ConfigError
from eocore.train.zero.settings import ZERO_FOLDER, load_zero_config


@pytest.mark.parametrize("path", sorted(ZERO_FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_configuration_states_its_stage(path: Path) -> None:
    assert str(load_zero_config(path.stem)["zero_optimization"]["stage"]) in path.stem


def test_an_unknown_configuration_names_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"no DeepSpeed configuration 'deepspeed_zero9'.*deepspeed_zero2, deepspeed_zero2_offload"):
        load_zero_config("deepspeed_zero9")


def test_a_broken_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"zero_optimization": {\n"stage": }}')
    with pytest.raises(ConfigError, match=r"mine.json:2: not JSON"):
        load_zero_config(str(path))
