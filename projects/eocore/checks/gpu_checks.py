"""What this machine's GPU can do, tried: python -m eocore.checks.gpu_checks device|pinned"""

import sys

import torch
from torch.utils.data import DataLoader, TensorDataset

from eocore.errors import EOError
from eocore.train.device import choose_precision, has_gpu, local_device, process_group_backend


def describe() -> str:
    """Device, precision, and the back end between ranks, as a training would choose them."""
    name = "CPU"
    if has_gpu():
        found = torch.cuda.get_device_properties(local_device())
        name = f"{found.name}, {found.total_memory / 2**30:.0f} GiB, capability {found.major}.{found.minor}, CUDA {torch.version.cuda}"
    return f"{name}; torch {torch.__version__}; precision auto = {choose_precision('auto')}; ranks meet over {process_group_backend()}"


def try_device() -> str:
    """`describe`, after a matrix product and its gradient in bfloat16 on the device.

    Raises:
        EOError: the product is wrong.
    """
    device = local_device()
    left = torch.eye(64, device=device, dtype=torch.bfloat16).requires_grad_()
    right = torch.arange(64.0, device=device, dtype=torch.bfloat16).repeat(64, 1)
    product = left @ right
    product.sum().backward()
    if left.grad is None or not torch.equal(product, right):
        raise EOError(f"{describe()}: the identity times a matrix is not that matrix; the driver or the device is broken.")
    return describe()


def try_pinned() -> str:
    """A loader with pinned memory gives pinned batches, which arrive on the GPU as they were.

    Raises:
        EOError: they are not pinned, or other numbers arrive.
    """
    values = torch.arange(64.0).view(16, 4)
    loader = DataLoader(TensorDataset(values), batch_size=4, num_workers=1, pin_memory=True)
    arrived = []
    for (batch,) in loader:
        if not batch.is_pinned():
            raise EOError("the loader's batches are not pinned although pin_memory=True; copies to the GPU would hold the host up.")
        arrived.append(batch.to(local_device(), non_blocking=True))
    if not torch.equal(torch.cat(arrived).cpu(), values):
        raise EOError("pinned batches arrive on the GPU with other numbers; the driver or the device is broken.")
    return f"{len(arrived)} pinned batches arrived"


PROBES = {"device": try_device, "pinned": try_pinned}

if __name__ == "__main__":
    sys.stdout.write(PROBES[sys.argv[1]]() + "\n")
