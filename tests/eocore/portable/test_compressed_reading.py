"""What a prompt leaves in the cache once it is read."""

import torch
from compressing_models import drawn, language_model, prompts

from eocore.portable.compressed_reading import read_compressed
from eocore.portable.long_options import CompressionOptions

OPTIONS = CompressionOptions(window=8)


def test_words_and_compression_tokens_are_remembered_and_the_rest_of_the_last_window() -> None:
    model, asked = language_model("qwen2"), prompts([[(3, 13), (15, 24)], [(4, 12)]], [30, 18])
    with torch.no_grad():
        read = read_compressed(model.get_decoder(), asked, options=OPTIONS, ratios=drawn({3: [4] * 3, 1: [8]}), pad_token_id=0)
    # 19 vision tokens: two windows of 2 compression tokens, then 3 tokens of which none is compressed
    assert read.attention_mask.sum(1).tolist() == [30 - 19 + 4 + 3, 18 - 8 + 1]
    assert read.cache.get_seq_length() == read.attention_mask.shape[1] - 1
    words = read.input_ids[0][read.attention_mask[0].bool()]
    assert words[:3].tolist() == asked.input_ids[0, :3].tolist()
    assert words[3:5].tolist() == [0, 0]
    assert words[-6:].tolist() == asked.input_ids[0, -6:].tolist()


def test_memory_while_reading_is_what_is_remembered_and_one_window() -> None:
    model, asked = language_model("llama"), prompts([[(2, 322)]], [330])
    decoder, sizes = model.get_decoder(), []
    handle = decoder.register_forward_hook(lambda _module, _inputs, output: sizes.append(output.past_key_values.get_seq_length()))
    with torch.no_grad():
        read = read_compressed(decoder, asked, options=OPTIONS, ratios=lambda count: [8] * count, pad_token_id=0)
    handle.remove()
    assert read.cache.get_seq_length() == 2 + 40 + 7
    assert max(sizes) <= 2 + 40 + 8 + 1
