"""Models by upstream's names: from a folder with other choices, on a device, or told that they are not there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ms_clip_models import save_clip

from eocore.errors import ConfigError
from ms_clip.upstream.models import PRETRAINED, build_model, weights_of


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_name": "Llama3-MS-CLIP"}, "did you mean 'Llama3-MS-CLIP-Base'"),
        ({}, "pretrained/llama3-ms-clip is not there"),
        ({"model_name": "RN50", "pretrained": False}, "no size 'RN50'"),
    ],
)
def test_models_that_are_not_there_are_told(
    arguments: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"(?i){message}"):
        build_model(**arguments)


def test_a_folder_gives_its_model_and_what_makes_its_inputs(
    make_fields: Callable[..., dict[str, Any]], chips: Path, tmp_path: Path
) -> None:
    folder = save_clip(tmp_path / "model", make_fields())
    model, _, tokenizer = build_model(str(folder), device="cpu")
    assert not model.training and next(model.parameters()).device.type == "cpu"
    assert torch.equal(tokenizer("water"), tokenizer(["water"])) and tokenizer(["water", "snow"]).shape[0] == 2
    with pytest.raises(ValueError, match="at most 32"):
        tokenizer("many words " * 30)
    cutting = build_model(tmp_path, ckpt_path=folder, device="cpu", long_texts="cut")
    assert cutting.tokenizer("many words " * 30).shape == (1, 32)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), cutting.model.parameters(), strict=True))


def test_weights_are_where_the_name_or_the_path_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert weights_of("anything", tmp_path / "w.pt") == tmp_path / "w.pt"
    (tmp_path / PRETRAINED / "clip-vit-b-16").mkdir(parents=True)
    assert weights_of("ViT-B-16", None) == PRETRAINED / "clip-vit-b-16"
