"""Optimiser groups and the course of the learning rate."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn
from transformers.optimization import Adafactor

from eocore.errors import ConfigError
from eocore.train.optimizers import check_stage
from eocore.train.schedule import OptimizerOptions, ScheduleOptions, build_optimizer, build_schedule


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Embedding(5, 3), nn.Linear(3, 1))


def test_vectors_have_no_weight_decay(model: nn.Module) -> None:
    decayed, plain = build_optimizer(model, OptimizerOptions(lr=1e-3, weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(model[0].weight), id(model[2].weight), id(model[3].weight)}
    assert {id(p) for p in plain["params"]} == {id(model[0].bias), id(model[1].weight), id(model[1].bias), id(model[3].bias)}


def test_frozen_parameters_stay_out(model: nn.Module) -> None:
    model.requires_grad_(False)
    model[3].weight.requires_grad_(True)
    groups = build_optimizer(model, OptimizerOptions(lr=1e-3)).param_groups
    assert [group["params"] for group in groups] == [[model[3].weight]]


def test_nothing_trainable_is_an_error(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match="Sequential has no trainable parameter"):
        build_optimizer(model.requires_grad_(False), OptimizerOptions(lr=1e-3))


def test_a_part_can_learn_at_a_rate_of_its_own(model: nn.Module) -> None:
    groups = build_optimizer(model, OptimizerOptions(lr=1e-3, lr_factors={"3": 0.5})).param_groups
    rates = {id(parameter): (group["lr"], group["weight_decay"]) for group in groups for parameter in group["params"]}
    assert rates[id(model[3].weight)] == (5e-4, 0.05) and rates[id(model[3].bias)] == (5e-4, 0.0)
    assert rates[id(model[0].weight)] == (1e-3, 0.05)
    assert len(rates) == len(list(model.parameters()))


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_the_rate_that_logs_show_is_the_plain_one(model: nn.Module, factor: float) -> None:
    assert build_optimizer(model, OptimizerOptions(lr=1e-3, lr_factors={"3": factor})).param_groups[0]["lr"] == 1e-3


def test_wrong_rate_factors_are_named(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match="lr_factors names 'head', which matches no trainable parameter"):
        build_optimizer(model, OptimizerOptions(lr=1e-3, lr_factors={"head": 0.5}))
    with pytest.raises(ConfigError, match=r"lr_factors\['3'\] is 0; expected a positive number"):
        OptimizerOptions(lr=1e-3, lr_factors={"3": 0})


def learning_rates(options: ScheduleOptions, steps: int, lr: float = 1.0) -> list[float]:
    wrapper = OptimWrapper(torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=lr))
    schedulers = [PARAM_SCHEDULERS.build(config | {"optimizer": wrapper}) for config in build_schedule(options, steps)]
    rates = []
    for _ in range(steps):
        rates.append(wrapper.optimizer.param_groups[0]["lr"])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


def test_linear_warm_up_then_cosine() -> None:
    rates = learning_rates(ScheduleOptions(warmup_ratio=0.2, warmup_start=0.01, final_ratio=0.1), 50)
    assert rates[0] == pytest.approx(0.01)
    assert rates[9] == pytest.approx(1.0) and rates[10] == pytest.approx(1.0)
    assert rates[3] - rates[2] == pytest.approx(rates[8] - rates[7]), "the climb is linear"
    for step in range(10, 50):
        assert rates[step] == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi * (step - 10) / 40))), step


@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_short_runs_have_a_rate_at_every_step(steps: int) -> None:
    rates = learning_rates(ScheduleOptions(warmup_ratio=0.05), steps)
    assert len(rates) == steps and all(0 < rate <= 1 for rate in rates)


def test_a_warm_up_over_the_whole_run_has_no_cosine() -> None:
    rates = learning_rates(ScheduleOptions(warmup_ratio=1.0, warmup_start=0.5), 5)
    assert rates == pytest.approx([0.5, 0.625, 0.75, 0.875, 1.0])


@pytest.mark.parametrize(("kind", "made"), [("SGD", torch.optim.SGD), ("AdamW", torch.optim.AdamW), ("Adafactor", Adafactor)])
def test_an_optimiser_is_chosen_by_name(model: nn.Module, kind: str, made: type) -> None:
    optimizer = build_optimizer(model, OptimizerOptions(type=kind, lr=1e-3))
    assert type(optimizer) is made and [group["lr"] for group in optimizer.param_groups] == [1e-3] * 2


def test_state_of_whole_weights_and_pieces_of_weights_do_not_go_together() -> None:
    for kind in ("AdamW", "SGD"):
        check_stage(kind, {"zero_optimization": {"stage": 3}})
    check_stage("Adafactor", {"zero_optimization": {"stage": 0}})
    with pytest.raises(ConfigError, match="'Adafactor' keeps state of whole weights, and ZeRO-2 cuts them into pieces"):
        check_stage("Adafactor", {"zero_optimization": {"stage": 2}})


def test_bitsandbytes_that_is_missing_is_named(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="AdamW8bit' needs bitsandbytes, which is not installed"):
        build_optimizer(model, OptimizerOptions(type="AdamW8bit", lr=1e-3))


def test_a_straight_line_down() -> None:
    rates = learning_rates(ScheduleOptions(type="linear", warmup_ratio=0.2), 10)
    assert rates[2:] == pytest.approx([1 - step / 8 for step in range(8)]), "the last step still learns"
    assert learning_rates(ScheduleOptions(type="linear", warmup_ratio=0.0, final_ratio=0.2), 4) == pytest.approx([1.0, 0.8, 0.6, 0.4])


def test_a_level_rate_and_one_that_falls_at_the_end() -> None:
    assert learning_rates(ScheduleOptions(type="constant", warmup_ratio=0.2, warmup_start=0.5), 10) == pytest.approx([0.5] + [1.0] * 9)
    rates = learning_rates(ScheduleOptions(type="wsd", warmup_ratio=0.2, warmup_start=0.5, decay_ratio=0.4), 10)
    assert rates == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (OptimizerOptions, {"type": "AdamW8"}, r"optimizer.type is 'AdamW8', which does not exist. Did you mean 'AdamW'"),
        (OptimizerOptions, {"type": "SGD", "betas": [0.8, 0.9]}, r"optimizer.betas is \[0.8, 0.9\], which SGD does not read; AdamW"),
        (OptimizerOptions, {"momentum": 0.5}, r"optimizer.momentum is 0.5, which AdamW does not read; SGD would"),
        (ScheduleOptions, {"type": "cosin"}, r"schedule.type is 'cosin', which does not exist. Did you mean 'cosine'"),
        (ScheduleOptions, {"type": "wsd", "warmup_ratio": 0.6, "decay_ratio": 0.5}, r"decay_ratio 0.5, together more than the run"),
        (OptimizerOptions, {"lr": 0.0}, r"optimizer.lr is 0.0; expected a positive number"),
        (ScheduleOptions, {"warmup_ratio": 5}, r"schedule.warmup_ratio is 5; expected a fraction"),
        (ScheduleOptions, {"final_ratio": -0.1}, r"schedule.final_ratio is -0.1; expected a fraction"),
        (ScheduleOptions, {"warmup_start": 0.0}, r"schedule.warmup_start is 0.0; expected a fraction above 0"),
    ],
)
def test_values_out_of_range_are_refused(section: type, values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        section(**{"lr": 1.0, **values} if section is OptimizerOptions else values)
