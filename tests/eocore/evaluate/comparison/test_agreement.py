"""How alike two predictions files are."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from eocore.errors import DataError
from eocore.evaluate.__main__ import main
from eocore.evaluate.comparison.agreement import mask_ious, measure_agreement
from eocore.evaluate.predictions import Prediction, format_prediction


def square(side: int, *, size: int = 20) -> dict:
    mask = np.zeros((size, size), dtype=np.uint8)
    mask[:side, :side] = 1
    packed = coco.encode(np.asfortranarray(mask))
    return {"size": [size, size], "counts": packed["counts"].decode()}


def drawn(*sides: int, text: str = "Sure.", number: int = 0) -> Prediction:
    return Prediction(f"r{number}", "referring", ("a.png",), "fused", "?", text, "", {}, tuple(map(square, sides)), (square(4),))


def said(text: str | None, *, number: int = 0, sensor: str = "fused") -> Prediction:
    return Prediction(f"v{number}", "vqa", ("a.png",), sensor, "?", text, "yes", {})


def test_masks_are_paired_in_order_and_one_alone_counts_nothing() -> None:
    assert mask_ious(drawn(4, 8), drawn(8, 8)) == [0.25, 1.0]
    assert mask_ious(drawn(4, 8), drawn(4)) == [1.0, 0.0] == mask_ious(drawn(4), drawn(4, 8))
    assert mask_ious(drawn(0), drawn(0)) == [1.0] and mask_ious(drawn(0), drawn(4)) == [0.0]
    assert mask_ious(drawn(), drawn()) == []


def test_a_line_for_each_task_and_setting_and_one_for_all() -> None:
    first = [said("yes"), said("no", number=1), said("no", sensor="sar"), drawn(4), drawn(8, number=1)]
    second = [said("yes"), said("yes", number=1), said("no", sensor="sar"), drawn(8, text="Here."), drawn(8, number=1)][::-1]
    assert measure_agreement(first, second) == [
        {"task": "vqa", "setting": "fused", "n": 2, "equal": 0.5, "masks": 0, "mask_iou": None},
        {"task": "vqa", "setting": "sar", "n": 1, "equal": 1.0, "masks": 0, "mask_iou": None},
        {"task": "referring", "setting": "fused", "n": 2, "equal": 0.5, "masks": 2, "mask_iou": 0.625},
        {"task": "all", "setting": "all", "n": 5, "equal": 0.6, "masks": 2, "mask_iou": 0.625},
    ]


@pytest.mark.parametrize("second", [[said("no")], [said("no"), said(None, number=1)], [said("no"), said("no", number=2)]])
def test_other_samples_are_refused(second: list[Prediction]) -> None:
    with pytest.raises(DataError, match=r"1 samples are answered only in the first file \(v1\).*Predict the rest"):
        measure_agreement([said("yes"), said("no", number=1)], second)
    with pytest.raises(DataError, match="0 in the first at all"):
        measure_agreement([], [])


def test_masks_of_other_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="r0"):
        mask_ious(drawn(4), replace(drawn(4), prediction_masks=(square(4, size=21),)))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, samples in {"a": [said("yes"), drawn(4)], "b": [said("no"), drawn(8)]}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(format_prediction(sample) + "\n" for sample in samples))
    words = ["compare", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--alike", "--out", tmp_path / "c.json"]
    assert main([str(word) for word in words]) == 0
    shown = capsys.readouterr().out
    assert "equal answers" in shown and "50.0" in shown and "25.00" in shown
    assert json.loads((tmp_path / "c.json").read_text())[-1] == {
        "task": "all", "setting": "all", "n": 2, "equal": 0.5, "masks": 1, "mask_iou": 0.25
    }  # fmt: skip
