"""The recomputed [SEG] rows are those of the attention maps that the language model itself shows when it runs eagerly."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tolerances import ACROSS_LAYOUTS
from torch import Tensor

from earthmind.model.seg_attention import SegAttention
from eocore.models.recompute import recompute_activations
from eocore.portable.packed_attention import PACKED

LANGUAGES = ("qwen2", "qwen3", "llama")
LENGTHS = (((9, 14), (11, 5, 7)), ((23,), (23,)))
"""Samples of each packed row, the last one of a row being padding."""


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest, make_tiny: Callable[..., Any]) -> Any:
    return make_tiny(text=request.param).model.language_model


@pytest.fixture(params=LENGTHS, ids=["packed", "single"])
def rows(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Embeddings and positions of two rows, and three [SEG] of which one ends its sample and one begins it."""
    positions = torch.stack([torch.cat([torch.arange(length) for length in row]) for row in request.param])
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(*positions.shape, 32, generator=generator)
    index = torch.tensor([8, 12, positions.shape[1] + 11, positions.shape[1] + 14])
    starts = (positions == 0).flatten().nonzero().flatten()
    ends = torch.cat([starts[1:], torch.tensor([positions.numel()])])
    own = torch.searchsorted(starts, index, right=True) - 1
    spans = [(int(starts[number]), int(ends[number])) for number in own.unique()]
    counts = [int((own == number).sum()) for number in own.unique()]
    return {"embeddings": embeddings, "positions": positions, "index": index, "spans": spans, "counts": counts}


def eager_rows(language: Any, rows: dict[str, Any], embeddings: Tensor) -> Tensor:
    """(K, S) of the last layer's maps, mean over the heads."""
    language.set_attn_implementation("eager")
    outputs = language.get_decoder()(inputs_embeds=embeddings, position_ids=rows["positions"], use_cache=False, output_attentions=True)
    return outputs.attentions[-1].mean(1).flatten(0, 1)[rows["index"]]


def listened_rows(language: Any, rows: dict[str, Any], embeddings: Tensor, kernel: str) -> Tensor:
    language.set_attn_implementation(kernel)
    with SegAttention(language.get_decoder()) as attention:
        language.get_decoder()(inputs_embeds=embeddings, position_ids=rows["positions"], use_cache=False)
    return attention.rows(rows["index"], rows["spans"], counts=rows["counts"])


@pytest.mark.parametrize("kernel", ["sdpa", "eager", PACKED])
def test_rows_are_those_of_the_eager_maps(language: Any, rows: dict[str, Any], kernel: str) -> None:
    with torch.no_grad():
        expected = eager_rows(language, rows, rows["embeddings"])
        found = listened_rows(language, rows, rows["embeddings"], kernel)
    torch.testing.assert_close(found, expected, **ACROSS_LAYOUTS.close)
    torch.testing.assert_close(found.sum(1), torch.ones(len(found)), **ACROSS_LAYOUTS.close)
    assert (expected.max(1).values < 0.9).sum() >= 3, "attention is spread, so that there is something to compare"


def test_a_sample_sees_itself_and_only_what_came_before(language: Any, rows: dict[str, Any]) -> None:
    with torch.no_grad():
        found = listened_rows(language, rows, rows["embeddings"], "sdpa")
    length = rows["positions"].shape[1]
    for index, row in zip(rows["index"].tolist(), found, strict=True):
        place, own = index % length, int(rows["positions"].flatten()[index])
        assert (row[place - own : place + 1] > 0).all()
        assert not row[: place - own].any() and not row[place + 1 :].any()


def test_gradients_are_those_of_the_eager_maps(language: Any, rows: dict[str, Any]) -> None:
    weights = torch.randn(len(rows["index"]), rows["positions"].shape[1], generator=torch.Generator().manual_seed(1))
    parts = [parameter for name, parameter in language.named_parameters() if "q_proj" in name or "k_norm" in name or "k_proj" in name]
    found, expected = [], []
    for gradients, read in ((expected, eager_rows), (found, lambda *given: listened_rows(*given, "sdpa"))):
        embeddings = rows["embeddings"].clone().requires_grad_()
        gradients += torch.autograd.grad((read(language, rows, embeddings) * weights).sum(), [embeddings, *parts])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **ACROSS_LAYOUTS.of_size(theirs))
        assert theirs.any()


def test_it_listens_only_while_it_is_asked_to(language: Any, rows: dict[str, Any]) -> None:
    attention = SegAttention(language.get_decoder())
    hooks = language.get_decoder().layers[-1].self_attn._forward_pre_hooks
    with attention:
        assert len(hooks) == 1
    assert not hooks
    with pytest.raises(RuntimeError, match="stop"), attention:
        raise RuntimeError("stop")
    assert not hooks


def test_a_recomputed_forward_leaves_the_states_of_the_first(language: Any, rows: dict[str, Any]) -> None:
    """Gradient checkpointing runs the layer a second time in backward."""
    gradients = []
    for recompute in (False, True):
        language.train()
        if recompute:
            recompute_activations(language, "full")
        embeddings = rows["embeddings"].clone().requires_grad_()
        listened_rows(language, rows, embeddings, "sdpa").square().sum().backward()
        gradients.append(embeddings.grad)
        # transformers renamed the switch in 5.2x and warns at the old name
        getattr(language, "activation_checkpointing_disable", language.gradient_checkpointing_disable)()
        language.eval()
    torch.testing.assert_close(gradients[0], gradients[1])
