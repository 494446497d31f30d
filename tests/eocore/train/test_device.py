"""Choices that depend on the machine."""

import pytest
import torch

from eocore.errors import ConfigError
from eocore.train import device


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_gpu", lambda: False)


def test_a_machine_without_gpu_uses_gloo_fp32_and_the_cpu(no_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DS_ACCELERATOR", raising=False)
    device.set_deepspeed_accelerator()
    assert device.os.environ["DS_ACCELERATOR"] == "cpu"
    assert device.process_group_backend() == "gloo"
    assert device.local_device() == torch.device("cpu")
    assert device.choose_precision("auto") == "fp32"


def test_a_gpu_that_computes_in_bf16_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device.choose_precision("auto") == "bf16"
    assert device.choose_precision("fp32") == "fp32"
    assert device.process_group_backend() == "nccl"
    assert device.local_device() == torch.device("cuda", 3)


def test_a_gpu_that_only_emulates_bf16_trains_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert device.choose_precision("auto") == "fp32"
    assert device.choose_precision("bf16") == "bf16"


def test_bf16_can_be_asked_for_on_a_cpu(no_gpu: None) -> None:
    assert device.choose_precision("bf16") == "bf16"


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training.precision is 'fp8'; expected one of auto, bf16, fp32, fp16"):
        device.choose_precision("fp8")


def test_peak_memory_is_that_of_this_process(no_gpu: None) -> None:
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    peak = device.peak_memory_gib()
    assert list(peak) == ["host"] and 64 / 1024 < peak["host"] < 64


def test_a_device_that_is_not_there_is_told_with_the_choices() -> None:
    assert device.check_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match=r"device 'nix' cannot be used here .*Expected cpu, or a GPU"):
        device.check_device("nix")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"device 'cuda:7' cannot be used here .*here: 0"):
            device.check_device("cuda:7")
