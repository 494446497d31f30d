"""Ranks that see unlike samples (no image, no mask, masks, pairs, regions) update the weights as one process does on all of them together.

DeepSpeed sends gradients in the order in which they arrive; a rank that left a part of the model out, or came to it in another order, would
hang, abort, or add up gradients of different weights.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import forked
import pytest
from ports import free_port
from safetensors.torch import load_file
from tolerances import WEIGHTS_AFTER_UPDATES
from torch import Tensor

PROGRAM = Path(__file__).with_name("mixed_samples.py")
LEAST_CHANGE = 5e-5
"""Of the parts that not every sample reaches: else there would be nothing to compare."""
PARTS = (
    "fusion.queries",
    "projector.linear_1.weight",
    "seg_head.projector.0.weight",
    "seg_head.gate.weight",
    "seg_head.sam.mask_decoder.iou_token.weight",
    "seg_head.sam.mask_decoder.conv_s0.weight",
)


def load_program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mixed_samples", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mixed = load_program()


def launch(folder: Path, cases: str, *, timeout_s: int) -> None:
    for done in forked.run_ranks([PROGRAM, folder, cases], ranks=2, cwd=folder, port=free_port(), timeout_s=timeout_s):
        assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mixed")


@pytest.fixture(scope="module")
def alone(folder: Path) -> Callable[[str, str], dict[str, Tensor]]:
    """What one process without DeepSpeed makes of the whole global batch."""
    return cache(lambda freedom, deal: mixed.update_alone(folder, freedom, deal))


@pytest.fixture(scope="module")
def quick_run(folder: Path) -> None:
    launch(folder, "quick", timeout_s=900)


@pytest.fixture(scope="module")
def whole_run(folder: Path) -> None:
    launch(folder, "all", timeout_s=900)


def check(case: dict[str, Any], folder: Path, alone: Callable[[str, str], dict[str, Tensor]]) -> None:
    found, expected = load_file(mixed.result_file(folder, case)), alone(case["freedom"], case["deal"])
    assert set(found) == set(expected)
    wrong = {name: (found[name] - value).abs().max().item() for name, value in expected.items()}
    wrong = {name: error for name, error in wrong.items() if not error <= WEIGHTS_AFTER_UPDATES.atol}
    assert not wrong


def name_of(case: dict[str, Any]) -> str:
    return "-".join(map(str, case.values()))


@pytest.mark.parametrize("case", mixed.quick_cases(), ids=name_of)
def test_unlike_ranks_update_as_one_process(
    case: dict[str, Any], quick_run: None, folder: Path, alone: Callable[[str, str], dict[str, Tensor]]
) -> None:
    check(case, folder, alone)


@pytest.mark.slow
@pytest.mark.parametrize("case", mixed.all_cases(), ids=name_of)
def test_every_stage_deal_and_freeze_updates_as_one_process(
    case: dict[str, Any], whole_run: None, folder: Path, alone: Callable[[str, str], dict[str, Tensor]]
) -> None:
    check(case, folder, alone)


@pytest.mark.parametrize("freedom", mixed.FREEDOMS)
@pytest.mark.parametrize("deal", mixed.DEALS)
def test_the_update_reaches_every_part(freedom: str, deal: str, folder: Path, alone: Callable[[str, str], dict[str, Tensor]]) -> None:
    before = dict(mixed.build_task(folder, freedom).named_parameters())
    for part in PARTS:
        changed = (alone(freedom, deal)[f"model.{part}"] - before[f"model.{part}"]).abs().max()
        assert changed > LEAST_CHANGE, f"{part}: {changed:.1e}"


def test_every_deal_meets_every_stage_freedom_and_size_of_buckets() -> None:
    cases = mixed.all_cases()
    for name, choices in (("stage", range(4)), ("freedom", mixed.FREEDOMS), ("buckets", mixed.BUCKETS)):
        assert {(case[name], case["deal"]) for case in cases} == {(choice, deal) for choice in choices for deal in mixed.DEALS}
    assert {(case["stage"], case["freedom"]) for case in cases} == {(stage, freedom) for stage in range(4) for freedom in mixed.FREEDOMS}


def test_the_deals_hold_every_kind_of_sample() -> None:
    assert {kind for deal in mixed.DEALS.values() for share in deal for kind in share} == set(mixed.SAMPLES)
    assert {tuple(map(len, deal)) for deal in mixed.DEALS.values()} == {(3, 3)}, "the mean over ranks is the mean over samples"
