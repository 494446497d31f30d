"""A checkpoint is compared with its model in a process that knows nothing of the repository, and every kind of difference is found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from eocore.errors import CheckpointError
from eocore.export.hf import Shipment, write_checkpoint
from eocore.export.verify import Findings, compare, examine, verify_checkpoint

WHERE = Path("checkpoint")


@pytest.fixture
def findings(make_shipment: Callable[..., Shipment]) -> Findings:
    return examine(make_shipment())


def test_findings_leave_the_model_as_it_was(make_shipment: Callable[..., Shipment]) -> None:
    shipment = make_shipment()
    shipment.model.train()
    found = examine(shipment)
    assert shipment.model.training and all(parameter.grad is None for parameter in shipment.model.parameters())
    assert set(found.digests) == {"layer.weight", "layer.bias", "gain"} and found.outputs["out"].shape == (2, 4)


def test_reloaded_model_is_compared_in_a_clean_process(
    make_shipment: Callable[..., Shipment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipment = make_shipment()
    write_checkpoint(shipment, tmp_path / "out", card="")
    expected = examine(shipment)
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "torch.py").write_text("raise SystemExit('the import path was not clean')")
    monkeypatch.setenv("PYTHONPATH", str(trap))
    monkeypatch.chdir(trap)
    clean = "import os, sys\n    assert os.environ['HF_HUB_OFFLINE'] == '1' and 'eocore' not in sys.modules\n    return {"
    shipment.parity_check.write_text(shipment.parity_check.read_text().replace("return {", clean))
    differences = verify_checkpoint(tmp_path / "out", expected, parity_check=shipment.parity_check, auto_class=shipment.model_class)
    assert differences == {"out": 0.0}


def test_folder_that_does_not_load_gives_the_reason(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    shipment = make_shipment()
    write_checkpoint(shipment, tmp_path / "out", card="")
    (tmp_path / "out" / "parts.py").write_text("raise RuntimeError('broken code')\n")
    with pytest.raises(
        CheckpointError, match=r"does not load in a process of its own \(exit status 1\); nobody could use it:(.|\n)*broken code"
    ):
        verify_checkpoint(tmp_path / "out", examine(shipment), parity_check=shipment.parity_check, auto_class=shipment.model_class)


def test_changed_weight_is_named_even_if_nothing_shows(make_shipment: Callable[..., Shipment], findings: Findings) -> None:
    shipment = make_shipment()
    with torch.no_grad():
        shipment.model.layer.bias[0] += 1e-6
    with pytest.raises(
        CheckpointError, match=r"does not hold the model's weights. Missing: none. Left over: none. Different: layer.bias\."
    ):
        compare(examine(shipment), findings, folder=WHERE)


def test_rounded_weights_equal_their_short_form(make_shipment: Callable[..., Shipment]) -> None:
    long, short = make_shipment(), make_shipment()
    for parameter in long.model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    short.model.bfloat16()
    assert examine(long).digests == examine(replace(short, parity_check=_silent(short))).digests


def _silent(shipment: Shipment) -> Path:
    path = shipment.parity_check.with_name("silent.py")
    path.write_text("def parity_outputs(model, processor):\n    return {}\n")
    return path


def test_weights_of_other_names_are_told(findings: Findings) -> None:
    others = {f"old.{name}": value for name, value in findings.digests.items()}
    with pytest.raises(CheckpointError, match=r"Missing: old.gain; .*Left over: gain; layer.bias; layer.weight"):
        compare(findings, replace(findings, digests=others), folder=WHERE)


def test_many_names_are_cut_short(findings: Findings) -> None:
    many = {**findings.digests, **{f"part.{number}": "0" for number in range(10)}}
    with pytest.raises(CheckpointError, match=r"Missing: part.0; part.1; part.2; .*; part.7; and 2 more"):
        compare(findings, replace(findings, digests=many), folder=WHERE)


@pytest.mark.parametrize("change", [2e-4, torch.nan])
def test_other_numbers_are_told(findings: Findings, change: float) -> None:
    outputs = {"out": findings.outputs["out"] + change}
    with pytest.raises(
        CheckpointError, match=r"computes something else than the model it was made from: out by (0\.0002|nan) \(allowed: 0.0001\)"
    ):
        compare(replace(findings, outputs=outputs), findings, folder=WHERE)


def test_outputs_must_be_the_same_ones(findings: Findings) -> None:
    with pytest.raises(CheckpointError, match=r"the parity check returned \['out'\] after reloading .* \['other'\] before"):
        compare(findings, replace(findings, outputs={"other": torch.zeros(1)}), folder=WHERE)
    with pytest.raises(CheckpointError, match=r"out is \(2, 4\) after reloading, \(3,\) before"):
        compare(findings, replace(findings, outputs={"out": torch.zeros(3)}), folder=WHERE)
