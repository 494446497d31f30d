"""What a config may say of validation, and what it is told where it says something else."""

from typing import Any

import pytest

from eocore.errors import ConfigError
from eocore.train.runner import TrainingOptions
from eocore.train.validation.options import ValidationOptions, check_best

DATA = {"type": "CustomDataset"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 20}, r"every is 20, and the training has 10 updates .*switch validation off with training\.validation=None"),
        ({"every": 0}, r"validation\.every is 0; expected a whole number of at least 1"),
        ({"every": 2.5}, r"training\.validation\.every is 2\.5"),
        ({"samples": 0}, r"validation\.samples is 0"),
        ({"pictures": -1}, r"validation\.pictures is -1; expected a whole number of at least 0"),
        ({"data": []}, r"data is empty; expected the config of a data set, or a list of them"),
        ({"settings": {}}, r"settings is empty; expected names with roles"),
        ({"patience": 3}, r"patience and lower_is_better speak of the result that `best` names, and it names none"),
        ({"best": "loss", "patience": 0}, r"validation\.patience is 0"),
        ({"metric": ["mcq"]}, r"'training\.validation' has no option 'metric'\. Did you mean 'metrics'"),
        ({"turns": "all"}, r"training\.validation\.turns is 'all'"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingOptions(max_iters=10, validation={"every": 2, "data": DATA} | options)


def test_a_data_set_and_a_list_of_them_are_taken() -> None:
    assert ValidationOptions(every=1, data=DATA).datasets == ValidationOptions(every=1, data=[DATA]).datasets == [DATA]


@pytest.mark.parametrize(
    ("best", "choice", "lowest"),
    [
        ("loss", None, True),
        ("fused/loss_mask", None, True),
        ("fused/referring/miou", None, False),
        ("fused/vqa/mae", True, True),
        ("loss", False, False),
    ],
)
def test_losses_are_better_the_lower_they_are(best: str, choice: bool | None, lowest: bool) -> None:
    assert ValidationOptions(every=1, data=DATA, best=best, lower_is_better=choice).seeks_lowest is lowest


def test_best_must_name_a_result() -> None:
    names = ["loss", "fused/loss", "fused/referring/miou"]
    for known in (None, *names, "loss_text", "fused/loss_mask"):
        check_best(known, names)
    for unknown in ("sar/loss_mask", "referring/miou", "accuracy"):
        with pytest.raises(
            ConfigError, match=rf"best is '{unknown}', which no validation of this run has as a result.*Results: loss, fused"
        ):
            check_best(unknown, names)
