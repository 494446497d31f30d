"""The sections of a config, checked before anything is built."""

from types import ModuleType
from typing import Any

import pytest

from eocore.errors import ConfigError
from eocore.train.runner import build_hooks, check_config


def test_sections_become_options(tiny: ModuleType) -> None:
    training, optimizer, schedule = check_config(tiny.tiny_config(accumulation=3))
    assert (training.max_iters, training.accumulation, training.clip_norm) == (6, 3, 1.0)
    assert optimizer.lr == 0.05 and schedule.warmup_ratio == 0.34


def test_a_hook_can_be_left_out(tiny: ModuleType) -> None:
    config = tiny.tiny_config()
    config.hooks.checkpoint = None
    config.hooks.curves = {"type": "LossCurveHook"}
    assert [type(hook).__name__ for hook in build_hooks(config)] == ["MetricsHook", "LossCurveHook"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", None, "seed is None; expected a whole number"),
        ("seed", True, "seed is True"),
        ("training.max_iters", 0, "training.max_iters is 0; expected a whole number of at least 1"),
        ("training.accumulation", 1.5, "training.accumulation is 1.5"),
        ("training.max_iter", 5, "'training' has no option 'max_iter'. Did you mean 'max_iters'"),
        ("training.precision", "half", "training.precision is 'half'"),
        ("training.deepspeed", "zero2", "no DeepSpeed configuration 'zero2'"),
        ("optimizer.lr", -1.0, "optimizer.lr is -1.0"),
        ("hooks.metrics.type", "MetricHook", "Did you mean 'MetricsHook'"),
        ("tracking", [{"type": "TensorBoard"}], "back end 'TensorBoard', which does not exist. Choices: .*TensorboardVisBackend"),
        ("schedul", {}, "section 'schedul' is not read by anything. Did you mean 'schedule'"),
    ],
)
def test_mistakes_are_found_before_anything_is_built(tiny: ModuleType, key: str, value: Any, message: str) -> None:
    config = tiny.tiny_config()
    config.merge_from_dict({key: value})
    with pytest.raises(ConfigError, match=message):
        check_config(config)


@pytest.mark.parametrize("section", ["seed", "training", "optimizer"])
def test_a_missing_section_is_named(tiny: ModuleType, section: str) -> None:
    config = tiny.tiny_config()
    config.pop(section)
    with pytest.raises(ConfigError, match=f"has no '{section}', which is needed"):
        check_config(config)
