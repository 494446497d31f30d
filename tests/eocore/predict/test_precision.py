import logging

import pytest
import torch
from image_chat import make_model
from torch import nn

from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.models.int8_layers import Int8Linear
from eocore.predict.precision import has_bfloat16, load_dtype, settle
from eocore.system import PredictorOptions


@pytest.mark.parametrize(
    ("options", "device", "expected"),
    [
        ({}, "cpu", "auto"),
        ({"float32_on_cpu": True}, "cpu", torch.float32),
        ({"float32_on_cpu": True}, "cuda", "auto"),
        ({"dtype": "float32"}, "cuda", torch.float32),
        ({"dtype": "bfloat16", "float32_on_cpu": True}, "cpu", torch.bfloat16),
        ({"dtype": "int8"}, "cpu", torch.float32),
    ],
)
def test_weights_are_loaded_as_asked(options: dict[str, str], device: str, expected: object) -> None:
    assert load_dtype(PredictorOptions(**options), device) == expected  # type: ignore[arg-type]


def test_a_cpu_without_bfloat16_is_told_of(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    get_logger().addHandler(caplog.handler)
    for known in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=known: {"avx512_bf16": known, "avx2": True}, raising=False)
        assert has_bfloat16() == known
        with caplog.at_level(logging.WARNING):
            load_dtype(PredictorOptions(dtype="bfloat16"), "cpu")
    get_logger().removeHandler(caplog.handler)
    assert sum("no instructions for bfloat16" in record.getMessage() for record in caplog.records) == 1


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="dtype 'float16': expected one of float32, bfloat16, int8"):
        load_dtype(PredictorOptions(dtype="float16"), "cpu")
    with pytest.raises(ConfigError, match="dtype int8 is for CPUs, and the model answers on cuda:1"):
        load_dtype(PredictorOptions(dtype="int8"), "cuda:1")
    with pytest.raises(ConfigError, match="Linear has none"):
        settle(nn.Linear(2, 2), PredictorOptions(dtype="int8"))


def test_int8_is_of_the_language_model_alone() -> None:
    model = make_model(300)
    assert settle(model, PredictorOptions()) is model and not any(isinstance(layer, Int8Linear) for layer in model.modules())
    ids = torch.arange(20)[None]
    with torch.no_grad():
        before = model.language_model(ids).logits
        settle(model, PredictorOptions(dtype="int8"))
        deviation = (model.language_model(ids).logits - before).std() / before.std()
    assert isinstance(model.language_model.model.layers[0].mlp.up_proj, Int8Linear) and type(model.see) is nn.Linear
    assert 0 < deviation < 0.3
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert model.generate(**inputs, max_new_tokens=3, do_sample=False).shape[1] == 23
