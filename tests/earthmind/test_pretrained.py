"""A model from a folder: all of it, of the sizes that the config states, with the choices that are free."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from earthmind.building.models import build_model
from earthmind.pretrained import check_new_tokens, new_tokens
from eocore.errors import CheckpointError, ConfigError
from eocore.models.freeze import apply_trainable
from eocore.models.token_rows import add_token_rows


@pytest.fixture
def folder(make_tiny: Callable[..., Any], tmp_path: Path) -> Path:
    make_tiny().model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture(scope="module")
def words(make_tokenizer: Callable[..., Any]) -> Any:
    return make_tokenizer()


class TestSizes:
    def test_those_of_the_folder_may_be_stated(self, folder: Path, words: Any, make_fields: Callable[..., dict[str, Any]]) -> None:
        fields = make_fields()
        fields["text_config"]["vocab_size"] = 7  # the tokenizer decides
        assert build_model({**fields, "pretrained": str(folder)}, words).config.text_config.hidden_size == 32

    def test_others_are_refused_by_name(self, folder: Path, words: Any, make_fields: Callable[..., dict[str, Any]]) -> None:
        fields = make_fields()
        fields["text_config"]["hidden_size"] = 64
        fields["vision_config"]["image_size"] = 448
        with pytest.raises(
            ConfigError,
            match=r"model.vision_config.image_size is 448 in the config, .*32.* in the folder; "
            r"model.text_config.hidden_size is 64 in the config, 32 in the folder. Name the folder of that size",
        ):
            build_model({**fields, "pretrained": str(folder)}, words)

    def test_there_may_be_more_positions_not_fewer(self, folder: Path, words: Any, make_fields: Callable[..., dict[str, Any]]) -> None:
        fields = make_fields()
        had = build_model({**fields, "pretrained": str(folder)}, words).config.text_config.max_position_embeddings
        fields["text_config"]["max_position_embeddings"] = 4 * had
        model = build_model({**fields, "pretrained": str(folder)}, words)
        model.save_pretrained(folder.with_name("longer"))
        again = build_model({"pretrained": str(folder.with_name("longer"))}, words)
        assert model.config.text_config.max_position_embeddings == again.config.text_config.max_position_embeddings == 4 * had
        fields["text_config"]["max_position_embeddings"] = had // 2
        with pytest.raises(ConfigError, match=f"max_position_embeddings is {had // 2} in the config, {had} in the folder"):
            build_model({**fields, "pretrained": str(folder)}, words)

    def test_a_field_that_nothing_reads_is_named(self, folder: Path, words: Any) -> None:
        with pytest.raises(ConfigError, match=r"model\.fussion is read by nothing"):
            build_model({"pretrained": str(folder), "fussion": "concat"}, words)

    def test_a_folder_of_another_model_is_named(self, folder: Path, words: Any) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "internvl_chat"}))
        with pytest.raises(ConfigError, match=r"holds a model of type 'internvl_chat', expected 'earthmind'. Import it first"):
            build_model({"pretrained": str(folder)}, words)


class TestChoices:
    def test_a_part_may_be_added(self, folder: Path, words: Any) -> None:
        model = build_model({"pretrained": str(folder), "grounding_fusion": "gated"}, words)
        assert model.seg_head.gate is not None and model.config.grounding_fusion == "gated"
        assert 0 < model.seg_head.gate.weight.std() < 0.1, "drawn as the config says"

    def test_a_part_may_be_left_out(self, folder: Path, words: Any) -> None:
        model = build_model({"pretrained": str(folder), "fusion": "concat"}, words)
        assert model.fusion.queries is None

    def test_an_unknown_one_is_named(self, folder: Path, words: Any) -> None:
        with pytest.raises(ConfigError, match="model: fusion='sum' is unknown; choices: concat, mutual_attention, hca"):
            build_model({"pretrained": str(folder), "fusion": "sum"}, words)


class TestWeights:
    def test_a_missing_one_is_not_drawn(self, folder: Path, words: Any) -> None:
        weights = load_file(folder / "model.safetensors")
        del weights["fusion.queries"]
        weights["memory.attention"] = torch.zeros(2)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(
            CheckpointError,
            match=r"1 weights are missing, which would be drawn at random \(fusion.queries\); 1 are read by nothing \(memory.attention\)",
        ):
            build_model({"pretrained": str(folder)}, words)


class TestVocabulary:
    def test_a_tokenizer_of_the_same_size_with_shifted_ids_is_refused(
        self, make_tiny: Callable[..., Any], make_tokenizer: Callable[..., Any], words: Any, tmp_path: Path
    ) -> None:
        build_model({"pretrained": str(_saved(make_tiny, tmp_path))}, words).save_pretrained(tmp_path / "trained")
        core = json.loads(words.backend_tokenizer.to_str())
        vocabulary = core["model"]["vocab"]
        first, second = list(vocabulary)[40:42]
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
        shifted = make_tokenizer()
        shifted._tokenizer = type(words.backend_tokenizer).from_str(json.dumps(core))
        assert len(shifted) == len(words)
        build_model({"pretrained": str(tmp_path / "trained")}, words)
        with pytest.raises(ConfigError, match=r"the model learned \d+ tokens by their ids; the tokenizer .* gives some to other tokens"):
            build_model({"pretrained": str(tmp_path / "trained")}, shifted)

    def test_more_tokens_after_the_learned_ones_are_welcome(
        self, make_tiny: Callable[..., Any], make_tokenizer: Callable[..., Any], words: Any, tmp_path: Path
    ) -> None:
        build_model({"pretrained": str(_saved(make_tiny, tmp_path))}, words).save_pretrained(tmp_path / "trained")
        more = make_tokenizer()
        more.add_tokens(["lagoon", "tarn"])
        folder = tmp_path / "trained"
        assert new_tokens(folder, more) == ["lagoon", "tarn"]
        model = build_model({"pretrained": str(folder)}, more)
        apply_trainable(model, ["projector"])
        with pytest.raises(ConfigError, match=r"2 tokens are new to .* and would not be trained or saved: lagoon; tarn; each loading"):
            check_new_tokens(model, folder, tokenizer=more)
        add_token_rows(model, more.convert_tokens_to_ids(["lagoon", "tarn"]))
        check_new_tokens(model, folder, tokenizer=more)


def _saved(make_tiny: Callable[..., Any], tmp_path: Path) -> Path:
    make_tiny().model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"
