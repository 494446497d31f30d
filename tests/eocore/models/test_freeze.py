"""Trainable patterns: what they reach, and that none reaches nothing."""

import pytest
from torch import nn

from eocore.errors import ConfigError
from eocore.models.freeze import apply_trainable, trainable_names


@pytest.fixture
def model() -> nn.Module:
    return nn.ModuleDict(
        {"vision": nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), "fusion": nn.Linear(2, 2), "fusion_head": nn.Linear(2, 1)}
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("fusion", ["fusion.weight", "fusion.bias"]),
        ("fusion.bias", ["fusion.bias"]),
        ("fusion*", ["fusion.weight", "fusion.bias", "fusion_head.weight", "fusion_head.bias"]),
        ("vision.1", ["vision.1.weight", "vision.1.bias"]),
        (r"re:vision\.\d+\.weight", ["vision.0.weight", "vision.1.weight"]),
    ],
)
def test_patterns_reach_names_modules_wildcards_and_expressions(model: nn.Module, pattern: str, expected: list[str]) -> None:
    apply_trainable(model, [pattern])
    assert trainable_names(model) == expected


def test_a_second_call_freezes_what_the_first_trained(model: nn.Module) -> None:
    apply_trainable(model, ["fusion"])
    apply_trainable(model, ["fusion_head", "vision.0.weight"])
    assert trainable_names(model) == ["vision.0.weight", "fusion_head.weight", "fusion_head.bias"]


def test_a_pattern_without_match_names_the_nearest(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"pattern 'fusoin' matches no parameter of ModuleDict.*Nearest names: fusion"):
        apply_trainable(model, ["vision", "fusoin"])
    assert all(parameter.requires_grad for parameter in model.parameters()), "a refused declaration must change nothing"


def test_a_pattern_like_nothing_names_the_top_level(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match="Top-level names: fusion, fusion_head, vision"):
        apply_trainable(model, ["zzzz"])


def test_a_broken_expression_is_refused(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"'re:\(' is not a regular expression"):
        apply_trainable(model, ["re:("])
