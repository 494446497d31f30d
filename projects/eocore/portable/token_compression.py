"""Compression tokens in a causal language model of transformers: put in, trained in one pass, read window by window.

The compression token has the id after the last of the vocabulary: an embedding of one row of its own, begun as that of the end-of-text
token, and in every layer its own projections of queries, keys and values, begun as the layer's. All else it shares with the words.
Source: Video-XL (arXiv 2409.14485), Activation Beacon (arXiv 2401.03462).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eocore.portable.compressing_attention import OwnProjection, make_compressing
from eocore.portable.compression_plan import PackedSamples, count_windows, plan_sample
from eocore.portable.long_options import CompressionOptions
from eocore.portable.one_pass import Layout, OnePass, sample_spans
from eocore.portable.packed_attention import WHOLE
from eocore.portable.position_limit import SampleTooLongError, num_positions

COMPRESSION_PARTS = ("compression_embedding.", "self_attn.compression.")
"""What the names of its weights hold."""
CHANGING_ROTATIONS = ("dynamic", "longrope")
"""Rotary embeddings whose frequencies depend on the length read so far: keys rotated earlier could not be rotated on."""

DrawRatios = Callable[[int], Sequence[int]]
"""Number of windows -> the ratio of each."""


def add_compression(language_model: Any) -> None:
    """Lets a causal language model of transformers compress, in place; without compression tokens it computes what it did.

    Raises:
        ValueError: its attention is none that can.
    """
    decoder, config = language_model.get_decoder(), language_model.config
    kinds = set(getattr(config, "layer_types", None) or [WHOLE])
    rope = getattr(config, "rope_parameters", None) or {}
    if kinds != {WHOLE} or rope.get("rope_type") in CHANGING_ROTATIONS:
        found = f"layers of kinds {', '.join(sorted(kinds))} and rotary positions '{rope.get('rope_type', 'default')}'"
        raise ValueError(
            f"compression needs layers that see all that came before and rotations that do not depend on the length; found {found}. Take "
            "another language model, or leave compression out."
        )
    for layer in decoder.layers:
        make_compressing(layer.self_attn)
    decoder.compression_embedding = nn.Embedding(1, config.hidden_size)


def init_compression(module: nn.Module, *, std: float) -> None:
    """Draws weights of compression tokens that a checkpoint lacks; `start_compression` replaces them where a training begins."""
    if isinstance(module, OwnProjection):
        nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@torch.no_grad()
def start_compression(language_model: Any, like: int | None) -> None:
    """Begins the weights of compression tokens as copies: of the layers' projections, and of a token's embedding.

    Args:
        language_model: from `add_compression`.
        like: id of the end-of-text token; None = the mean of all embeddings.
    """
    decoder = language_model.get_decoder()
    table = language_model.get_input_embeddings().weight
    decoder.compression_embedding.weight.copy_(table.float().mean(0) if like is None else table[like])
    for layer in decoder.layers:
        layer.self_attn.compression.start(layer.self_attn)


def draw_ratios(options: CompressionOptions, *, training: bool) -> DrawRatios:
    """Draws one ratio for every window in training, from torch's generator; the usual one elsewhere."""
    if not training:
        return lambda count: [options.usual_ratio] * count
    return lambda count: [options.ratios[number] for number in torch.randint(len(options.ratios), (count,)).tolist()]


def decode_in_one_pass(decoder: Any, samples: PackedSamples, *, options: CompressionOptions, ratios: DrawRatios) -> Tensor:
    """Last hidden states (R, S, D) of packed rows whose images are compressed; what follows an image saw compression tokens alone.

    Args:
        decoder: of a model with `add_compression`.
        samples: of the batch.
        options: window and attention.
        ratios: of the windows.

    Raises:
        ValueError: independent questions are each shown the images, or flex attention is to train on a CPU.
        SampleTooLongError: a token would stand behind the last position of the model.
    """
    embeddings = samples.embeddings
    rows, width, _ = embeddings.shape
    layout = _lay_out(samples, options, ratios=ratios)
    check_last_position(decoder.config, max(plan.last_position for plan in layout.plans))
    device = embeddings.device
    states = torch.cat([embeddings.flatten(0, 1), _compression_embeddings(decoder, layout.num_compression, like=embeddings)])[None]
    rotary = decoder.rotary_emb(states, position_ids=layout.memory_positions[None].to(device))
    wants_flex = options.attention == "flex" or (options.attention == "auto" and embeddings.is_cuda)
    if wants_flex and not embeddings.is_cuda and torch.is_grad_enabled():
        raise ValueError("compression.attention='flex' cannot train on a CPU, where torch has no backward of it. Set it to 'auto'.")
    reading = OnePass(layout, rotary=rotary, flex=wants_flex)
    # a mask of four axes is handed on as it is, so that none is made
    unused = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    found = decoder(
        inputs_embeds=states,
        attention_mask={WHOLE: unused} if getattr(decoder.config, "layer_types", None) else unused,
        position_ids=layout.positions[None].to(device),
        use_cache=False,
        compression=reading,
    ).last_hidden_state
    return found[0, : rows * width].view(rows, width, -1)


def _lay_out(samples: PackedSamples, options: CompressionOptions, *, ratios: DrawRatios) -> Layout:
    spans, flat, positions = sample_spans(samples.sequence_boundaries), samples.compressible.flatten(), samples.position_ids.flatten().cpu()
    plans = []
    for start, end in spans:
        drawn = ratios(count_windows(flat[start:end], options.window))
        plans.append(plan_sample(flat[start:end], drawn, window=options.window, positions=positions[start:end]))
    starts = [start for start, _ in spans]
    return Layout(plans, starts, num_raw=flat.numel(), question_starts=samples.question_starts)


def check_last_position(text_config: Any, last: int) -> None:
    """Raise SampleTooLongError if a token would stand behind the model's last position."""
    limit = num_positions(text_config)
    if limit is not None and last >= limit:
        raise SampleTooLongError(
            f"compressed, the sample still reaches position {last + 1}, but the model has positions for {limit} tokens; further ones mean "
            "nothing to it. Nothing was cut. Take a higher ratio, or fewer tiles (max_tiles)."
        )


def _compression_embeddings(decoder: Any, count: int, *, like: Tensor) -> Tensor:
    """(C, D) of so many compression tokens; of none too, since under ZeRO-3 all ranks must make the same calls."""
    found: Tensor = decoder.compression_embedding(torch.zeros(count, dtype=torch.long, device=like.device)).to(like.dtype)
    return found


@dataclass(frozen=True)
class ChunkReading:
    """A `Reading` of one chunk of each row after what is remembered.

    Attributes:
        num_compression: the last tokens of each row.
        mask: (R, 1, L, M + L) bool.
    """

    num_compression: int
    mask: Tensor

    def attend(self, attention: Any, query: Tensor, *, key: Tensor, value: Tensor, rotary: tuple[Tensor, Tensor], cache: Any) -> Tensor:
        """See `compressing_attention.Reading`."""
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        query, key = attention.rotate(query, key, *rotary)
        key, value = cache.update(key, value, attention.layer_idx)
        return sdpa_attention_forward(attention, query, key, value, self.mask, scaling=attention.scaling)[0]


def is_compression_weight(name: str) -> bool:
    """Whether a weight of that name is of compression tokens alone."""
    return any(part in name for part in COMPRESSION_PARTS)
