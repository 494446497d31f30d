"""A full-size model on one GPU: training steps one by one and packed, with and without recomputation and compilation, and decoding."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from earthmind.task import EarthMindTask
from eocore.log import get_logger
from profiling.earthmind.setting import build_setting
from profiling.earthmind.steps import StepFigures, Trainer, measure_training
from profiling.measures.memory import GIB, measure_peak
from profiling.measures.timing import time_once

Row = dict[str, float | str]
PROMPT_TOKENS, NEW_TOKENS = 320, 128
DECODED = (1, 32)
"""Batch sizes that are decoded."""
SHAPES: tuple[tuple[str, str, int, int | None], ...] = (
    ("vqa T=1", "vqa", 1, None),
    ("vqa T=5", "vqa5", 1, None),
    ("vqa T=10", "vqa10", 1, None),
    ("pair", "pair", 1, None),
    ("seg", "seg", 1, None),
    ("vqa T=1, row of 8,192", "vqa", 25, 8192),
    ("vqa T=1, row of 16,384", "vqa", 51, 16384),
)
"""Name, sample kind, samples together, tokens of a row. A sample of one tile has 320 tokens: 25 fill 8,000, 51 fill 16,320."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Fields of the task that a table compares."""

    name: str
    changes: Mapping[str, Any]


CHOICES = (
    Choice(name="all kept", changes={"gradient_checkpointing": "none"}),
    Choice(name="selective", changes={"gradient_checkpointing": "selective"}),
    Choice(name="recomputed", changes={"gradient_checkpointing": "full"}),
    Choice(name="all kept, compiled", changes={"gradient_checkpointing": "none", "compile": "static"}),
)


@dataclass(frozen=True, kw_only=True)
class GpuPlan:
    """What is measured.

    Attributes:
        seconds: no measurement begins after so long.
        shapes: see `SHAPES`.
        choices: fields of the task to compare.
        new_tokens: decoded for each prompt.
        repeats: timed steps of each.
    """

    seconds: float
    shapes: Sequence[tuple[str, str, int, int | None]] = SHAPES
    choices: Sequence[Choice] = CHOICES
    new_tokens: int = NEW_TOKENS
    repeats: int = 3


def measure_gpu(config: Mapping[str, Any], plan: GpuPlan, *, device: torch.device, dtype: torch.dtype, ceiling: float) -> list[Row]:
    """One row for each shape of each choice, then the rows of decoding; what no time is left for is named as not run.

    Args:
        config: of the task.
        plan: what is measured.
        device, dtype: of the weights.
        ceiling: of the machine.
    """
    end, rows = time.monotonic() + plan.seconds, []
    rows += _attempt("decode", end, measure=lambda: _decode_rows(config, device, dtype=dtype, new_tokens=plan.new_tokens))
    for choice in plan.choices:
        if time.monotonic() > end:
            rows += [_empty(f"{name}, {choice.name}", "no time was left") for name, *_ in plan.shapes]
            continue
        task = build_setting(config, device=device, dtype=dtype, changes=choice.changes)
        trainer = Trainer(task)
        for name, kind, together, row_length in plan.shapes:
            sizes = {"together": together, "row_length": row_length, "repeats": plan.repeats, "ceiling": ceiling}
            label = f"{name}, {choice.name}"
            rows += _attempt(label, end, measure=lambda t=trainer, k=kind, s=sizes, n=label: [_row(n, measure_training(t, k, **s))])  # type: ignore[misc]
        del trainer, task
        _give_back()
    return rows


def _attempt(name: str, end: float, *, measure: Callable[[], list[Row]]) -> list[Row]:
    """The rows of a measurement, or one that says why there are none."""
    if time.monotonic() > end:
        return [_empty(name, "no time was left")]
    get_logger().info("%s", name)
    try:
        return measure()
    except torch.OutOfMemoryError:
        _give_back()
        return [_empty(name, "out of memory")]


def _row(name: str, found: StepFigures) -> Row:
    speed = found.samples / found.seconds, found.tokens / found.seconds
    return {"what": name, "samples/s": speed[0], "tokens/s": speed[1], "MFU %": 100 * found.mfu, "peak GiB": found.peak.peak / GIB, "": ""}


def _empty(name: str, why: str) -> Row:
    none = float("nan")
    return {"what": name, "samples/s": none, "tokens/s": none, "MFU %": none, "peak GiB": none, "": why}


def _decode_rows(config: Mapping[str, Any], device: torch.device, *, dtype: torch.dtype, new_tokens: int) -> list[Row]:
    task = build_setting(config, device=device, dtype=dtype, changes={"lora": None, "gradient_checkpointing": "none"}).eval()
    rows = [_decode(task, batch, new_tokens=new_tokens) for batch in DECODED]
    del task
    _give_back()
    return rows


def _decode(task: EarthMindTask, batch: int, *, new_tokens: int) -> Row:
    """Text decoding after a prompt of `PROMPT_TOKENS` tokens; no token ends it early."""
    model = task.model
    prompt = torch.full((batch, PROMPT_TOKENS), 5, device=model.device)

    def decode() -> None:
        model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=0,
        )

    peak = measure_peak(decode)
    seconds = min(time_once(decode) for _ in range(2))
    speed = batch / seconds, batch * new_tokens / seconds
    row = _empty(f"decode, batch {batch}", f"{new_tokens} tokens after {PROMPT_TOKENS}")
    return row | {"samples/s": speed[0], "tokens/s": speed[1], "peak GiB": peak.peak / GIB}


def _give_back() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
