"""Answers about pictures of many tiles and about series, and what is remembered of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.long_inputs import long_input_of
from earthmind.model.moments import Images
from earthmind.model.processing_earthmind import EarthMindProcessor
from eocore.errors import DataError
from eocore.evaluate.protocols import LongAnswers, Shown
from eocore.portable.messages import as_turns, with_images
from eocore.portable.position_limit import most_prompt_tokens


def answer_long(model: Any, shown: Sequence[Shown], *, text: str, num_tiles: int, long: str, max_new_tokens: int) -> LongAnswers:
    """See `eocore.evaluate.protocols.AnswersLong`."""
    options = replace(model.processor.options, min_tiles=num_tiles, max_tiles=num_tiles, use_thumbnail=False, series_tiles=1)
    processor = EarthMindProcessor(model.processor.tokenizer, options, chat_template=model.processor.chat_template)
    caches: list[Any] = []
    hook = model.language_model.get_decoder().register_forward_hook(lambda _module, _inputs, output: _keep(caches, output))
    try:
        turns = with_images(as_turns([("user", text)]))
        longest = model.longest_prompt(long)
        samples = [processor.encode(_images(each), turns, for_generation=True, max_length=longest, with_grounding=False) for each in shown]
        batch = processor.collate(samples, left_pad=True)
        answers = model.answer(batch, processor, sizes=[(1, 1)] * len(shown), max_new_tokens=max_new_tokens, long=long)
    except ValueError as error:  # what the model's own code raises for samples it cannot take
        raise DataError(f"the model cannot answer this: {str(error).lstrip(': ')}") from error
    finally:
        hook.remove()
    cache = caches[-1]
    size = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))
    return LongAnswers([answer.text for answer in answers], cache.get_seq_length(), size / len(shown))


def most_tiles(config: EarthMindConfig, long: str) -> int | None:
    """See `eocore.evaluate.protocols.AnswersLong`: of the images' tokens alone, without the words around them.

    Raises:
        DataError: the method cannot be used with this model.
    """
    positions = most_prompt_tokens(config.text_config)
    try:
        ratio = long_input_of(config, long).ratio
    except ValueError as error:
        raise DataError(str(error).lstrip(": ")) from error
    return None if positions is None else positions * ratio // config.tokens_per_tile


def set_tiles(model: Any, num_tiles: int) -> None:
    """Cuts images that the model is asked about into up to so many tiles, whatever it was trained with."""
    processor = model.processor
    processor.options = replace(processor.options, max_tiles=num_tiles)


def _images(shown: Shown) -> Images:
    return {"rgb": shown} if isinstance(shown, np.ndarray) else shown


def _keep(caches: list[Any], output: Any) -> None:
    caches[:] = [output.past_key_values]
