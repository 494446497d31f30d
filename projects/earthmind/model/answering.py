"""From generated tokens to answers: states of [SEG], images to draw on, masks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.modeling_outputs import CausalLMOutputWithPast

from .repeats import find_repeats
from .seg_head import DrawnMasks, SegHead

DrawOn = Callable[[], Tensor]
"""Prepares the grounding images (G, C, S, S) uint8 of a sample; called for those that masks are asked of."""


@dataclass
class Answer:
    """One answer: `text`, and `masks` (K, H, W) bool at the image's own size, one per [SEG]; `mask_logits` (K, h, w) before resizing."""

    text: str
    masks: np.ndarray
    mask_logits: Tensor


@dataclass
class ReadOutput(CausalLMOutputWithPast):
    """What the model gives for a step of generation; `last_state` (B, D) is the last layer's state at the last token."""

    last_state: Tensor | None = None


def seg_states(texts: Tensor, states: Sequence[Tensor], seg_token_id: int) -> list[list[Tensor]]:
    """States (D,) of each row's [SEG] tokens, in order.

    Args:
        texts: (R, L) generated tokens.
        states: (R, D) of each step: of the prompt's last token, then of each generated token as it was read back; one step more than L.
        seg_token_id: id of [SEG].
    """
    found: list[list[Tensor]] = [[] for _ in texts]
    for row, step in (texts == seg_token_id).nonzero().tolist():
        found[row].append(states[step + 1][row])
    return found


def draw_answers(head: SegHead, rows: Sequence[Sequence[Tensor]], draw_on: Sequence[DrawOn | None]) -> dict[int, Tensor]:
    """Mask logits (K, h, w) of each row with [SEG] and something to draw on; each different image is encoded once, for them alone.

    Args:
        head: of the model.
        rows: states (D,) of each row's [SEG] tokens.
        draw_on: of each row.
    """
    wanted = [(row, make) for row, make in enumerate(draw_on) if make is not None and rows[row]]
    if not wanted:
        return {}
    device = rows[wanted[0][0]][0].device
    stacks = [make() for _, make in wanted]
    first, place = find_repeats(torch.cat(stacks))
    owner = torch.repeat_interleave(torch.arange(len(wanted)), torch.tensor([len(stack) for stack in stacks]))
    encoded = head.encode(torch.cat(stacks)[first].to(device))
    features = head.combine([level[place.to(device)] for level in encoded], owner.to(device), len(wanted))
    counts = [len(rows[row]) for row, _ in wanted]
    states = torch.stack([state for row, _ in wanted for state in rows[row]])
    sample = torch.repeat_interleave(torch.arange(len(wanted)), torch.tensor(counts)).to(device)
    slot = torch.cat([torch.arange(count) for count in counts]).to(device)
    drawn: DrawnMasks = head.draw(head.point(states), features, sample, slot, max(counts))
    return {row: masks for (row, _), masks in zip(wanted, drawn.chosen.split(counts), strict=True)}


def size_of(image: Any) -> tuple[int, int]:
    """(height, width) [px] of a scene, an array or a Pillow image."""
    if hasattr(image, "pixels"):
        return tuple(image.pixels.shape[1:])
    if isinstance(image, np.ndarray):
        return image.shape[0], image.shape[1]
    return image.height, image.width
