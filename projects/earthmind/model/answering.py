"""From generated tokens to answers: states of [SEG], images to draw on, masks."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from eocore.portable.duplicates import find_duplicates
from eocore.portable.generation_options import check_answer_options, merge_options, stop_texts
from eocore.portable.image_memory import ImageMemory
from eocore.portable.row_cache import writes_to_itself

from .batching import DrawOn
from .mask_head import SegHead
from .processing_earthmind import EarthMindProcessor

_ONE_AT_A_TIME = threading.RLock()
FRAMES_AT_ONCE = 4
"""Frames that SAM 2 encodes together; its features of one at full size take about 100 MB."""


@dataclass
class Answer:
    """One answer.

    Attributes:
        text: with [SEG] and phrase marks.
        masks: (K, H, W) bool at the image's own size, one per [SEG].
        mask_logits: (K, h, w) before resizing.
        seg_states: states (D,) of the [SEG] tokens, from which masks can be drawn on further images.
        importance: (T, N) float32, weight that the fusion gave each token of the question's tiles; None without images.
        mask_moments: number of the moment that each mask is drawn on; all 0 without a series.
    """

    text: str
    masks: np.ndarray
    mask_logits: Tensor
    seg_states: Sequence[Tensor] = ()
    importance: Tensor | None = None
    mask_moments: Sequence[int] = ()


@dataclass
class Reading:
    """What one call of `generate` reads. It travels through that call as an argument, so that calls of other threads never meet it.

    Attributes:
        states: (R, D) of each step: of the prompt's last token, then of each generated token as it was read back.
        next_step: arguments of the step that would follow, as transformers keeps them.
    """

    states: list[Tensor] = field(default_factory=list)
    next_step: dict[str, Any] = field(default_factory=dict)


class FirstTokens:
    """A streamer that hands on the prompt and the first tokens of the answer to another.

    Args:
        streamer: of transformers, or anything with `put` and `end`.
        num_tokens: tokens of the answer that are handed on.
    """

    def __init__(self, streamer: Any, num_tokens: int) -> None:
        self.streamer = streamer
        self.left = num_tokens + 1  # the prompt comes first, as one piece

    def put(self, value: Tensor) -> None:
        """Takes the prompt, or the next token of each row."""
        if self.left > 0:
            self.left -= 1
            self.streamer.put(value)

    def end(self) -> None:
        """Says that the answer is complete."""
        self.streamer.end()


def one_at_a_time(text_config: Any) -> AbstractContextManager[Any]:
    """What threads wait for before they generate: nothing, but for language models that write to themselves as they read."""
    return _ONE_AT_A_TIME if writes_to_itself(text_config) else nullcontext()


def answer_settings(
    processor: EarthMindProcessor, options: Mapping[str, Any], *, own: GenerationConfig, max_new_tokens: int
) -> dict[str, Any]:
    """Arguments of `generate`, but for the length.

    Args:
        processor: says what ends an answer.
        options: of the call.
        own: the model's generation config.
        max_new_tokens: longest answer.

    Raises:
        GenerationOptionError: see `check_answer_options`.
    """
    options = merge_options(options)
    check_answer_options(options, own, max_new_tokens=max_new_tokens)
    ending = processor.stop_settings()
    # the model's own min_length would lengthen answers
    settings = {"do_sample": False, "min_length": 0, **ending, **options}
    stops = stop_texts(own.stop_strings, ending.get("stop_strings"), options.get("stop_strings"))
    if stops:
        settings |= {"stop_strings": stops, "tokenizer": processor.tokenizer}
    if options.get("streamer") is not None:
        settings["streamer"] = FirstTokens(options["streamer"], max_new_tokens)
    return settings


def seg_states(texts: Tensor, *, states: Sequence[Tensor], seg_token_id: int) -> list[list[Tensor]]:
    """States (D,) of the [SEG] tokens of each row, in order; a row may hold some after the end of its answer.

    Args:
        texts: (R, L) generated tokens.
        states: (R, D) of each step, see `Reading`; of all tokens of the answers.
        seg_token_id: id of [SEG].
    """
    found: list[list[Tensor]] = [[] for _ in texts]
    for row, step in (texts == seg_token_id).nonzero().tolist():
        if step + 1 < len(states):
            found[row].append(states[step + 1][row])
    return found


def draw_answers(
    head: SegHead,
    rows: Sequence[Sequence[Tensor]],
    *,
    draw_on: Sequence[Sequence[DrawOn] | None],
    moments: Sequence[Sequence[int]],
    memory: ImageMemory | None = None,
) -> dict[int, Tensor]:
    """Mask logits (K, h, w), float32, of each row with [SEG] and something to draw on; each different image is encoded once.

    Args:
        head: of the model.
        rows: states (D,) of each row's [SEG] tokens.
        draw_on: of each row, by moment.
        moments: of each row, number of the moment that each of its [SEG] tokens is drawn on.
        memory: of the model, where images are found that were encoded before.
    """
    wanted = {row: makers for row, makers in enumerate(draw_on) if makers is not None and rows[row]}
    if not wanted:
        return {}
    device = rows[next(iter(wanted))][0].device
    drawn_on = [(row, moment) for row in wanted for moment in moments[row]]
    sets = {key: number for number, key in enumerate(dict.fromkeys(drawn_on))}
    stacks = [wanted[row][moment]() for row, moment in sets]
    images = torch.cat(stacks)
    owner = torch.repeat_interleave(torch.arange(len(sets)), torch.tensor([len(stack) for stack in stacks]))
    if memory is None:
        first, index = find_duplicates(images)
        encoded = [level[index.to(device)] for level in head.encode(images[first].to(device))]
    else:
        encoded = memory.encode(images, lambda new: head.encode(new.to(device)), kind="grounding")
    features = head.combine(encoded, owner.to(device), num_samples=len(sets))
    states = torch.stack([state for row in wanted for state in rows[row]])
    slots = [drawn_on[:position].count(key) for position, key in enumerate(drawn_on)]
    sample, slot = (torch.tensor(numbers, device=device) for numbers in ([sets[key] for key in drawn_on], slots))
    predicted = head.decode_masks(head.project_seg(states), features, sample=sample, slot=slot, num_slots=max(slots) + 1)
    counts = [len(rows[row]) for row in wanted]
    return {row: masks for row, masks in zip(wanted, predicted.chosen.float().split(counts), strict=True)}


def draw_frames(head: SegHead, states: Sequence[Tensor], *, images: Tensor) -> Tensor:
    """Mask logits (K, F, h, w), float32, of each prompt on each frame.

    Args:
        head: of the model.
        states: (D,) of each [SEG], at least one.
        images: (F, C, S, S) uint8, at least one.
    """
    prompts = head.project_seg(torch.stack(list(states)))
    count, drawn = len(prompts), []
    for chunk in images.split(FRAMES_AT_ONCE):
        frame = torch.arange(len(chunk), device=prompts.device)
        features = head.combine(head.encode(chunk.to(prompts.device)), frame, num_samples=len(chunk))
        slot = torch.arange(count, device=prompts.device).repeat(len(chunk))
        sample = frame.repeat_interleave(count)
        masks = head.decode_masks(prompts.repeat(len(chunk), 1), features, sample=sample, slot=slot, num_slots=count)
        drawn.append(masks.chosen.float().unflatten(0, (len(chunk), count)))
    return torch.cat(drawn).transpose(0, 1)


def make_answers(
    processor: EarthMindProcessor,
    texts: Sequence[str],
    *,
    states: Sequence[Sequence[Tensor]],
    logits: Mapping[int, Tensor],
    sizes: Sequence[tuple[int, int]],
    moments: Sequence[Sequence[int]],
) -> list[Answer]:
    """One answer a row.

    Args:
        processor: scales masks.
        texts: of the rows.
        states: (D,) of each row's [SEG] tokens.
        logits: (K, h, w) of each row with masks.
        sizes: (height, width) [px] of each row's masks.
        moments: number of the moment of each row's [SEG] tokens.
    """
    answers = []
    for row, (text, size) in enumerate(zip(texts, sizes, strict=True)):
        mask = logits.get(row)
        if mask is None:
            answers.append(Answer(text, np.zeros((0, *size), bool), torch.zeros(0, 1, 1), states[row]))
        else:
            answers.append(Answer(text, processor.post_process_masks(mask, size), mask, states[row], mask_moments=moments[row]))
    return answers


def size_of(image: Any) -> tuple[int, int]:
    """(height, width) [px] of a scene, an array or a Pillow image."""
    if hasattr(image, "pixels"):
        return tuple(image.pixels.shape[1:])
    if isinstance(image, np.ndarray):
        return image.shape[0], image.shape[1]
    return image.height, image.width
