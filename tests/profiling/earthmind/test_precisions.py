"""Answers in float32, bfloat16 and 8 bits beside each other."""

from typing import Any

import pytest
import torch

from eocore.models.int8_layers import Int8Linear
from profiling.earthmind.precisions import compare_precisions, make_sides


def test_sides_hold_the_same_weights_in_their_own_way(settings: dict[str, Any]) -> None:
    sides = make_sides(settings)
    kinds = {kind: next(answers.model.vision_tower.parameters()).dtype for kind, answers in sides.items()}
    assert kinds == {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}
    eight_bits = [kind for kind, answers in sides.items() if any(isinstance(layer, Int8Linear) for layer in answers.model.modules())]
    assert eight_bits == ["int8"]


def test_rows_tell_the_ratio_to_float32(settings: dict[str, Any]) -> None:
    (row,) = compare_precisions(settings, ["vqa"], batches=[2], new_tokens=3, repeats=1)
    assert row["what"] == "vqa, batch 2"
    for kind in ("bfloat16", "int8"):
        assert row[f"{kind} faster x"] == pytest.approx(float(row["float32 s"]) / float(row[f"{kind} s"]))
