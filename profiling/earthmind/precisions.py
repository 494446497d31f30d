"""Answers in float32, bfloat16 and 8 bits, in turn in one run, from the same weights."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from eocore.predict.precision import load_dtype, settle
from eocore.system import DTYPES, PredictorOptions
from profiling.earthmind.inference import Answers, build_answers
from profiling.measures.timing import time_in_turn

FLOAT32 = "float32"


def compare_precisions(
    config: Mapping[str, Any], names: Sequence[str], *, batches: Sequence[int], new_tokens: int | None, repeats: int
) -> list[dict[str, float | str]]:
    """Answers of dictated words on the CPU, where alone weights are held in 8 bits.

    Args:
        config: of the task; weights are random.
        names: sample kinds.
        batches: questions answered together.
        new_tokens: of each answer; None = as many as the kind learns in training.
        repeats: timed calls of each precision; the fastest counts.

    Returns:
        a row for each kind and batch: seconds of each precision, and how many times faster than float32 the others are.
    """
    sides = make_sides(config)
    rows: list[dict[str, float | str]] = []
    for name in names:
        for count in batches:
            questions = sides[FLOAT32].questions(name, together=count, new_tokens=new_tokens)
            works = {kind: partial(answers.ask, questions) for kind, answers in sides.items()}
            seconds = {kind: found.best for kind, found in time_in_turn(works, repeats=repeats).items()}
            faster = {f"{kind} faster x": seconds[FLOAT32] / taken for kind, taken in seconds.items() if kind != FLOAT32}
            rows.append({"what": f"{name}, batch {count}", **{f"{kind} s": taken for kind, taken in seconds.items()}, **faster})
    return rows


def make_sides(config: Mapping[str, Any]) -> dict[str, Answers]:
    """Precision -> answers of a model with the same random weights, on the CPU."""
    first = build_answers(config, None, device=torch.device("cpu"), dtype=torch.float32, generation={})
    sides = {FLOAT32: first}
    for kind in DTYPES:
        if kind != FLOAT32:
            options = PredictorOptions(dtype=kind)
            model = copy.deepcopy(first.model).to(load_dtype(options, "cpu"))
            sides[kind] = Answers(settle(model, options), first.processor, generation={})
    return sides
