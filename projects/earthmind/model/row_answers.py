"""Answers whose rows come and go (`eocore.portable.running_batch`), with what EarthMind adds: [SEG] states and masks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from eocore.portable.answer_row import AnswerRow, RowOptions
from eocore.portable.duplicates import find_duplicates
from eocore.portable.image_memory import ImageMemory
from eocore.portable.long_options import OFF
from eocore.portable.position_limit import check_prompt_length
from eocore.portable.row_packing import VisionInputs, to_device
from eocore.portable.running_batch import ReadPrompts, RunningBatch, can_join, read_prompts, write_rows
from eocore.portable.shared_prefix import PrefixPlan, plan_images, plan_prefixes, start_prompts

from .answering import Answer, draw_answers, make_answers
from .batching import Batch, DrawOn
from .moments import moments_of_answer
from .processing_earthmind import EarthMindProcessor


@dataclass(frozen=True)
class WrittenRow:
    """An answer as tokens.

    Attributes:
        tokens: (L,) generated.
        states: (D,) of its [SEG] tokens, in order; there may be some after its end.
    """

    tokens: Tensor
    states: Sequence[Tensor] = field(default_factory=list)


class RowAnswersMixin:
    """What `EarthMindForConditionalGeneration` adds to answers whose rows come and go.

    Attributes:
        config, device, generation_config, language_model, seg_head, embed, long_input: of the model.
    """

    config: Any
    device: Any
    generation_config: Any
    language_model: Any
    seg_head: Any
    embed: Any
    long_input: Any

    def joins_rows(self, settings: dict[str, Any], long: str | None) -> bool:
        """Whether answers with these options can be joined by others: not those about shortened inputs, nor those of `can_join`.

        Args:
            settings: from `answer_settings`.
            long: see `LongInputsMixin.long_input`.
        """
        return self.long_input(long).method == OFF and can_join(self, settings)

    def answer_rows(
        self,
        batch: Batch,
        processor: EarthMindProcessor,
        *,
        sizes: Sequence[tuple[int, int]],
        options: Sequence[RowOptions],
        share_prefix: bool = True,
        memory: ImageMemory | None = None,
    ) -> list[Answer]:
        """Answers and masks of a left-padded batch, see `answer`; `options` of each."""
        prompts, importance = self.read_rows(batch, share_prefix=share_prefix, memory=memory)
        rows = [AnswerRow(self, ids, options=own) for ids, own in zip(prompts.ids(), options, strict=True)]
        self.write_rows(prompts, rows, seg_token_id=processor.seg_token_id)
        written = [WrittenRow(torch.tensor(row.tokens), row.states) for row in rows]
        answers = self.make_answers(processor, written, draw_on=batch.draw_on, names=batch.names, sizes=sizes, memory=memory)
        add_importance(answers, batch.vision, importance=importance)
        return answers

    def read_rows(self, batch: Batch, *, share_prefix: bool = True, memory: ImageMemory | None = None) -> tuple[ReadPrompts, Tensor | None]:
        """The prompts of a left-padded batch, read; (T, N) weights of the fusion.

        Args:
            batch: of the processor's `collate`.
            share_prefix: what several prompts have in common is read once where that pays.
            memory: of this model. What it holds of the prompts' images is not computed again, neither their tokens nor what the language
                model makes of them; what it does not hold is added.

        Raises:
            SampleTooLongError: a prompt has more tokens than the language model has positions.
            ValueError: the memory is another model's.
        """
        if memory is not None:
            memory.check(self)
        ids = batch.input_ids.to(self.device)
        mask = torch.ones_like(ids) if batch.attention_mask is None else batch.attention_mask.to(self.device)
        check_prompt_length(self.config.text_config, ids, attention_mask=mask)
        decoder = self.language_model.get_decoder()
        if batch.vision is None:
            return read_prompts(decoder, self.embed(ids)[0], input_ids=ids, attention_mask=mask), None
        vision = to_device(batch.vision, self.device)
        duplicates = find_duplicates(vision.tiles)
        embeddings, fused = self.embed(ids, vision, duplicates=duplicates, memory=memory)
        if memory is not None and share_prefix:
            plan: PrefixPlan | None = plan_images(ids, mask, vision=vision)
        else:
            plan = plan_prefixes(ids, mask, vision=vision, content=duplicates[1]) if share_prefix else None
        if plan is None:
            return read_prompts(decoder, embeddings, input_ids=ids, attention_mask=mask), fused.importance
        started = start_prompts(decoder, embeddings, input_ids=ids, attention_mask=mask, plan=plan, memory=memory)
        return started, fused.importance

    def write_rows(self, prompts: ReadPrompts, rows: Sequence[AnswerRow], *, seg_token_id: int) -> None:
        """Writes answers to their ends. Raises what was raised in one of them."""
        write_rows(RunningBatch(self, watched=seg_token_id), prompts, rows=rows, text_config=self.config.text_config)

    def make_answers(
        self,
        processor: EarthMindProcessor,
        rows: Sequence[WrittenRow],
        *,
        draw_on: Sequence[Sequence[DrawOn] | None] | None,
        names: Sequence[Any],
        sizes: Sequence[tuple[int, int]],
        memory: ImageMemory | None = None,
    ) -> list[Answer]:
        """Text and masks of answers.

        Args:
            processor: of the model.
            rows: as they were written.
            draw_on, names: of each row, see `Batch`.
            sizes: (height, width) [px] of each row's masks.
            memory: see `read_rows`; of the images that masks are drawn on.
        """
        texts, counts = zip(*(processor.read_answer(row.tokens) for row in rows), strict=True)
        states = [list(row.states[:count]) for row, count in zip(rows, counts, strict=True)]
        moments = [moments_of_answer(text, own, count=len(found)) for text, own, found in zip(texts, names, states, strict=True)]
        logits = draw_answers(self.seg_head, states, draw_on=draw_on or [None] * len(rows), moments=moments, memory=memory)
        return make_answers(processor, texts, states=states, logits=logits, sizes=sizes, moments=moments)


def add_importance(answers: Sequence[Answer], vision: VisionInputs | None, *, importance: Tensor | None) -> None:
    """Gives each answer the weights (T, N) that the fusion gave the tokens of its own tiles, where it gave any."""
    if vision is None or importance is None:
        return
    owner, weights = vision.tile_sample.cpu(), importance.cpu()
    for row in owner.unique().tolist():
        answers[row].importance = weights[owner == row]
