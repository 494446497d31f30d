import inspect

import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import mean_of
from eocore.evaluate.scoring.scorers.base import Judged
from eocore.evaluate.tasks import TASKS
from eocore.registry import METRICS


def test_every_scorer_builds_by_name_and_knows_its_headline():
    for name in METRICS.module_dict:
        scorer = METRICS.build({"type": name})
        assert isinstance(scorer.headline, str) and callable(scorer.judge)


def test_every_task_but_chat_has_a_scorer():
    assert {name for name, task in TASKS.items() if not task.scorers} == {"chat"}
    assert {config["type"] for task in TASKS.values() for config in task.scorers.values()} <= set(METRICS.module_dict)


def test_options_are_typed_and_by_keyword():
    for name, scorer in METRICS.module_dict.items():
        parameters = [item for key, item in inspect.signature(scorer).parameters.items() if key != "self"]
        assert all(item.kind is item.KEYWORD_ONLY and item.annotation is not item.empty for item in parameters), name
    with pytest.raises(ConfigError, match=r"ShortAnswer has no argument 'macth'. Did you mean 'match'\?"):
        METRICS.build({"type": "ShortAnswer", "macth": "equal"})


def test_a_sample_asks_for_one_item_unless_said_otherwise():
    samples, nothing = [Prediction("a", "vqa", (), "sar", "", None, "x")] * 3, np.zeros(3, dtype=np.int64)
    judged = Judged(samples, {"m": mean_of([1, 0, 1])}, nothing, nothing, np.ones(3))
    assert judged.num_items.tolist() == [1, 1, 1]
    assert judged.num_extra.tolist() == [0, 0, 0]
