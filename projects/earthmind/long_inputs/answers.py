"""Answers about pictures of many tiles, and what is remembered of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from earthmind.model.processing_earthmind import EarthMindProcessor
from eocore.errors import DataError
from eocore.evaluate.protocols import LongAnswers
from eocore.portable.messages import as_turns, with_images


def answer_long(model: Any, pictures: Sequence[np.ndarray], *, text: str, num_tiles: int, long: str, max_new_tokens: int) -> LongAnswers:
    """See `eocore.evaluate.protocols.AnswersLong`."""
    options = replace(model.processor.options, min_tiles=num_tiles, max_tiles=num_tiles, use_thumbnail=False)
    processor = EarthMindProcessor(model.processor.tokenizer, options, chat_template=model.processor.chat_template)
    caches: list[Any] = []
    hook = model.language_model.get_decoder().register_forward_hook(lambda _module, _inputs, output: _keep(caches, output))
    try:
        turns = with_images(as_turns([("user", text)]))
        samples = [
            processor.encode({"rgb": picture}, turns, for_generation=True, max_length=model.longest_prompt(long), with_grounding=False)
            for picture in pictures
        ]
        batch = processor.collate(samples, left_pad=True)
        sizes = [picture.shape[:2] for picture in pictures]
        answers = model.answer(batch, processor, sizes=sizes, max_new_tokens=max_new_tokens, long=long)
    except ValueError as error:  # what the model's own code raises for samples it cannot take
        raise DataError(f"the model cannot answer this: {str(error).lstrip(': ')}") from error
    finally:
        hook.remove()
    cache = caches[-1]
    size = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))
    return LongAnswers([answer.text for answer in answers], cache.get_seq_length(), size / len(pictures))


def set_tiles(model: Any, num_tiles: int) -> None:
    """Cuts images that the model is asked about into up to so many tiles, whatever it was trained with."""
    processor = model.processor
    processor.options = replace(processor.options, max_tiles=num_tiles)


def _keep(caches: list[Any], output: Any) -> None:
    caches[:] = [output.past_key_values]
