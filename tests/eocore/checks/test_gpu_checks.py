"""What the checks of a GPU say; on a CPU the one that needs none."""

import pytest
import torch

from eocore.checks.gpu_checks import describe, try_device, try_pinned


def test_the_device_is_described_after_a_product_on_it() -> None:
    assert try_device() == describe()
    assert f"torch {torch.__version__}" in describe()
    assert ("nccl" if torch.cuda.is_available() else "CPU") in describe()


@pytest.mark.gpu
def test_pinned_batches_arrive() -> None:
    assert try_pinned() == "4 pinned batches arrived"
