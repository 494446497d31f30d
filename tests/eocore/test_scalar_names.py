"""Names in scalars.jsonl."""

from eocore.scalar_names import measures_of, points

RECORDS = [
    {"step": 1, "loss": 3.0, "lr": 0.1},
    {"step": 2, "val/loss": 2.0, "val/fused/loss": 2.5, "val/fused/mcq/accuracy": 0.5, "val/sar/mcq/accuracy": 0.25},
    {"step": 3, "loss": 1.0},
]


def test_a_curve_has_the_steps_at_which_its_name_stands() -> None:
    assert points(RECORDS, "loss") == ([1, 3], [3.0, 1.0])
    assert points(RECORDS, "loss_mask") == ([], [])


def test_measures_are_told_from_losses() -> None:
    assert measures_of(RECORDS) == {"mcq/accuracy": {"fused": "val/fused/mcq/accuracy", "sar": "val/sar/mcq/accuracy"}}
