"""The loss-curve picture and the file it is drawn from."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eocore.train.curves import draw_curves


def write(path: Path, records: list[dict[str, float]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_one_panel_for_each_loss_and_the_rate(tmp_path: Path) -> None:
    few = write(tmp_path / "few.jsonl", [{"step": s, "loss": 1 / s, "lr": 0.1, "accuracy": 1.0} for s in range(1, 5)])
    many = write(tmp_path / "many.jsonl", [{"step": s, "loss": 1 / s, "loss_a": 1.0, "loss_b": 2.0, "lr": 0.1} for s in range(1, 5)])
    draw_curves(few, tmp_path / "few.png")
    draw_curves(many, tmp_path / "many.png")
    small, large = np.asarray(Image.open(tmp_path / "few.png").convert("L")), np.asarray(Image.open(tmp_path / "many.png").convert("L"))
    assert large.shape[0] > 1.5 * small.shape[0], "four panels need a second row, two do not"
    assert (small < 250).mean() > 0.01, "something is drawn"


def test_a_loss_that_begins_later_is_drawn(tmp_path: Path) -> None:
    scalars = write(tmp_path / "s.jsonl", [{"step": 1, "loss": 2.0, "lr": 0.1}, {"step": 2, "loss": 1.0, "loss_mask": 1.0, "lr": 0.1}])
    draw_curves(scalars, tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 0


def test_results_of_validation_have_their_marks_and_panels(tmp_path: Path) -> None:
    steps = [{"step": step, "loss": 3.0 / step, "lr": 0.1} for step in range(1, 5)]
    held_out = {"val/loss": 2.0, "val/fused/mcq/accuracy": 0.5, "val/sar/mcq/accuracy": 0.4}
    for name, records in (("plain", steps), ("validated", [*steps, {"step": 2, **held_out}, {"step": 4, **held_out}])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        draw_curves(tmp_path / f"{name}.jsonl", tmp_path / f"{name}.png")
    plain, validated = (Image.open(tmp_path / f"{name}.png").size for name in ("plain", "validated"))
    assert (plain[0] * 3, plain[1]) == pytest.approx((validated[0] * 2, validated[1]), abs=4), "a panel more in the row"


def test_a_step_that_is_not_finite_leaves_the_smooth_curve(tmp_path: Path) -> None:
    gap = write(tmp_path / "gap.jsonl", [{"step": s, "loss": float("nan") if s == 2 else 2.0, "lr": 0.1} for s in range(1, 30)])
    draw_curves(gap, tmp_path / "gap.png")
    pixels = np.asarray(Image.open(tmp_path / "gap.png").convert("RGB")).astype(int)
    blue = (abs(pixels - (31, 119, 180)).sum(axis=-1) < 30).any(axis=0).nonzero()[0]  # tab:blue, the strong line
    assert np.ptp(blue) > 100
