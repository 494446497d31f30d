"""The smallest system that answers about images: what the tests of the shared parts build on."""

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import LlamaConfig, PretrainedConfig, PreTrainedTokenizerFast

from eocore.portable.chat_processor import ChatProcessor
from eocore.portable.image_language_model import ImageLanguageModel
from eocore.portable.messages import Turn, as_turns
from eocore.portable.packed_attention import use_packed_attention
from eocore.portable.prompt_batching import EncodedPrompt

NUM_EMBEDDINGS, WIDTH = 3, 32


@dataclass(frozen=True, kw_only=True)
class Options:
    template: str = "chatml"


class Processor(ChatProcessor):
    options_class = Options

    def encode(self, turns: list[Any], *, has_image: bool, independent: bool = False, for_generation: bool = False) -> EncodedPrompt:
        parsed: list[Turn] = list(as_turns(turns))
        pieces = self._render(parsed, independent, for_generation=for_generation)
        return self.encode_pieces(pieces, num_embeddings=NUM_EMBEDDINGS if has_image else 0, sample_id="sample")


class Config(PretrainedConfig):
    model_type = "image_chat"

    def __init__(self, text_config: Any = None, **fields: Any) -> None:
        self.text_config = text_config or LlamaConfig()
        super().__init__(**fields)


class Model(ImageLanguageModel):
    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.see = nn.Linear(4, NUM_EMBEDDINGS * WIDTH)
        self.post_init()

    def encode_images(self, images: Tensor) -> Tensor:
        return self.see(images).unflatten(-1, (NUM_EMBEDDINGS, WIDTH))


def make_tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<pad>", "</s>", "<s>", "<|im_start|>", "<|im_end|>"]
    core = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate([*special, *letters])}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="</s>")
    tokenizer.add_special_tokens({"additional_special_tokens": special[2:]})
    return tokenizer


def make_model(vocab_size: int) -> Model:
    """Random weights, large enough that answers differ."""
    torch.manual_seed(0)
    text = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = Model(Config(text)).eval()
    nn.init.normal_(model.see.weight, std=2.0)
    use_packed_attention(model.language_model)
    return model
