"""All windows in one pass equal the same windows read one after another; what is compressed is out of sight."""

from typing import Any

import pytest
import torch
from compressing_models import WIDTH, drawn, gradients, language_model, prompts
from torch.nn import functional

from eocore.portable.compressed_reading import read_compressed
from eocore.portable.compression_plan import PackedSamples
from eocore.portable.long_options import CompressionOptions
from eocore.portable.position_limit import SampleTooLongError
from eocore.portable.token_compression import add_compression, decode_in_one_pass, draw_ratios, is_compression_weight, start_compression

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""What one pass and the recurrence must agree to, in float32. Found: 3e-6."""
OPTIONS = CompressionOptions(window=8, ratios=[1, 2, 4, 8], attention="sdpa")
SPANS = [[(5, 20), (23, 40)], [(4, 49)]]
RATIOS = drawn({4: [2, 8, 1, 4], 6: [4, 2, 1, 8, 2, 8]})


def packed(asked: Any) -> PackedSamples:
    """The same rows as training has them."""
    rows, width = asked.compressible.shape
    positions = torch.arange(width).expand(rows, -1)
    return PackedSamples(asked.embeddings, asked.compressible, positions, [row * width for row in range(rows + 1)], {})


def last_states_by_recurrence(model: Any, asked: Any, ratios: Any = RATIOS) -> Any:
    decoder = model.get_decoder()
    read = read_compressed(decoder, asked, options=OPTIONS, ratios=ratios, pad_token_id=0)
    positions = read.attention_mask.cumsum(1)[:, -1:] - 1
    last = asked.embeddings[:, -1:]
    return decoder(
        inputs_embeds=last, attention_mask=read.attention_mask, position_ids=positions, past_key_values=read.cache, use_cache=True
    ).last_hidden_state[:, -1]


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama"])
def test_one_pass_equals_the_recurrence_in_logits_loss_and_gradients(kind: str) -> None:
    model, asked = language_model(kind, lora=True), prompts(SPANS, [60, 60])
    targets, results = torch.tensor([1, 2]), []
    for states in (
        decode_in_one_pass(model.get_decoder(), packed(asked), options=OPTIONS, ratios=RATIOS)[:, -1],
        last_states_by_recurrence(model, asked),
    ):
        logits = model.lm_head(states)
        loss = functional.cross_entropy(logits, targets)
        results.append((logits, loss, gradients(model, loss)))
    (logits, loss, ours), (others, other, theirs) = results
    torch.testing.assert_close(logits, others, **CLOSE)
    torch.testing.assert_close(loss, other, **CLOSE)
    assert ours.keys() == theirs.keys()
    assert sum(is_compression_weight(name) for name in ours) >= 6
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], **CLOSE, msg=name)


def test_padding_and_other_rows_change_nothing() -> None:
    model = language_model("qwen2")
    both = prompts(SPANS, [60, 52])
    alone = type(both)(*(part[1:, 8:] for part in both))
    expected = last_states_by_recurrence(model, alone, drawn({6: [2] * 6}))
    found = last_states_by_recurrence(model, both, drawn({4: [8] * 4, 6: [2] * 6}))
    torch.testing.assert_close(found[1:], expected, **CLOSE)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_sees_what_sdpa_sees() -> None:
    model, asked = language_model("qwen2"), prompts(SPANS, [60, 60])
    with torch.no_grad():
        flex = CompressionOptions(window=8, attention="flex")
        found = [decode_in_one_pass(model.get_decoder(), packed(asked), options=how, ratios=RATIOS) for how in (OPTIONS, flex)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"cannot train on a CPU.*'auto'"):
        decode_in_one_pass(model.get_decoder(), packed(asked), options=flex, ratios=RATIOS)


def test_what_is_behind_an_image_depends_on_it_through_compression_tokens_alone() -> None:
    model, asked = language_model("llama"), prompts([[(4, 12)]], [20])
    embeddings = asked.embeddings.requires_grad_()
    with torch.no_grad():  # so that compression tokens tell nothing
        for layer in model.get_decoder().layers:
            layer.self_attn.compression.v_proj.weight.zero_()
            layer.self_attn.o_proj.weight.zero_()
    decode_in_one_pass(model.get_decoder(), packed(asked), options=OPTIONS, ratios=drawn({1: [4]}))[0, -1].sum().backward()
    assert embeddings.grad is not None
    assert not embeddings.grad[0, :19].any()


def test_ratio_one_and_text_alone_are_read_as_without_compression() -> None:
    model, asked = language_model("qwen2"), prompts([[(4, 20)], []], [30, 30])
    decoder, samples = model.get_decoder(), packed(asked)
    with torch.no_grad():
        found = decode_in_one_pass(decoder, samples, options=OPTIONS, ratios=drawn({2: [1, 1], 0: []}))
        expected = decoder(inputs_embeds=asked.embeddings, position_ids=samples.position_ids, use_cache=False).last_hidden_state
    torch.testing.assert_close(found, expected, **CLOSE)


def test_independent_questions_of_one_image_are_read_as_if_each_were_alone() -> None:
    model, asked = language_model("qwen2"), prompts([[(2, 18)]], [30])
    one, shared = asked.embeddings[0], 20
    positions = torch.cat([torch.arange(25), torch.arange(20, 25)])
    together = PackedSamples(one[None], asked.compressible, positions[None], [0, 30], {0: [shared, 25]})
    second = torch.cat([one[:shared], one[25:]])
    alone = PackedSamples(second[None], asked.compressible[:, :25], torch.arange(25)[None], [0, 25], {})
    with torch.no_grad():
        found = [decode_in_one_pass(model.get_decoder(), part, options=OPTIONS, ratios=drawn({2: [4, 2]})) for part in (together, alone)]
    torch.testing.assert_close(found[0][0, 25:], found[1][0, shared:], **CLOSE)
    repeated = together._replace(question_starts={0: [1, 25]})
    with pytest.raises(ValueError, match="show them once, before"):
        decode_in_one_pass(model.get_decoder(), repeated, options=OPTIONS, ratios=drawn({2: [4, 2]}))


def test_the_weights_begin_as_copies_and_have_names_of_their_own() -> None:
    model = language_model("qwen2")
    start_compression(model, 7)
    decoder = model.get_decoder()
    assert torch.equal(decoder.compression_embedding.weight[0], model.get_input_embeddings().weight[7])
    assert torch.equal(decoder.layers[1].self_attn.compression.k_proj.weight, decoder.layers[1].self_attn.k_proj.weight)
    assert torch.equal(decoder.layers[1].self_attn.compression.k_proj.bias, decoder.layers[1].self_attn.k_proj.bias)
    assert decoder.compression_embedding.weight.shape == (1, WIDTH)
    start_compression(model, None)
    torch.testing.assert_close(decoder.compression_embedding.weight[0], model.get_input_embeddings().weight.mean(0))


def test_training_draws_a_ratio_for_each_window_and_use_takes_the_usual_one() -> None:
    options = CompressionOptions(window=8, ratios=[2, 4, 8], ratio=4)
    torch.manual_seed(0)
    assert set(draw_ratios(options, training=True)(50)) == {2, 4, 8}
    assert draw_ratios(options, training=False)(3) == [4, 4, 4]


def test_models_that_cannot_compress_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'dynamic'.*Take another language model"):
        language_model("llama", rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4})
    with pytest.raises(ValueError, match=r"no q_proj, k_proj, v_proj.*such as Qwen2"):
        language_model("phi3", pad_token_id=0)


def test_a_sample_that_is_too_long_even_so_is_refused() -> None:
    model, asked = language_model("qwen2", max_position_embeddings=20), prompts([[(4, 52)]], [60])
    with pytest.raises(SampleTooLongError, match=r"reaches position 36.*positions for 20 tokens.*higher ratio"):
        decode_in_one_pass(model.get_decoder(), packed(asked), options=OPTIONS, ratios=drawn({6: [2] * 6}))
    with pytest.raises(SampleTooLongError, match="higher ratio"):
        last_states_by_recurrence(model, asked, drawn({6: [2] * 6}))


def test_layers_of_a_window_kind_cannot_compress() -> None:
    class Windows:
        class config:
            layer_types = ("sliding_attention",)

        def get_decoder(self) -> None: ...

    with pytest.raises(ValueError, match="sliding_attention"):
        add_compression(Windows())
