"""The task of a config with random weights and a tokenizer of bytes: what speed and memory are measured on, without any file."""

from collections.abc import Mapping
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from earthmind.model.special_tokens import SPECIAL_TOKENS
from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from eocore.portable.chat_templates import get_template, template_names
from eocore.registry import TOKENIZERS


@TOKENIZERS.register_module()
def ByteTokenizer(*, size: int) -> PreTrainedTokenizerBase:
    """A tokenizer of `size` tokens in which every byte of text is one token, beside the special tokens and the marks of all templates.

    Raises:
        ConfigError: bytes and special tokens alone are more.
    """
    marks = list(dict.fromkeys(mark for name in template_names() for mark in get_template(name).control_tokens))
    special = [*SPECIAL_TOKENS, *marks]
    letters = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    if size < len(letters) + len(special):
        raise ConfigError(f"a byte tokenizer has {len(letters) + len(special)} tokens at least, {size} were asked for. Raise vocab_size.")
    spare = [f"<spare{number}>" for number in range(size - len(letters) - len(special))]
    core = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate([*letters, *spare])}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    return tokenizer


def build_setting(
    task: Mapping[str, Any],
    *,
    device: torch.device,
    dtype: torch.dtype,
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> EarthMindTask:
    """The task of a config, in training mode, weights drawn at random on the device itself.

    Args:
        task: the config's; neither its data nor pretrained weights are read.
        device: where it is built.
        dtype: of the weights.
        changes: fields of the task that are to be otherwise.
        seed: of the weights.

    Raises:
        ConfigError: as `EarthMindTask`, or the size of the vocabulary is not stated.
    """
    fields = {key: value for key, value in {**task, **(changes or {})}.items() if key not in ("type", "data")}
    fields["model"] = {key: value for key, value in fields["model"].items() if key != "pretrained"}
    size = fields["model"].get("text_config", {}).get("vocab_size", fields["tokenizer"].get("vocab_size"))
    if size is None:
        raise ConfigError("the size of the vocabulary is not stated: set task.model.text_config.vocab_size.")
    fields["tokenizer"] = {"type": "ByteTokenizer", "size": int(size)}
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            built = EarthMindTask(**fields)
    finally:
        torch.set_default_dtype(before)
    return built.to(device=device, dtype=dtype).train()
