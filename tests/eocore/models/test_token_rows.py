"""Rows of the token tables: they alone change, untied or tied, and merging gives the plain model back."""

import copy
from typing import Any

import pytest
import torch
from tolerances import ACROSS_LAYOUTS
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from eocore.errors import ConfigError
from eocore.models.lora import add_lora, merge_lora
from eocore.models.token_rows import add_token_rows, merge_token_rows

VOCABULARY, IDS = 24, [21, 5, 23]
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
TEXT = torch.tensor([[1, 21, 7, 5, 9, 3]])

both_ties = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def make_model(tied: bool) -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=VOCABULARY, tie_word_embeddings=tied, **SIZES))
    model.requires_grad_(False)
    return model.eval()


def logits_of(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(TEXT, use_cache=False).logits


def step(model: nn.Module) -> None:
    """One update of everything that trains."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model(TEXT, labels=TEXT, use_cache=False).loss.backward()
    torch.optim.SGD(trained, lr=1.0).step()


@both_ties
def test_the_model_is_the_same_before_training(tied: bool) -> None:
    model = make_model(tied)
    before = logits_of(model)
    names = add_token_rows(model, IDS)
    assert names == (["model.embed_tokens.rows"] if tied else ["model.embed_tokens.rows", "lm_head.rows"])
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == names
    torch.testing.assert_close(logits_of(model), before, **ACROSS_LAYOUTS.close)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied


@both_ties
def test_a_step_changes_those_rows_and_no_others(tied: bool) -> None:
    plain, model = make_model(tied), make_model(tied)
    add_token_rows(model, IDS)
    step(model)
    trained = logits_of(model)
    assert merge_token_rows(model) == 2
    assert type(model.model.embed_tokens) is nn.Embedding and type(model.lm_head) is nn.Linear
    assert set(model.state_dict()) == set(plain.state_dict())
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    for name, value in model.state_dict().items():
        changed = (value != plain.state_dict()[name]).reshape(len(value), -1).any(1).nonzero().flatten().tolist()
        # of an untied embedding, only rows that the text holds have a gradient; token 23 is not in it
        expected = sorted(IDS if "lm_head" in name or tied else [21, 5]) if "embed" in name or "lm_head" in name else []
        assert changed == expected, name
    torch.testing.assert_close(logits_of(model), trained, **ACROSS_LAYOUTS.close)


@both_ties
def test_they_learn_what_they_would_learn_in_the_whole_table(tied: bool) -> None:
    whole, rows = make_model(tied), make_model(tied)
    for table in (whole.model.embed_tokens, whole.lm_head):
        table.weight.requires_grad_(True)
    add_token_rows(rows, IDS)
    step(whole)
    step(rows)
    for name, table in (("embed", rows.model.embed_tokens), ("head", rows.lm_head)):
        expected = (whole.model.embed_tokens if name == "embed" else whole.lm_head).weight[IDS]
        torch.testing.assert_close(table.rows, expected, **ACROSS_LAYOUTS.close)


def test_rows_get_a_gradient_where_the_text_has_none_of_the_tokens() -> None:
    model = make_model(tied=False)
    add_token_rows(model, IDS)
    model(torch.tensor([[1, 2]]), use_cache=False).logits.sum().backward()
    assert model.model.embed_tokens.rows.grad is not None, "a rank that left it out would end the process under ZeRO"
    assert not model.model.embed_tokens.rows.grad.any()


def test_beside_lora_and_through_saving() -> None:
    def build() -> Qwen2ForCausalLM:
        model = make_model(tied=False)
        torch.manual_seed(1)
        add_token_rows(model, IDS)
        add_lora(model, rank=2, alpha=4, dropout=0.0)
        return model

    model = build()
    assert not any("lm_head.lora" in name for name, _ in model.named_parameters())
    step(model)
    saved = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    assert {"model.embed_tokens.rows", "lm_head.rows"} < set(saved)
    again = build()
    again.load_state_dict(saved, strict=False)
    merge_lora(again)
    merge_token_rows(again)
    torch.testing.assert_close(logits_of(again), logits_of(model), **ACROSS_LAYOUTS.close)


def test_without_copying_the_table() -> None:
    """What autograd keeps of a head's forward is its input, not a second table."""
    model = make_model(tied=False)
    add_token_rows(model, IDS)
    kept: list[Tensor] = []
    states = torch.randn(3, SIZES["hidden_size"], requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        model.lm_head(states)
    own = {model.lm_head.weight.data_ptr(), model.lm_head.rows.data_ptr(), states.data_ptr()}
    assert all(tensor.data_ptr() in own or tensor.nbytes < model.lm_head.weight.nbytes / 4 for tensor in kept)


def _train_head(model: Any) -> None:
    model.lm_head.weight.requires_grad_(True)


def _scale_embedding(model: Any) -> None:
    class Scaled(nn.Embedding):
        pass

    model.set_input_embeddings(Scaled(VOCABULARY, SIZES["hidden_size"]).requires_grad_(False))


@pytest.mark.parametrize(
    ("change", "ids", "message"),
    [
        (None, [], r"token ids \[\] do not each name one of the 24 rows of the input embedding"),
        (None, [24], r"token ids \[24\] do not each"),
        (None, [3, 3], r"Give every token once"),
        (_train_head, [3], "the output head trains as a whole and rows of it are named too"),
        (_scale_embedding, [3], "the input embedding is a Scaled, of which single rows cannot be trained"),
    ],
)
def test_mistakes_are_named(change: Any, ids: list[int], message: str) -> None:
    model = make_model(tied=False)
    if change:
        change(model)
    with pytest.raises(ConfigError, match=message):
        add_token_rows(model, ids)


def test_a_second_time_is_refused() -> None:
    model = make_model(tied=True)
    add_token_rows(model, IDS)
    with pytest.raises(ConfigError, match="is a RowEmbedding"):
        add_token_rows(copy.deepcopy(model), [1])
