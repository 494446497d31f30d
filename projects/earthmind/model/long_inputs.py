"""Long inputs of an EarthMind model: compressed in training and in use, or reduced without training."""

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from eocore.portable.compressed_reading import read_compressed
from eocore.portable.compression_plan import PackedSamples, Prompts, compressible_tokens
from eocore.portable.long_options import COMPRESS, OFF, CompressionOptions, LongInput, read_long
from eocore.portable.position_limit import most_prompt_tokens
from eocore.portable.token_compression import decode_in_one_pass, draw_ratios
from eocore.portable.token_reduction import reduce_tokens
from eocore.portable.vision_layout import SampleError

from .batching import Batch


class LongInputsMixin:
    """What `EarthMindForConditionalGeneration` does with the vision tokens of long inputs.

    Attributes:
        config, language_model, training, device: of the model.
    """

    config: Any
    language_model: Any
    training: bool
    device: Any

    @property
    def compression(self) -> CompressionOptions | None:
        """How the model compresses; None where it does not."""
        return _compression_of(self.config)

    def decode_batch(self, embeddings: Tensor, batch: Batch) -> Tensor | None:
        """Last hidden states (R, S, D) of a batch with its images compressed; None where the model does not compress.

        Raises:
            ValueError, SampleTooLongError: see `token_compression.decode_in_one_pass`.
        """
        options = self.compression
        if options is None or isinstance(embeddings, FakeTensor) or embeddings.is_meta:  # estimates without data know no windows
            return None
        shown = self._compressible(batch.input_ids, options)
        samples = PackedSamples(embeddings, shown, batch.position_ids, batch.sequence_boundaries, batch.question_starts)
        return decode_in_one_pass(
            self.language_model.get_decoder(), samples, options=options, ratios=draw_ratios(options, training=self.training)
        )

    def _compressible(self, input_ids: Tensor, options: CompressionOptions | None) -> Tensor:
        """(R, S) bool on the CPU."""
        region = None if options is None else options.region_token_id
        return compressible_tokens(input_ids.cpu(), image_token_id=self.config.image_token_id, region_token_id=region)

    def long_input(self, asked: str | None) -> LongInput:
        """What is done with a prompt's images.

        Args:
            asked: METHOD[:RATIO], see `long_options.read_long`; None = as the model was made.

        Raises:
            SampleError: the method cannot be used with this model.
        """
        return long_input_of(self.config, asked)

    def _window(self, options: CompressionOptions | None) -> int:
        return _window_of(self.config, options)

    def shorten(self, given: dict[str, Any], asked: str | None, *, pad_token_id: int) -> dict[str, Any]:
        """Arguments of `generate` about prompts with images: compressed and read up to the last token, with fewer tokens, or as they were.

        Args:
            given: `input_ids` (R, S), padded in front, `inputs_embeds` (R, S, D), and others; `attention_mask` where there is one.
            asked: see `long_input`.
            pad_token_id: stands for compression tokens.

        Raises:
            SampleError: what was asked for cannot be done, or the images of a prompt have fewer tokens than a window.
            SampleTooLongError: even so the prompt is too long.
        """
        long = self.long_input(asked)
        if long.method == OFF:
            return given
        ids, options = given["input_ids"], self.compression
        compressible, window = self._compressible(ids, options), self._window(options)
        if asked is not None:
            _check_windows(compressible, window, long=long)
        mask = given.get("attention_mask")
        prompts = Prompts(given["inputs_embeds"], compressible, ids, torch.ones_like(ids) if mask is None else mask)
        if long.method != COMPRESS or options is None:
            reduced = reduce_tokens(prompts, long=long, window=window)
            return {**given, "input_ids": reduced.input_ids, "attention_mask": reduced.attention_mask, "inputs_embeds": reduced.embeddings}
        fixed = given.get("cache_implementation")
        if fixed is not None:
            raise SampleError(
                f"cache_implementation='{fixed}': what is remembered of compressed inputs grows. Leave it out, or ask with long='{OFF}'."
            )
        decoder = self.language_model.get_decoder()
        read = read_compressed(decoder, prompts, options=options, ratios=lambda count: [long.ratio] * count, pad_token_id=pad_token_id)
        rest = {name: value for name, value in given.items() if name != "inputs_embeds"}
        return {**rest, "input_ids": read.input_ids, "attention_mask": read.attention_mask, "past_key_values": read.cache}

    def longest_prompt(self, asked: str | None) -> int | None:
        """Most tokens of a prompt before its images are shortened [tokens]; None where the rest is known only afterwards."""
        return most_prompt_tokens(self.config.text_config) if self.long_input(asked).method == OFF else None


def long_input_of(config: Any, asked: str | None) -> LongInput:
    """What a model of this configuration does with a prompt's images; see `LongInputsMixin.long_input`."""
    options = _compression_of(config)
    usual = None if options is None else options.usual_ratio
    if asked is None:
        return LongInput(OFF if usual in (None, 1) else COMPRESS, usual or 1)
    try:
        return read_long(asked, window=_window_of(config, options), usual_ratio=usual)
    except ValueError as error:
        raise SampleError(str(error)) from error


def _compression_of(config: Any) -> CompressionOptions | None:
    return None if config.compression is None else CompressionOptions(**config.compression)


def _window_of(config: Any, options: CompressionOptions | None) -> int:
    return int(config.tokens_per_tile) if options is None else options.window


def behind_prompt(made: Any, prompt: Tensor, *, num_read: int) -> Any:
    """What `generate` returns, with the prompt as it was given in place of the one that was read.

    Args:
        made: (R, num_read + A) ids, or transformers' object that holds them as `sequences`.
        prompt: (R, S).
        num_read: tokens of the prompt that was read.
    """
    if isinstance(made, Tensor):
        return torch.cat([prompt.repeat_interleave(len(made) // len(prompt), dim=0), made[:, num_read:]], dim=1)
    made.sequences = behind_prompt(made.sequences, prompt, num_read=num_read)
    return made


def _check_windows(compressible: Tensor, window: int, *, long: LongInput) -> None:
    """Raise SampleError if a prompt's images have fewer tokens than one window."""
    for row, count in enumerate(compressible.sum(1).tolist()):
        if 0 < count < window:
            raise SampleError(
                f"prompt {row}: its images have {count} vision tokens, fewer than a window of {window}, so {long.method} has nothing "
                f"to shorten. Leave it out (long='{OFF}'), or give larger or more images (max_tiles says how many tiles are cut)."
            )
