"""Generation by an EarthMind model: transformers' `generate` with images, and `answer`, which draws masks too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin

from eocore.portable.answer_row import RowOptions
from eocore.portable.duplicates import find_duplicates
from eocore.portable.generation_options import check_sees_images
from eocore.portable.image_memory import ImageMemory
from eocore.portable.position_limit import check_prompt_length, limit_answers
from eocore.portable.row_inputs import ROW_INPUTS, TEXT_INPUTS, from_rows
from eocore.portable.row_packing import VisionInputs, to_device
from eocore.portable.running_batch import has_fixed_cache
from eocore.portable.text_splicing import TOKENIZING

from .answering import Answer, Reading, answer_settings, one_at_a_time, seg_states
from .batching import Batch
from .long_inputs import behind_prompt
from .processing_earthmind import EarthMindProcessor
from .row_answers import RowAnswersMixin, WrittenRow, add_importance


class EarthMindGenerationMixin(RowAnswersMixin, GenerationMixin):
    """What `EarthMindForConditionalGeneration` adds to transformers' generation.

    Attributes:
        processor, shorten: of the model.
    """

    processor: Any
    shorten: Any

    def _from_rows(self, input_ids: Tensor | None, attention_mask: Tensor | None, *, given: Mapping[str, Any]) -> VisionInputs | None:
        """The images that came as `processor(...)` returns them; None without."""
        rows = {name: given[name] for name in (*ROW_INPUTS, *TEXT_INPUTS) if given.get(name) is not None}
        if not rows or input_ids is None:
            return None
        sizes = {"image_token_id": self.config.image_token_id, "tokens_per_tile": self.config.tokens_per_tile}
        return from_rows(rows, input_ids, attention_mask=attention_mask, **sizes)

    @torch.no_grad()
    def generate(self, inputs: Tensor | None = None, **kwargs: Any) -> Any:
        """`GenerationMixin.generate`, with the images encoded once and merged into the prompt before it starts.

        Args:
            inputs: ids of the prompts (R, S), padded in front; also as `input_ids`.
            **kwargs: images as `processor(...)` returns them, or `vision` of a batch from `processor.collate`; `long`, what is done with
                long inputs (`LongInputsMixin.long_input`); and what transformers takes: about text alone without limits, about images but
                for options in which they would be lost.

        Raises:
            GenerationOptionError: the images would be lost, as with use_cache=False: later steps would read ids, which hold no image.
            SampleTooLongError: a prompt has more tokens than the language model has positions.
            ValueError: prompts and images do not belong together.
        """
        prompt = inputs if inputs is not None else kwargs.pop("input_ids", None)
        vision = kwargs.pop("vision", None) or self._from_rows(prompt, kwargs.get("attention_mask"), given=kwargs)
        kwargs = {name: value for name, value in kwargs.items() if name not in (*ROW_INPUTS, *TEXT_INPUTS)}
        own, asked, read = self.generation_config, kwargs.pop("long", None), prompt
        if vision is not None:
            check_sees_images(kwargs, own)
            kwargs["inputs_embeds"] = self.embed(prompt, vision, duplicates=find_duplicates(vision.tiles))[0]
            kwargs = self.shorten({**kwargs, "input_ids": prompt}, asked, pad_token_id=kwargs.get("pad_token_id", own.pad_token_id) or 0)
            read = kwargs.pop("input_ids")
        elif kwargs.get("inputs_embeds") is not None:
            check_sees_images(kwargs, own)
        check_prompt_length(self.config.text_config, read, attention_mask=kwargs.get("attention_mask"))
        stops = kwargs.get("stop_strings") or (kwargs.get("generation_config") or own).stop_strings or own.stop_strings
        if stops and kwargs.get("tokenizer") is None:
            kwargs["tokenizer"] = self.processor.tokenizer
        limit = limit_answers(self.config.text_config, read, options=kwargs, settings=kwargs.get("generation_config") or own)
        with one_at_a_time(self.config.text_config):
            made = super().generate(read, **kwargs)
        if limit is not None:
            limit.warn()
        return made if read is prompt else behind_prompt(made, prompt, num_read=read.shape[1])

    @torch.no_grad()
    def answer(
        self,
        batch: Batch,
        processor: EarthMindProcessor,
        *,
        sizes: Sequence[tuple[int, int]],
        max_new_tokens: int = 256,
        share_prefix: bool = True,
        long: str | None = None,
        **kwargs: Any,
    ) -> list[Answer]:
        """Answers and masks of a left-padded batch from `processor.collate(..., left_pad=True)`.

        Nothing of it is kept on the model: several threads may ask at once.

        Args:
            sizes: (height, width) [px] each sample's masks are scaled to.
            max_new_tokens: longest answer.
            share_prefix: read once what prompts about the same images have in common.
            long: what is done with long inputs, such as "compress:8"; see `LongInputsMixin.long_input`.
            **kwargs: `rows`, `RowOptions` of each answer beside those of all, and `memory`, the `ImageMemory` of this model (both with a
                cache that grows); and how answers are generated: `generation_options.OPTIONS`, without which the likeliest token is taken,
                and `generation_options.OBJECTS` of transformers' `generate`.

        Raises:
            GenerationOptionError: an option is unknown, has a wrong value, or does not keep answers and masks together, here or in the
                model's generation config.
            ValueError: the processor is of another model.
        """
        rows: Sequence[RowOptions] | None = kwargs.pop("rows", None)
        memory: ImageMemory | None = kwargs.pop("memory", None)
        settings = answer_settings(processor, kwargs, own=self.generation_config, max_new_tokens=max_new_tokens)
        if processor.seg_token_id != self.config.seg_token_id or processor.image_token_id != self.config.image_token_id:
            raise ValueError(
                f"[SEG] and the image token are {processor.seg_token_id} and {processor.image_token_id} for the processor, but the model "
                f"learned {self.config.seg_token_id} and {self.config.image_token_id}: answers would mean nothing. Take the model's own."
            )
        if self.joins_rows(settings, long):
            asked = rows or [RowOptions(max_new_tokens=max_new_tokens)] * len(sizes)
            options = [replace(row, settings={**settings, **row.settings}) for row in asked]
            return self.answer_rows(batch, processor, sizes=sizes, options=options, share_prefix=share_prefix, memory=memory)
        if rows is not None:
            raise ValueError("rows= needs a cache that grows, and none of the objects of transformers' generate. Leave it out.")
        reading = Reading()
        with one_at_a_time(self.config.text_config):
            given, importance = self._start(batch, settings, long=long)
            # a cache of fixed size has no column for the last token, which may be a [SEG] that must be read
            longest = max_new_tokens + int(has_fixed_cache(self, settings))
            sequences = self.generate(**given, reading=reading, max_new_tokens=longest, **settings)
            written = sequences[:, given["input_ids"].shape[1] :][:, :max_new_tokens]
            self._read_last(sequences, written, reading=reading, seg_token_id=processor.seg_token_id)
        states = seg_states(written, states=reading.states, seg_token_id=processor.seg_token_id)
        written_rows = [WrittenRow(ids, own) for ids, own in zip(written, states, strict=True)]
        answers = self.make_answers(processor, written_rows, draw_on=batch.draw_on, names=batch.names, sizes=sizes)
        add_importance(answers, batch.vision, importance=importance)
        return answers

    def _read_last(self, sequences: Tensor, written: Tensor, *, reading: Reading, seg_token_id: int) -> None:
        """Reads the last token where an answer ends with a [SEG], whose state nothing has read yet."""
        step, reading.next_step = reading.next_step, {}
        if len(reading.states) <= written.shape[1] and bool((written[:, -1] == seg_token_id).any()):
            inputs = self.prepare_inputs_for_generation(sequences, next_sequence_length=1, **step)
            reading.states.append(self(**inputs, return_dict=True).last_state)

    def _start(self, batch: Batch, settings: dict[str, Any], *, long: str | None) -> tuple[dict[str, Any], Tensor | None]:
        """Arguments of `generate` about a batch; (T, N) weights of the fusion."""
        given: dict[str, Any] = {"input_ids": batch.input_ids.to(self.device)}
        if batch.attention_mask is not None:
            given["attention_mask"] = batch.attention_mask.to(self.device)
        if batch.vision is None:
            return given, None
        vision = to_device(batch.vision, self.device)
        embeddings, fused = self.embed(given["input_ids"], vision, duplicates=find_duplicates(vision.tiles))
        short = self.shorten({**given, "inputs_embeds": embeddings, **settings}, long, pad_token_id=settings["pad_token_id"])
        return {name: short[name] for name in short if name not in settings}, fused.importance

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        *,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        reading: Reading | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As in transformers; `reading` goes along with the loop, not into its steps, which may be compiled."""
        given = {"past_key_values": past_key_values, "inputs_embeds": inputs_embeds, **kwargs}
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, **given)
        return inputs

    def _update_model_kwargs_for_generation(self, outputs: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in transformers; `reading` keeps the state of the token just read."""
        updated: dict[str, Any] = super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)
        reading = updated.get("reading")
        if reading is not None:
            reading.states.append(outputs.last_state.clone())  # a captured graph writes the next step's over it
            reading.next_step = {name: value for name, value in updated.items() if name != "reading"}
        return updated

    def _get_stopping_criteria(self, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, one thread at a time: texts that stop are looked up in tables that all threads share."""
        with TOKENIZING:
            return super()._get_stopping_criteria(*args, **kwargs)
