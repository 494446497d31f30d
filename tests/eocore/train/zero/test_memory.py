"""Memory by ZeRO stage, compared with what lives beside a real engine on two ranks."""

import json
from pathlib import Path

import forked
import pytest
from ports import free_port

from eocore.train.zero.memory import Sizes, state_memory
from eocore.train.zero.settings import load_zero_config

PROGRAM = Path(__file__).with_name("state_program.py")
SIZES = Sizes(total=6 * 256 * 256, trainable=4 * 256 * 256)
BILLION = Sizes(total=4_000_000_000, trainable=1_000_000_000)
CASES = [(0, "fp32"), (0, "bf16"), (1, "bf16"), (2, "fp32"), (2, "bf16"), (3, "bf16")]


def zero(stage: int, **changes: object) -> dict[str, object]:
    return load_zero_config(f"deepspeed_zero{stage}")["zero_optimization"] | changes


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    folder = tmp_path_factory.mktemp("state")
    command = [PROGRAM, folder, *(f"{stage}-{precision}" for stage, precision in CASES)]
    first, other = forked.run_ranks(command, ranks=2, cwd=folder, port=free_port())
    assert first.returncode == other.returncode == 0, first.stderr[-3000:] + other.stderr[-3000:]
    return dict(json.loads(first.stdout.splitlines()[-1]))


@pytest.mark.parametrize(("stage", "precision"), CASES)
def test_an_engine_keeps_what_is_estimated(stage: int, precision: str, measured: dict[str, int]) -> None:
    found = measured[f"{stage}-{precision}"]
    expected = state_memory(SIZES, zero(stage), precision=precision, num_ranks=2)  # type: ignore[arg-type]
    print(f"stage {stage} {precision}: measured {found}, estimated {expected.total - expected.buffers} to {expected.total}")
    assert 0.99 * (expected.total - expected.buffers) <= found <= 1.05 * expected.total


def test_stages_shard_what_they_say() -> None:
    ranks = {stage: state_memory(BILLION, zero(stage), precision="bf16", num_ranks=8) for stage in range(4)}
    assert [ranks[stage].optimizer for stage in range(4)] == [12e9, 1.5e9, 1.5e9, 1.5e9]
    assert [ranks[stage].gradients for stage in range(4)] == [2e9, 2e9, 0.25e9, 0.25e9]
    assert [ranks[stage].weights for stage in range(4)] == [8e9, 8e9, 8e9, 1e9]


def test_offloading_moves_to_main_memory() -> None:
    zero2 = load_zero_config("deepspeed_zero2_offload")["zero_optimization"]
    state = state_memory(BILLION, zero2, precision="bf16", num_ranks=1)
    assert (state.optimizer, state.host, state.update) == (0, 12e9, 0)
    zero3 = load_zero_config("deepspeed_zero3_offload")["zero_optimization"]
    state = state_memory(BILLION, zero3, precision="bf16", num_ranks=2)
    assert (state.weights, state.host) == (0, 4e9 + 6e9)


def test_the_peak_is_that_of_backward_or_of_the_update() -> None:
    state = state_memory(BILLION, zero(2), precision="bf16", num_ranks=1)
    assert state.peak(10**10) == state.total + 10**10
    assert state.peak(0) == max(state.total, state.total - state.buffers + 4 * 10**9)
