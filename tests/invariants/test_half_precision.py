"""Every kind of sample trains in bfloat16 on two ranks under every ZeRO stage: near float32, and exactly on from a checkpoint."""

import json
from pathlib import Path
from typing import Any

import forked
import pytest
from ports import free_port
from tolerances import IN_BF16

PROGRAM = Path(__file__).with_name("half_precision.py")
TOLERANCE_OF_MASKS = 0.1
"""Relative, of the loss, where nothing but masks is drawn: of SAM 2's candidates the one with the highest predicted IoU is trained, and
rounding can make another one the highest. Found: 0.077."""
KINDS = ("vqa", "seg", "pair", "region", "several questions", "text", "mixed")
STAGES = ("0", "1", "2", "3")
OFFLOADED = [("mixed", "2_offload"), ("mixed", "3_offload")]
Results = dict[tuple[str, str], dict[str, Any]]


def launch(folder: Path, cases: str, *, timeout_s: int) -> Results:
    """Kind of sample and ZeRO stage -> what its trial gave."""
    for done in forked.run_ranks([PROGRAM, folder, cases], ranks=2, cwd=folder, port=free_port(), timeout_s=timeout_s):
        assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    return {(result["kind"], result["stage"]): result for result in json.loads((folder / f"{cases}.json").read_text())}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return launch(tmp_path_factory.mktemp("quick"), "quick", timeout_s=900)


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Results:
    results = launch(tmp_path_factory.mktemp("every"), "all", timeout_s=3600)
    print(table(results))
    return results


def table(results: Results) -> str:
    """A row a kind, a column a stage: largest relative deviation of the loss from float32; what was resumed inexactly is marked."""
    stages = list(dict.fromkeys(stage for _, stage in results))
    lines = ["| samples | " + " | ".join(f"ZeRO {stage}" for stage in stages) + " |", "|---" * (len(stages) + 1) + "|"]
    for kind in dict.fromkeys(kind for kind, _ in results):
        cells = [results.get((kind, stage)) for stage in stages]
        shown = ["-" if cell is None else f"{100 * cell['deviation']:.2f} %{'' if cell['same'] else ' (not exact)'}" for cell in cells]
        lines.append(f"| {kind} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def check(result: dict[str, Any]) -> None:
    assert result["last"] < result["first"], "it learns"
    assert 0 < result["deviation"] <= (TOLERANCE_OF_MASKS if result["kind"] == "seg" else IN_BF16.rtol), "another precision, and near"
    assert result["same"], "five steps, a checkpoint and five more are ten: losses, weights and moments bit by bit"


@pytest.mark.parametrize("stage", ["0", "2"])
def test_unlike_ranks_train_in_bf16_and_resume_exactly(stage: str, quick: Results) -> None:
    check(quick["mixed", stage])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "stage"), [(kind, stage) for kind in KINDS for stage in STAGES] + OFFLOADED)
def test_every_kind_of_sample_trains_in_bf16_under_every_stage(kind: str, stage: str, every: Results) -> None:
    check(every[kind, stage])
