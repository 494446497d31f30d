"""What every task inherits: the sum of its losses, what may be logged, its parameter table."""

from types import ModuleType

import pytest
import torch

from eocore.errors import EOError
from eocore.train.task import PartCount, Task


@pytest.fixture
def task(tiny: ModuleType) -> Task:
    return tiny.TinyTask(trainable=["encoder", "extra"])


def test_only_losses_are_summed(task: Task) -> None:
    total, log = task.parse_losses(
        {"loss_a": torch.tensor(1.5), "loss_b": torch.tensor([0.25]), "accuracy": torch.tensor(9.0), "num_masks": 4}
    )
    assert total.item() == 1.75
    assert {name: value.item() for name, value in log.items()} == {
        "loss": 1.75,
        "loss_a": 1.5,
        "loss_b": 0.25,
        "accuracy": 9.0,
        "num_masks": 4,
    }
    assert next(iter(log)) == "loss"


def test_gradient_reaches_every_loss(task: Task) -> None:
    a, b = torch.ones((), requires_grad=True), torch.ones((), requires_grad=True)
    total, log = task.parse_losses({"loss_a": 2 * a, "loss_b": 3 * b})
    total.backward()
    assert (a.grad.item(), b.grad.item()) == (2.0, 3.0)
    assert not any(value.requires_grad for value in log.values())


def test_half_precision_losses_are_summed_in_float32(task: Task) -> None:
    total, _ = task.parse_losses({"loss_a": torch.tensor(256.0, dtype=torch.bfloat16), "loss_b": torch.tensor(1.0, dtype=torch.bfloat16)})
    assert total.item() == 257.0


def test_no_loss_is_an_error(task: Task) -> None:
    with pytest.raises(EOError, match=r"TinyTask.forward gave \['accuracy'\]: expected at least one 'loss_\*'"):
        task.parse_losses({"accuracy": torch.tensor(1.0)})


def test_a_metric_named_like_a_loss_is_an_error(task: Task) -> None:
    with pytest.raises(EOError, match=r"no other name that contains 'loss', found mean_loss"):
        task.parse_losses({"loss_a": torch.tensor(1.0), "mean_loss": torch.tensor(1.0)})


@pytest.mark.parametrize(("value", "found"), [(torch.zeros(3), r"a tensor of shape \(3,\)"), ("much", "str")])
def test_a_value_that_is_no_scalar_is_an_error(task: Task, value: object, found: str) -> None:
    with pytest.raises(EOError, match=f"forward returned {found} as 'loss_a'; expected a scalar"):
        task.parse_losses({"loss_a": value})


def test_parameter_table_counts_the_parts_of_the_model(task: Task) -> None:
    assert task.parameter_table() == [
        PartCount(name="encoder", total=56, trainable=56),
        PartCount(name="norm", total=16, trainable=0),
        PartCount(name="head", total=9, trainable=0),
        PartCount(name="(own)", total=3, trainable=3),
    ]
