"""What of a config goes with compression, and how it comes into models that lack it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eocore.errors import ConfigError
from eocore.portable.token_compression import is_compression_weight

WINDOW = {"window": 16, "ratios": [2, 4]}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, r"losses.attention is 0.1.*Set losses=dict\(attention=0.0\)"),
        ({"losses": {"attention": 0.0}, "compile": "static"}, "windows of its own.*Set it to 'none'"),
        ({"losses": {"attention": 0.0}, "max_length": 10}, "window is 16 vision tokens, but a sample has at most 10"),
        ({"losses": {"attention": 0.0}, "ratios": [3]}, "ratio 3 does not divide the window of 16"),
    ],
)
def test_options_that_do_not_go_together_are_refused(make_task: Callable[..., Any], choices: dict[str, Any], message: str) -> None:
    ratios = {name: choices.pop(name) for name in ("ratios",) if name in choices}
    with pytest.raises(ConfigError, match=message):
        make_task(model={"compression": {**WINDOW, **ratios}}, **choices)


def test_a_model_without_compression_learns_it_and_what_is_new_must_train(
    make_task: Callable[..., Any], make_fields: Callable[..., Any], tmp_path: Path
) -> None:
    plain = make_task()
    plain.model.save_pretrained(tmp_path)
    plain.processor.save_pretrained(tmp_path)
    model = {"pretrained": str(tmp_path), "compression": WINDOW}
    choices = {"losses": {"attention": 0.0}, "lora": {"rank": 2, "alpha": 4}}
    with pytest.raises(ConfigError, match=r"compression tokens are new.*Add 'language_model\.\*\.compression\*' to task.trainable"):
        make_task(model=model, trainable=["projector"], **choices)
    task = make_task(model=model, trainable=["projector", "language_model.*.compression*"], **choices)
    fresh = [name for name, weight in task.model.named_parameters() if is_compression_weight(name)]
    assert len(fresh) == 1 + 2 * 6
    assert all(dict(task.model.named_parameters())[name].requires_grad for name in fresh)
    assert task.model.config.compression["region_token_id"] == task.processor.tokenizer.convert_tokens_to_ids("<vp>")
    assert not any("lora" in name for name in fresh)
