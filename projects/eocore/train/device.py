"""What the machine offers: device, process-group backend, precision, memory."""

import importlib.util
import os
import resource
import sys
from typing import Literal

import torch

from eocore.errors import ConfigError

Precision = Literal["bf16", "fp32", "fp16"]
PRECISIONS = ("auto", "bf16", "fp32", "fp16")


def has_gpu() -> bool:
    """True where a CUDA device can be used by this process."""
    return torch.cuda.is_available() and torch.cuda.device_count() > 0


def set_deepspeed_accelerator() -> None:
    """Tells DeepSpeed to use the CPU where there is no GPU; must run before `deepspeed` is imported.

    Without it DeepSpeed probes every accelerator it knows and warns before it falls back to the same choice.
    """
    if not has_gpu():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def require_deepspeed() -> None:
    """What comes before each `import deepspeed`: the accelerator is chosen, and there is something to import.

    Raises:
        ConfigError: DeepSpeed is not installed.
    """
    if importlib.util.find_spec("deepspeed") is None:
        raise ConfigError(
            "DeepSpeed is not installed, and nothing can be trained without it (evaluation, conversion and prediction can do without). "
            "Install the extra that holds it: pip install 'eocore-earthmind[train]', or bash tools/setup_env.sh in a checkout."
        )
    set_deepspeed_accelerator()


def local_device() -> torch.device:
    """The device of this process: the GPU named by LOCAL_RANK, or the CPU."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if has_gpu() else torch.device("cpu")


def check_device(name: str) -> str:
    """`name`, a device as torch names it.

    Raises:
        ConfigError: torch knows no such device, or this machine has none that it can use.
    """
    try:
        stated = torch.device(name)
        if stated.type == "cuda" and (stated.index or 0) < torch.cuda.device_count():
            return name  # without a context on it, which takes hundreds of megabytes of a GPU's memory
        torch.empty(0, device=stated)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch has no class of its own for it
        raise ConfigError(
            f"device {name!r} cannot be used here ({' '.join(str(error).split())[:200]}). Expected cpu, or a GPU that torch finds (cuda, "
            f"cuda:0, ...; here: {torch.cuda.device_count()}). Correct it, or leave it out: the GPU is taken if there is one."
        ) from error
    return name


def process_group_backend() -> str:
    """nccl between GPUs, gloo between CPUs."""
    return "nccl" if has_gpu() else "gloo"


def make_deterministic() -> None:
    """From here on, only operations that give the same result every time; one that has no such form raises an error.

    Source: https://docs.pytorch.org/docs/stable/notes/randomness.html (cuBLAS needs the variable before it is first used).
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)


def computes_fp16() -> bool:
    """Whether float16 can be computed in: every GPU that this torch supports, and CPUs with instructions for it, as DeepSpeed asks."""
    return has_gpu() or bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())


def choose_precision(name: str) -> Precision:
    """The number format to train in.

    Args:
        name: `bf16`, `fp32`, `fp16` (with a loss scale; for GPUs without bf16), or `auto`: bf16 where the GPU computes in it, else
            fp32 (a CPU only emulates it).

    Raises:
        ConfigError: another name, or fp16 on a CPU that does not compute in it.
    """
    if name not in PRECISIONS:
        raise ConfigError(f"training.precision is {name!r}; expected one of {', '.join(PRECISIONS)}.")
    if name == "bf16":
        return "bf16"
    if name == "fp16":
        if not computes_fp16():
            raise ConfigError("training.precision is 'fp16', in which this CPU does not compute. Take fp32, or train on a GPU.")
        return "fp16"
    return "bf16" if name == "auto" and has_gpu() and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def peak_memory_gib() -> dict[str, float]:
    """Highest memory this process has used [GiB]: `host` (resident set), and `gpu` where there is one.

    Source: getrusage(2): ru_maxrss is in KiB on Linux and in bytes on macOS.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30}
    if has_gpu():
        peak["gpu"] = torch.cuda.max_memory_allocated() / 2**30
    return peak
