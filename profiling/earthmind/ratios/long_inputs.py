"""Compressed inputs: training in one pass against window by window, and what decoding remembers against length."""

import ctypes
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, Qwen2ForCausalLM

from eocore.portable.compressed_reading import read_compressed
from eocore.portable.compression_plan import PackedSamples, Prompts
from eocore.portable.long_options import CompressionOptions
from eocore.portable.token_compression import add_compression, decode_in_one_pass, start_compression
from eocore.registry import RATIOS
from profiling.earthmind.ratios.language import LanguageSizes
from profiling.measures.memory import resident_bytes
from profiling.ratios.ratio import Effort, Goal, Pair, Ratio, Reading, Result, Side

WORDS_BEFORE, WORDS_BEHIND = 10, 20
"""Of a sample: what stands before its images and behind them."""


def compressing_model(sizes: LanguageSizes) -> Any:
    """A model of these sizes with compression tokens."""
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(sizes.config(max_position_embeddings=2**20))
    add_compression(model)
    start_compression(model, 0)
    return model


def one_sample(num_vision: int, width: int) -> Prompts:
    """Of so many vision tokens."""
    length = WORDS_BEFORE + num_vision + WORDS_BEHIND
    shown = torch.zeros(1, length, dtype=torch.bool)
    shown[:, WORDS_BEFORE : WORDS_BEFORE + num_vision] = True
    ones = torch.ones(1, length, dtype=torch.long)
    return Prompts(torch.randn(1, length, width), shown, ones, ones)


@RATIOS.register_module(name="L1")
class OnePassTraining(Pair):
    """Forward and backward of one sample whose windows draw their ratios from 2, 4 and 8."""

    what = "training on compressed windows: one after another / all in one pass"
    goals = (Goal(quantity="time", goal=2.0, limit="1 for wide models and long windows, whose products of matrices are the same"),)
    tolerance = 1e-4

    def __init__(self, *, windows: int = 16, window: int = 32, sizes: dict[str, Any] | None = None) -> None:
        self.windows, self.window = windows, window
        self.sizes = LanguageSizes(**{"layers": 4, "width": 192, "heads": 4, "key_heads": 4, "feed_forward": 512, **(sizes or {})})

    def prepare(self, side: Side) -> Callable[[], Result]:
        """See `Pair`; the result is the state of the last token."""
        model = compressing_model(self.sizes)
        prompts, decoder = one_sample(self.windows * self.window, self.sizes.width), model.get_decoder()
        options = CompressionOptions(window=self.window, attention="sdpa")

        def ratios(count: int) -> list[int]:
            return [(2, 4, 8)[number % 3] for number in range(count)]

        def in_one_pass() -> Tensor:
            length = prompts.input_ids.shape[1]
            samples = PackedSamples(prompts.embeddings, prompts.compressible, torch.arange(length)[None], [0, length], {})
            return decode_in_one_pass(decoder, samples, options=options, ratios=ratios)[:, -1]

        def by_recurrence() -> Tensor:
            read = read_compressed(decoder, prompts, options=options, ratios=ratios, pad_token_id=0)
            found: Tensor = decoder(
                inputs_embeds=prompts.embeddings[:, -1:],
                attention_mask=read.attention_mask,
                position_ids=read.attention_mask.cumsum(1)[:, -1:] - 1,
                past_key_values=read.cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
            return found

        def step() -> Result:
            model.zero_grad()
            last = in_one_pass() if side == "ours" else by_recurrence()
            last.square().sum().backward()
            return last.detach()

        return step


@RATIOS.register_module(name="L2")
class DecodingMemory(Ratio):
    """Keys and values that decoding remembers of a prompt, by its length, uncompressed and compressed."""

    what = "memory of decoding for each vision token: uncompressed / compressed at ratio 8"

    def __init__(
        self,
        *,
        lengths: tuple[int, ...] = (1024, 4096, 8192),
        ratio: int = 8,
        window: int = 256,
        sizes: dict[str, Any] | None = None,
    ) -> None:
        self.lengths, self.ratio, self.window = lengths, ratio, window
        self.sizes = {"layers": 16, "width": 256, "heads": 8, "key_heads": 8, "feed_forward": 256, **(sizes or {})}

    def measure(self, effort: Effort) -> list[Reading]:
        """Slopes of cached bytes and of the resident set; each length in a process of its own."""
        found = {side: [remembered(length, order=self._order(side)) for length in self.lengths] for side in ("reference", "ours")}
        readings = []
        for index, quantity in enumerate(("cached bytes", "resident set")):
            slopes = {side: float(np.polyfit(self.lengths, [part[index] for part in parts], 1)[0]) for side, parts in found.items()}
            reached = slopes["reference"] / slopes["ours"] if slopes["ours"] > 0 else float("inf")
            readings.append(
                Reading(
                    quantity=quantity,
                    unit="bytes a token",
                    reference=slopes["reference"],
                    ours=slopes["ours"],
                    reached=reached,
                    goal=self.ratio * 7 / 8,
                    limit=f"the ratio, {self.ratio}",
                )
            )
        return readings

    def _order(self, side: str) -> dict[str, Any]:
        return {"sizes": self.sizes, "ratio": self.ratio if side == "ours" else 1, "window": self.window}


def remembered(length: int, *, order: dict[str, Any]) -> tuple[int, int]:
    """(bytes of keys and values, rise of the resident set) of a prompt of so many vision tokens, in a process of its own."""
    told = json.dumps({**order, "length": length})
    done = subprocess.run([sys.executable, "-m", __name__, told], capture_output=True, text=True, check=True)
    cached, resident = json.loads(done.stdout.splitlines()[-1])
    return cached, resident


@torch.no_grad()
def _remember(order: dict[str, Any]) -> tuple[int, int]:
    sizes = LanguageSizes(**order["sizes"])
    model = compressing_model(sizes)
    options = CompressionOptions(window=order["window"], ratios=[order["ratio"]])
    _read(model, one_sample(order["window"], sizes.width), options=options)  # what the first call alone takes
    before = _settled()
    cache = _read(model, one_sample(order["length"], sizes.width), options=options)
    cached = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))
    return cached, _settled() - before


def _read(model: Any, prompts: Prompts, *, options: CompressionOptions) -> DynamicCache:
    """The prompt window by window, on either side, so that what a pass itself takes is the same."""
    ratio = options.usual_ratio
    read = read_compressed(model.get_decoder(), prompts, options=options, ratios=lambda count: [ratio] * count, pad_token_id=0)
    cache: DynamicCache = read.cache
    return cache


def _settled() -> int:
    """The resident set once freed memory is given back [bytes]."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_remember(json.loads(sys.argv[1]))))
