"""Options of what trains, applied to a tiny language model; each mechanism has its own tests in tests/eocore/models."""

import pytest
from transformers import Qwen2Config, Qwen2ForCausalLM

from eocore.errors import ConfigError
from eocore.models.freeze import trainable_names
from eocore.resolve import Resolved
from eocore.train.options import TrainabilityOptions
from eocore.train.trainability import LayerParts, choose_trainable, prepare_layers, resolved_lora


@pytest.fixture
def model() -> Qwen2ForCausalLM:
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=20, num_hidden_layers=1, tie_word_embeddings=False, **sizes))


def test_patterns_rows_and_lora_are_what_trains(model: Qwen2ForCausalLM) -> None:
    options = TrainabilityOptions(trainable=["model.norm"], lora={"rank": 2, "target_modules": ["q_proj"]})
    choose_trainable(model, options, adapted=model, token_ids=[3, 5])
    names = trainable_names(model)
    assert {name for name in names if ".lora_" not in name} == {"model.embed_tokens.rows", "model.norm.weight", "lm_head.rows"}
    assert len([name for name in names if ".lora_" in name]) == 2


def test_rows_of_a_table_that_trains_whole_are_refused(model: Qwen2ForCausalLM) -> None:
    with pytest.raises(ConfigError, match=r"trains as a whole and rows of it are named too"):
        choose_trainable(model, TrainabilityOptions(), adapted=model, token_ids=[3])


@pytest.mark.parametrize("trains", [True, False])
def test_an_encoder_recomputes_where_it_trains_and_the_language_model_always(model: Qwen2ForCausalLM, trains: bool) -> None:
    encoder = Qwen2ForCausalLM(model.config).requires_grad_(trains)
    model.requires_grad_(False)
    kind = prepare_layers(LayerParts(language_model=model, encoders=[encoder]), TrainabilityOptions(gradient_checkpointing=True))
    assert kind == "full"
    assert [part.model.layers[0].gradient_checkpointing for part in (model, encoder)] == [True, trains]


def test_an_unknown_choice_is_named(model: Qwen2ForCausalLM) -> None:
    parts = LayerParts(language_model=model, compiled=[model])
    with pytest.raises(ConfigError, match="gradient_checkpointing is 'some'; choices: none, selective, attention, full"):
        prepare_layers(parts, TrainabilityOptions(gradient_checkpointing="some"))
    with pytest.raises(ConfigError, match="compile is 'some'; choices: none, static, dynamic"):
        prepare_layers(parts, TrainabilityOptions(compile="some"))


def test_options_of_lora_are_resolved_with_their_defaults() -> None:
    assert resolved_lora(TrainabilityOptions()) == Resolved(None)
    found = resolved_lora(TrainabilityOptions(lora={"rank": 2}))
    assert found.values["rank"] == 2 and found.values["dropout"] == found.defaults["dropout"] == 0.05


def test_dora_beside_eight_bits_is_refused(model: Qwen2ForCausalLM) -> None:
    options = TrainabilityOptions(trainable=["model.norm"], lora={"rank": 2, "variants": ["dora"]}, quantization={"bits": 8})
    with pytest.raises(ConfigError, match=r"bits is 8 and task.lora.variants names dora.*Take bits=4"):
        choose_trainable(model, options, adapted=model)
