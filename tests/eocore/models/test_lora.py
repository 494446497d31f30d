"""LoRA: what it trains, that it starts as nothing, that merging keeps the answers and the names."""

import pytest
import torch
from torch import nn

from eocore.errors import ConfigError
from eocore.models.lora import add_lora, lora_names, merge_lora


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(4, 4)
        self.v_proj = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm(self.q_proj(x) * self.v_proj(x).sigmoid())


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(), Block()])
        self.lm_head = nn.Linear(4, 3)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(x)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model().eval()


def test_untrained_lora_changes_nothing(model: Model) -> None:
    x = torch.randn(5, 4)
    before = model(x)
    add_lora(model, rank=2, alpha=4, target_modules=["q_proj"])
    torch.testing.assert_close(model(x), before)


def test_only_the_named_layers_get_lora_and_freeze(model: Model) -> None:
    names = add_lora(model, rank=2, alpha=4, target_modules=["q_proj"])
    assert len(names) == 4 and all(".q_proj.lora_" in name for name in names)
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert not flags["layers.0.q_proj.base_layer.weight"]
    assert flags["layers.0.v_proj.weight"] and flags["lm_head.weight"] and all(flags[name] for name in names)


def test_frozen_parameters_stay_frozen(model: Model) -> None:
    model.requires_grad_(False)
    names = add_lora(model, rank=2, alpha=4)
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == names


def test_all_linear_leaves_out_the_output_embedding(model: Model) -> None:
    names = add_lora(model, rank=2, alpha=4)
    assert len(names) == 8 and not any("lm_head" in name for name in names)


def test_merging_keeps_answers_and_names(model: Model) -> None:
    before = list(model.state_dict())
    add_lora(model, rank=2, alpha=4, target_modules=["q_proj", "v_proj"])
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter)
    x = torch.randn(5, 4)
    trained = model(x)
    assert merge_lora(model) == 4
    assert list(model.state_dict()) == before and lora_names(model) == []
    torch.testing.assert_close(model(x), trained)


@pytest.mark.parametrize("variants", [["dora"], ["rslora"], ["rslora", "dora"]])
def test_variants_train_what_is_theirs_and_merge(model: Model, variants: list[str]) -> None:
    before, x = list(model.state_dict()), torch.randn(5, 4)
    untrained = model(x)
    names = add_lora(model, rank=4, alpha=4, target_modules=["q_proj", "v_proj"], variants=variants)
    assert len(names) == (12 if "dora" in variants else 8)
    torch.testing.assert_close(model(x), untrained)
    scale = model.layers[0].q_proj.scaling["default"]
    assert scale == (2.0 if "rslora" in variants else 1.0), "alpha over the root of the rank, or over the rank"
    for parameter in (parameter for name, parameter in model.named_parameters() if name in names):
        parameter.data.add_(torch.rand_like(parameter))
    trained = model(x)
    assert not torch.allclose(trained, untrained, atol=1e-2)
    assert merge_lora(model) == 4 and list(model.state_dict()) == before
    torch.testing.assert_close(model(x), trained)


def test_an_unknown_variant_names_the_nearest(model: Model) -> None:
    with pytest.raises(ConfigError, match=r"LoRA variant 'dorra' is unknown\. Did you mean 'dora'\? Choices: dora, rslora"):
        add_lora(model, variants=["dorra"])


def test_a_second_lora_is_refused(model: Model) -> None:
    add_lora(model, rank=2, alpha=4)
    with pytest.raises(ConfigError, match="has LoRA already"):
        add_lora(model, rank=2, alpha=4)


def test_an_unknown_target_names_the_nearest(model: Model) -> None:
    with pytest.raises(ConfigError, match=r"LoRA target 'qproj' matches no linear layer of Model.*Nearest: q_proj"):
        add_lora(model, target_modules=["qproj"])


def test_a_module_without_linear_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="LayerNorm has no linear layer"):
        add_lora(nn.LayerNorm(3))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [({"rank": 0}, "rank is 0"), ({"alpha": 0.0}, "alpha is 0"), ({"dropout": 1.0}, "dropout is 1")],
)
def test_numbers_out_of_range_are_refused(model: Model, numbers: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        add_lora(model, **numbers)


class TestWhatBackwardKeeps:
    """Storages that autograd holds between forward and backward, weights left out."""

    TOKENS, WIDTH, RANK = 10, 64, 4
    NAMES = ("q_proj", "k_proj", "v_proj")

    def kept_bytes(self, dropout: float) -> int:
        model = nn.ModuleDict({name: nn.Linear(self.WIDTH, self.WIDTH) for name in self.NAMES})
        add_lora(model, rank=self.RANK, alpha=8, dropout=dropout)
        model.train()
        states = torch.randn(self.TOKENS, self.WIDTH, requires_grad=True) * 1.0
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.untyped_storage().data_ptr() not in weights:
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            torch.stack([model[name](states) for name in self.NAMES]).sum().backward()
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    def test_without_dropout_one_input_is_kept_for_all_that_read_it(self) -> None:
        numbers = self.TOKENS * (self.WIDTH + len(self.NAMES) * self.RANK)
        assert self.kept_bytes(dropout=0.0) == 4 * numbers, "the common input, and what the first product of each makes of it"

    def test_dropout_keeps_a_byte_a_number_more_for_each(self) -> None:
        extra = self.kept_bytes(dropout=0.1) - self.kept_bytes(dropout=0.0)
        assert extra == self.TOKENS * self.WIDTH * len(self.NAMES)
