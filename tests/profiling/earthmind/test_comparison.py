"""Steps of two configs beside each other: the same sample, and the figures of both."""

from collections.abc import Callable
from typing import Any

import pytest

from profiling.earthmind.comparison import compare_tasks


def test_two_fusions_are_compared_on_one_sample_kind(make_fields: Callable[..., dict[str, Any]]) -> None:
    fields = make_fields(tie=False)
    fields["text_config"]["vocab_size"] = 400
    config = {
        "model": fields,
        "tokenizer": {"type": "PretrainedTokenizer", "path": "nowhere"},
        "processor": {"max_tiles": 12},
        "trainable": ["projector", "fusion"],
        "losses": {"num_points": 32},
    }
    other = {**config, "model": {**fields, "fusion": "hca"}, "trainable": ["projector"]}
    row = compare_tasks(config, other, name="pair", repeats=1, memory=False)
    assert row["kind"] == "pair"
    assert row["time, other / config"] == pytest.approx(float(row["other s"]) / float(row["config s"]))
    assert row.keys() == {"kind", "config s", "other s", "time, other / config"}
