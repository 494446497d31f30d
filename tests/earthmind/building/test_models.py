"""Model and processor from config: each fact from one place, and fields that nothing reads are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from earthmind.building.models import build_model, build_processor
from earthmind.model.configuration_earthmind import EarthMindConfig
from eocore.errors import ConfigError


@pytest.fixture(scope="module")
def words(make_tokenizer: Callable[..., Any]) -> Any:
    return make_tokenizer()


class TestModel:
    @pytest.mark.parametrize("text", ["qwen2", "qwen3", "llama"])
    def test_the_tokenizer_decides_vocabulary_and_ids(self, make_fields: Callable[..., dict[str, Any]], words: Any, text: str) -> None:
        model = build_model(make_fields(text=text), words)
        assert model.get_input_embeddings().num_embeddings == len(words) == model.config.text_config.vocab_size
        assert model.config.image_token_id == words.convert_tokens_to_ids("<IMG_CONTEXT>")
        assert model.config.seg_token_id == words.convert_tokens_to_ids("[SEG]")

    def test_tables_may_have_rows_to_spare(self, make_fields: Callable[..., dict[str, Any]], words: Any) -> None:
        fields = make_fields()
        fields["text_config"]["vocab_size"] = len(words) + 8
        model = build_model(fields, words)
        assert len(model.get_input_embeddings().weight) == model.config.text_config.vocab_size == len(words) + 8
        assert model.config.vocabulary.startswith(f"{len(words)}:"), "only known tokens have a meaning"

    def test_the_config_s_fields_are_left_as_they_are(self, make_fields: Callable[..., dict[str, Any]], words: Any) -> None:
        fields = make_fields()
        build_model(fields, words)
        assert fields == make_fields()

    def test_positions_begin_at_zero_or_as_waves_that_tell_places_apart(
        self, make_fields: Callable[..., dict[str, Any]], words: Any
    ) -> None:
        plain = build_model(make_fields(), words).vision_tower.embeddings.position_embeddings[0].detach()
        waves = build_model({**make_fields(), "position_waves": 4.0}, words).vision_tower.embeddings.position_embeddings[0].detach()
        assert not plain.any() and not waves[0].any() and waves.max() == pytest.approx(4.0, rel=0.01)
        distances = torch.cdist(waves[1:], waves[1:]) + 100 * torch.eye(len(waves) - 1)
        assert distances.min() > 1.0, "no two places are alike"

    def test_a_saved_model_comes_back_with_its_weights(self, make_tiny: Callable[..., Any], tmp_path: Path) -> None:
        made = make_tiny()
        made.model.save_pretrained(tmp_path)
        loaded = build_model({"pretrained": str(tmp_path)}, made.tokenizer)
        assert loaded.config.seg_token_id == made.processor.seg_token_id
        for name, weight in made.model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], weight), name

    def test_new_words_get_embeddings_of_their_own(
        self, make_tiny: Callable[..., Any], make_tokenizer: Callable[..., Any], tmp_path: Path
    ) -> None:
        made = make_tiny()
        made.model.save_pretrained(tmp_path)
        more = make_tokenizer()
        more.add_tokens(["lagoon", "tarn"])
        loaded = build_model({"pretrained": str(tmp_path)}, more)
        assert loaded.get_input_embeddings().num_embeddings == len(made.tokenizer) + 2
        kept = loaded.get_input_embeddings().weight[: len(made.tokenizer)]
        assert torch.equal(kept, made.model.get_input_embeddings().weight)

    def test_a_tokenizer_that_numbers_special_tokens_otherwise_is_refused(
        self, make_tiny: Callable[..., Any], make_tokenizer: Callable[..., Any], tmp_path: Path
    ) -> None:
        make_tiny().model.save_pretrained(tmp_path)
        other = make_tokenizer("chatml", special=())
        other.add_special_tokens({"additional_special_tokens": ["[SEG]", "<IMG_CONTEXT>"]})
        with pytest.raises(
            ConfigError, match=r"the model learned <IMG_CONTEXT> as id \d+, the tokenizer writes it as \d+: every such token"
        ):
            build_model({"pretrained": str(tmp_path)}, other)

    def test_a_folder_that_is_not_there_is_named(self, words: Any) -> None:
        with pytest.raises(ConfigError, match=r"model.pretrained='no/where' is no folder; nothing is downloaded"):
            build_model({"pretrained": "no/where"}, words)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"fussion": "concat"}, r"model.fussion is read by nothing: EarthMindConfig has no 'fussion'. Did you mean 'fusion'\?"),
            ({"fusion": "sum"}, r"model: fusion='sum' is unknown; choices: concat, mutual_attention, hca"),
            ({"text_config": {"hiden_size": 8}}, r"model.text_config.hiden_size is read by nothing: Qwen2Config .* mean 'hidden_size'"),
            ({"text_config": {"model_type": "qwen99"}}, r"model.text_config.model_type='qwen99' is no model that transformers knows"),
            (
                {"sam_config": {"vision_config": {"backbone_config": {"window_size": 3}}}},
                r"model.sam_config.vision_config.backbone_config.window_size is read by nothing: Sam2HieraDetConfig has no 'window_size'",
            ),
            ({"vision_config": {"bands": 12}}, r"model.vision_config.bands is read by nothing: .* Fields: .*num_channels"),
        ],
    )
    def test_fields_that_nothing_reads_are_named(self, words: Any, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            build_model(change, words)

    def test_fields_that_configs_do_not_show_are_taken(self, make_fields: Callable[..., dict[str, Any]], words: Any) -> None:
        fields = make_fields()
        fields["text_config"] |= {"head_dim": 16, "rope_theta": 1000.0}
        model = build_model(fields, words)
        assert model.language_model.get_decoder().layers[0].self_attn.q_proj.out_features == 4 * 16
        assert model.config.text_config.rope_parameters["rope_theta"] == 1000.0


class TestProcessor:
    @pytest.fixture
    def config(self, make_config: Callable[..., EarthMindConfig], words: Any) -> EarthMindConfig:
        return make_config(vocab_size=len(words), num_channels=5, grounding_fusion="gated")

    def test_the_model_decides_its_sizes(self, config: EarthMindConfig, words: Any) -> None:
        processor = build_processor({"max_tiles": 3}, words, config=config)
        assert (processor.options.tile_size, processor.options.tile_tokens, processor.options.num_channels) == (32, (4, 4), 5)
        assert (processor.options.grounding_size, processor.options.grounding, processor.options.max_tiles) == (64, "all", 3)
        assert list(processor.options.channel_fill) == [round(255 * mean) for mean in config.pixel_mean]

    def test_what_the_model_decides_may_not_stand_in_the_config(self, config: EarthMindConfig, words: Any) -> None:
        with pytest.raises(ConfigError, match="processor states num_channels, tile_size, which the model decides"):
            build_processor({"tile_size": 448, "num_channels": 3}, words, config=config)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"maxtiles": 3}, r"processor: .*unexpected keyword argument 'maxtiles'.*Fields: see ProcessorOptions"),
            ({"token_order": "random"}, r"processor: token_order='random' is unknown; choices: place, modality"),
            ({"template": "vicuna"}, r"processor: no prompt template 'vicuna'; choices: chatml, llama2_chat, .*, question_answer"),
            ({"grounding_order": ["lidar"]}, r"processor: modalities \['lidar'\] are unknown"),
            ({"presentation": {"sar": {"view": []}}}, r"processor.presentation.sar.view is read by nothing: .* Did you mean 'views'\?"),
            ({"presentation": {"sar": {"views": [["VV"]]}}}, r"processor.presentation.sar needs stretch. Keys: views, stretch, grounding"),
            (
                {"presentation": {"sar": {"views": [], "stretch": {"method": "range", "min": 0, "high": 1}}}},
                r"processor.presentation.sar.stretch.min is read by nothing.*Fields: high, low, method",
            ),
            (
                {"presentation": {"sar": {"views": [], "stretch": {"method": "range"}}}},
                r"processor.presentation.sar.stretch needs low, high",
            ),
        ],
    )
    def test_mistakes_are_named(self, config: EarthMindConfig, words: Any, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            build_processor(fields, words, config=config)

    def test_a_tokenizer_without_the_special_tokens_is_refused(self, config: EarthMindConfig, make_tokenizer: Callable[..., Any]) -> None:
        with pytest.raises(ConfigError, match=r"processor: the tokenizer has no token <IMG_CONTEXT>; prepare it with .*add_special_tokens"):
            build_processor({}, make_tokenizer(special=()), config=config)


class TestCompositeGrounding:
    def test_the_backbone_and_the_channels_must_agree(self, make_fields: Callable[..., dict[str, Any]], words: Any) -> None:
        config = build_model(make_fields(), words).config
        assert build_processor({}, words, config=config).options.grounding == "first"
        channels = ["multispectral:B04", "sar:VV"]
        with pytest.raises(ConfigError, match="names 2 channels, the SAM 2 backbone of the model takes 3"):
            build_processor({"grounding_channels": channels}, words, config=config)
        assert build_processor({"grounding_channels": [*channels, "sar:VH"]}, words, config=config).options.grounding == "composite"
