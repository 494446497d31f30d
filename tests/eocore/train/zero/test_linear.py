"""What the linear layers of a ZeRO-3 engine keep for backward: as much as without an engine, and no weight."""

import json
import os
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from tolerances import ACROSS_ZERO_STAGES
from torch.nn import functional

from eocore.train.zero.linear import lean_linear, use_lean_linear

PROGRAM = Path(__file__).with_name("linear_program.py")
GROUP = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.mark.parametrize("trained", ["weight", "input", "both", "bias"])
def test_it_is_a_linear_layer(trained: str) -> None:
    torch.manual_seed(0)
    states, weight, bias = (torch.randn(*size) for size in ((2, 5, 4), (3, 4), (3,)))
    flags = {"states": trained in ("input", "both"), "weight": trained in ("weight", "both"), "bias": trained in ("bias", "both")}
    results = []
    for linear in (functional.linear, lean_linear):
        tensors = [tensor.clone().requires_grad_(flag) for tensor, flag in zip((states, weight, bias), flags.values(), strict=True)]
        output = linear(*tensors)
        output.square().sum().backward()
        results.append([output, *(tensor.grad for tensor in tensors)])
    for expected, found in zip(*results, strict=True):
        assert (expected is None) == (found is None)
        if expected is not None:
            torch.testing.assert_close(found, expected)


def test_a_process_without_zero_3_keeps_torch_s() -> None:
    plain = functional.linear
    use_lean_linear()
    assert functional.linear is plain


def run(case: str, folder: Path) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name not in GROUP}  # of a training that ran in this process
    environment |= {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = forked.run([PROGRAM, folder, case], cwd=folder, environment=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_an_engine_keeps_what_a_plain_model_does(tmp_path: Path) -> None:
    """So an estimate of the step holds for every stage."""
    plain, lean = run("plain", tmp_path), run("lean", tmp_path)
    print(plain["activations"], lean["activations"])
    assert lean["activations"] == plain["activations"]
    assert lean["weights"] == plain["weights"] == 0
    assert lean["loss"] == pytest.approx(plain["loss"], **ACROSS_ZERO_STAGES.approx)
    for name, gradient in plain["gradients"].items():
        close = {"rel": ACROSS_ZERO_STAGES.rtol, "abs": ACROSS_ZERO_STAGES.rtol * max(map(abs, gradient))}
        assert lean["gradients"][name] == pytest.approx(gradient, **close), name


@pytest.mark.slow
def test_deepspeed_s_own_keeps_inputs_and_torch_s_keeps_weights(tmp_path: Path) -> None:
    lean, own, off = (run(case, tmp_path) for case in ("lean", "deepspeed", "switched_off"))
    print({name: (case["activations"], case["weights"]) for name, case in (("lean", lean), ("deepspeed", own), ("switched_off", off))})
    assert own["activations"] > lean["activations"] and own["weights"] == 0
    assert off["activations"] == lean["activations"] and off["weights"] > 0
