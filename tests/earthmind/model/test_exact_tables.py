"""In a model of half precision, what positions are encoded by is float32 still, however the model came by that precision."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.portable.exact_tables import EXACT_TABLES

NUM_TABLES = 4
"""Two matrices of SAM 2 (one of the image, one of prompts), two of rotary frequencies."""


def tables_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer for name, buffer in model.named_buffers() if name.rpartition(".")[2] in EXACT_TABLES}


def check(model: nn.Module, expected: dict[str, Tensor], dtype: torch.dtype) -> None:
    found = tables_of(model)
    assert len(expected) == NUM_TABLES and set(found) == set(expected)
    for name, table in found.items():
        assert table.dtype == torch.float32 and torch.equal(table, expected[name]), name
        assert not torch.equal(table, table.to(dtype).float()), f"{name}: rounding would not show"
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


CASTS: dict[str, tuple[Callable[[Any], Any], torch.dtype]] = {
    "to": (lambda model: model.to(torch.bfloat16), torch.bfloat16),
    "bfloat16": (lambda model: model.bfloat16(), torch.bfloat16),
    "half": (lambda model: model.half(), torch.float16),
    "as a part": (lambda model: nn.ModuleDict({"model": model}).to("cpu", torch.bfloat16)["model"], torch.bfloat16),
}


@pytest.mark.parametrize("cast", CASTS)
def test_casting_leaves_them(cast: str, make_tiny: Callable[..., Any]) -> None:
    model = make_tiny().model
    expected = {name: table.clone() for name, table in tables_of(model).items()}
    function, dtype = CASTS[cast]
    check(function(model), expected, dtype)


def test_they_move_with_the_model_and_widen_with_it(make_tiny: Callable[..., Any]) -> None:
    model = make_tiny().model.bfloat16()
    assert {table.dtype for table in tables_of(model.double()).values()} == {torch.float64}
    assert {table.device.type for table in tables_of(model.to("meta", torch.bfloat16)).values()} == {"meta"}


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("asked", [torch.bfloat16, "auto", torch.float16])
def test_loading_keeps_them(stored: torch.dtype, asked: Any, make_tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = make_tiny().model
    expected = {name: table.clone() for name, table in tables_of(model).items()}
    model.to(stored).save_pretrained(tmp_path)
    loaded = EarthMindForConditionalGeneration.from_pretrained(tmp_path, dtype=asked)
    if asked == "auto" and stored == torch.float32:
        assert loaded.dtype == torch.float32
        return
    check(loaded, expected, stored if asked == "auto" else asked)


def test_positions_of_places_and_of_text_are_rounded_once(make_tiny: Callable[..., Any]) -> None:
    """The decoder of masks and the layers of the text get float32's positions in their own precision, far from the start too."""
    exact, rounded = make_tiny().model, make_tiny().model.bfloat16()
    seen: list[Tensor] = []
    for model in (exact, rounded):
        head, width = model.seg_head, model.config.sam_config.prompt_encoder_config.hidden_size
        hook = head.sam.mask_decoder.register_forward_pre_hook(
            lambda _module, _inputs, kwargs: seen.append(kwargs["image_positional_embeddings"]), with_kwargs=True
        )
        prompts = torch.zeros(1, width, dtype=model.dtype)
        features, zero = head.encode(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)), torch.zeros(1, dtype=torch.long)
        head.decode_masks(prompts, features, sample=zero, slot=zero, num_slots=1)
        hook.remove()
    assert seen[1].dtype == torch.bfloat16 and torch.equal(seen[1], seen[0].bfloat16())
    places = torch.arange(900, 1000)[None]
    pairs = [
        model.language_model.get_decoder().rotary_emb(torch.zeros(1, dtype=model.dtype), position_ids=places) for model in (exact, rounded)
    ]
    for first, second in zip(*pairs, strict=True):
        assert second.dtype == torch.bfloat16 and torch.equal(second, first.bfloat16())


def test_a_model_that_was_in_half_precision_sees_the_same_pixels(make_tiny: Callable[..., Any]) -> None:
    model = make_tiny().model
    tiles = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    seen: list[torch.Tensor] = []
    model.vision_tower.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs["pixel_values"]), with_kwargs=True)
    with torch.no_grad():
        model.encode(tiles)
        model.bfloat16().float().encode(tiles)
    assert torch.equal(seen[0], seen[1])
