"""A model is converted with the config it was trained with, or not at all."""

from pathlib import Path

import pytest
from mmengine.config import Config

from eocore.errors import ConfigError
from eocore.export.same_config import require_same_task

TASK = {
    "type": "T",
    "model": {"width": 4, "views": [["B04", "zero"]]},
    "processor": {"low": -30.0},
    "tokenizer": {"path": "a"},
    "batch_size": 4,
}


def text(**changes: object) -> str:
    return str(Config({"seed": 0, "task": {**TASK, **changes}}).pretty_text)


def test_same_config_passes() -> None:
    require_same_task(text(), text(), source="run")


def test_places_and_batches_may_differ() -> None:
    require_same_task(text(tokenizer={"path": "b"}, batch_size=1), text(), source="run")
    here, there = ({"width": 4, "tower": {"pretrained": place}} for place in ("/mnt/a", "b"))
    require_same_task(text(model=here), text(model=there), source="run")


@pytest.mark.parametrize(
    "change", [{"processor": {"low": -25.0}}, {"model": {"width": 4, "views": [["zero", "B04"]]}}, {"lora": {"rank": 2}}, {"processor": {}}]
)
def test_other_model_or_pictures_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"task.{next(iter(change))} of this config is not what run/iter_000100 was trained with"):
        require_same_task(text(**change), text(), source="run/iter_000100")


def test_record_that_is_no_config_differs(tmp_path: Path) -> None:
    for recorded in ("seed = 0", "not ( python", f"__import__('pathlib').Path('{tmp_path}/run').touch()"):
        with pytest.raises(ConfigError, match=r"task.model, task.processor of this config"):
            require_same_task(text(), recorded, source="run")
    assert not (tmp_path / "run").exists()
