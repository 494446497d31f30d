"""DeepSpeed behind mmengine's strategy interface. Beside zero_state.py and zero_linear.py the only file that touches DeepSpeed."""

import datetime
import logging
import math
import os
import socket
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn
from torch.distributed import DistError, PrefixStore, TCPStore

from eocore.errors import ConfigError
from eocore.log import LogFile, close_log_files, get_logger
from eocore.train.device import Precision, local_device, process_group_backend, require_deepspeed
from eocore.train.network import choose_interface
from eocore.train.resilience.guard import GuardOptions, StepGuard
from eocore.train.resilience.preemption import Orders
from eocore.train.zero import loss_scale
from eocore.train.zero import state as zero_state

require_deepspeed()

import deepspeed  # noqa: E402  (the accelerator must be chosen before)
from mmengine._strategy.base import BaseStrategy  # noqa: E402
from mmengine._strategy.deepspeed import DeepSpeedStrategy  # noqa: E402

from eocore.train.engine import EngineWrapper, count_updates  # noqa: E402
from eocore.train.zero.linear import use_lean_linear  # noqa: E402
from eocore.train.zero.whole import whole_weights  # noqa: E402

BUCKETS = ("reduce_bucket_size", "allgather_bucket_size", "stage3_prefetch_bucket_size")
# DeepSpeed wants an even number of elements; a round one also suits the transport.
BUCKET_ALIGNMENT = 1024
DEFAULT_TIMEOUT_S = 1800
SHARED_MEMORY_OP = "deepspeed_shm_comm"


def start_process_group(timeout_s: int = DEFAULT_TIMEOUT_S) -> tuple[int, int]:
    """Rank and world size, after joining the process group; safe to call again.

    Reads the variables torchrun or srun set; a process started alone becomes a group of one.

    Args:
        timeout_s: how long a collective waits for the other ranks [s].
    """
    # DeepSpeed reads these variables later too, when the group stands already.
    _complete_environment()
    if not torch.distributed.is_initialized():
        device = local_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        warnings.filterwarnings("ignore", message=".*torch.distributed.*is deprecated", category=FutureWarning)
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        # DeepSpeed would compile its shared-memory kernels here: a minute and a C++ compiler, for collectives that training does not use.
        deepspeed.ops.__compatible_ops__[SHARED_MEMORY_OP] = False
        choose_interface()
        timeout = datetime.timedelta(seconds=timeout_s)
        try:
            if restart_count() > 0:
                _join_anew(device, timeout)
            # Takes a group that stands already as it is.
            deepspeed.init_distributed(dist_backend=process_group_backend(), auto_mpi_discovery=False, verbose=False, timeout=timeout)
        except DistError as error:
            raise _not_joined(error) from error
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def restart_count() -> int:
    """How often torchrun has started this process's group again after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _not_joined(error: DistError) -> ConfigError:
    """The error of a rank that did not find the others, or may not wait for them."""
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} (MASTER_ADDR, MASTER_PORT)"
    reason = str(error).splitlines()[0]
    if "EADDRINUSE" in reason:
        todo = "Another program listens at this port, perhaps another training: choose another port (PORT=29501 bash tools/dist.sh ...)."
    else:
        todo = "Is the first rank running, is its address right, and do firewalls let it through?"
    return ConfigError(
        f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} cannot meet the others at {where}: {reason} Expected an address at "
        f"which the first rank listens, so that no training began. {todo}"
    )


def _join_anew(device: torch.device, timeout: datetime.timedelta) -> None:
    """Joins the group of this start of torchrun, not what an earlier start has left behind.

    torchrun serves one key-value store for all its starts; torch's own rendezvous would find the addresses of processes that are gone.
    Source: https://github.com/pytorch/pytorch/issues/135712.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, is_master=False, timeout=timeout, wait_for_workers=False)
    torch.distributed.init_process_group(
        process_group_backend(),
        store=PrefixStore(f"start_{restart_count()}", store),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=timeout,
        device_id=device if device.type == "cuda" else None,
    )


def stop_process_group() -> None:
    """Leaves the process group, at the end of a training that went well; another may begin in the same process, as in a notebook."""
    if torch.distributed.is_initialized():
        deepspeed.comm.destroy_process_group()  # which forgets DeepSpeed's own groups too


def _complete_environment() -> None:
    # mmengine sets these to 1, with a warning, where they are missing.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(torch.get_num_threads()))
    if "RANK" not in os.environ and "SLURM_PROCID" in os.environ and "MASTER_ADDR" in os.environ:
        names = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
        os.environ.update({name: os.environ[slurm] for name, slurm in names.items()})
    if "RANK" in os.environ:
        return
    with socket.socket() as connection:
        connection.bind(("127.0.0.1", 0))
        port = connection.getsockname()[1]
    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


class ZeroStrategy(DeepSpeedStrategy):
    """mmengine's DeepSpeed strategy with ZeRO 0-3 on GPUs or CPUs, on current DeepSpeed.

    mmengine 0.10.7 registers 1-bit optimisers that DeepSpeed 0.19 no longer has, and binds CUDA devices unasked; so the constructor does
    not call DeepSpeedStrategy's.
    """

    def __init__(
        self, *, config: dict[str, Any], precision: Precision, accumulation: int, clip_norm: float, work_dir: Path, seed: int
    ) -> None:
        """
        Args:
            config: a DeepSpeed configuration (`load_zero_config`).
            precision: `bf16` and `fp16` keep float32 master weights beside those in 16 bits, `fp16` with a loss scale
                (`eocore.train.zero.loss_scale`); `fp32` trains as the model is.
            accumulation: batches per update.
            clip_norm: highest norm of the whole gradient; 0 for no limit.
            work_dir: where logs go.
            seed: of dropout and the like, to which the rank is added.
        """
        start_process_group()
        randomness = {"seed": seed, "diff_rank_seed": True}
        environment = {"launcher": "pytorch", "randomness": randomness}
        BaseStrategy.__init__(self, work_dir=str(work_dir), experiment_name=work_dir.name, env_kwargs=environment)
        self.config = config | {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": accumulation,
            "gradient_clipping": clip_norm,
            "bf16": {"enabled": precision == "bf16"},
            "fp16": {**loss_scale.OPTIONS, **config.get("fp16", {}), "enabled": precision == "fp16"},
            "steps_per_print": 2**62,
        }
        self._inputs_to_half = None
        self.exclude_frozen_parameters = True

    def build_logger(self, **_: Any) -> MMLogger:
        """The framework's logger; on the first rank it also writes to a file in the run's log folder."""
        close_log_files()
        logger = get_logger()
        if self.rank == 0:
            handler = LogFile(Path(self.log_dir) / "train.log")
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            logger.addHandler(handler)
        return logger

    def _setup_distributed(self, *_: Any, **__: Any) -> None:
        start_process_group()

    def _init_model_weights(self, model: nn.Module) -> nn.Module:
        # mmengine would call init_weights of every child, which a transformers model also has: loaded weights would be drawn anew.
        return model

    def _wrap_model(self, model: nn.Module) -> EngineWrapper:
        self._cap_buckets(model)
        engine, self.optim_wrapper.optimizer, *_ = deepspeed.initialize(
            model=model, optimizer=self.optim_wrapper.optimizer, config=self.config
        )
        use_lean_linear()
        zero_state.prepare_moments(engine)
        loss_scale.prepare_loss_scale(engine)
        wrapper = EngineWrapper(model=engine)
        wrapper.guard = StepGuard(GuardOptions(), Orders(), work_dir=Path(self.work_dir))
        return wrapper

    def _cap_buckets(self, model: nn.Module) -> None:
        """Communication buffers are allocated whole: none need be larger than all there is to send."""
        zero = self.config.get("zero_optimization", {})
        trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        enough = math.ceil(trainable / BUCKET_ALIGNMENT) * BUCKET_ALIGNMENT
        capped = {name: min(int(zero[name]), enough) for name in BUCKETS if name in zero}
        self.config["zero_optimization"] = zero | capped

    def gather_trainable(self) -> dict[str, Tensor]:
        """Name -> whole trainable parameter, float32, on the CPU; empty on every rank but the first. Call it on all ranks."""
        return zero_state.gather_weights(self.model.model, keep=self.rank == 0)

    def gather_moments(self) -> tuple[dict[str, Tensor], int]:
        """(state of the optimiser as `zero_state.gather_moments` names it, on the first rank; its steps). Call it on all ranks."""
        return zero_state.gather_moments(self.model.model, keep=self.rank == 0)

    def whole_weights(self) -> AbstractContextManager[None]:
        """See `eocore.train.zero.whole`."""
        return whole_weights(self.model.model)

    def load_trainable_state(self, weights: zero_state.Read, moments: zero_state.Read, *, steps: int, found: Sequence[str] = ()) -> None:
        """Sets master weights and optimiser state; see `zero_state.load_state`."""
        zero_state.load_state(self.model.model, weights, moments=moments, steps=steps, found=found)

    def moment_names(self) -> Sequence[str] | None:
        """What the optimiser keeps of every weight in its shape; see `zero_state.moment_names`."""
        return zero_state.moment_names(self.model.model)

    def loss_scale_state(self) -> dict[str, Any] | None:
        """What a run that continues must know of the loss scale; None without float16."""
        return loss_scale.scale_state(self.model.model)

    def restore_loss_scale(self, state: Mapping[str, Any] | None) -> None:
        """Continues with what `loss_scale_state` gave."""
        loss_scale.restore_scale(self.model.model, state)

    def set_progress(self, step: int) -> None:
        """Tells DeepSpeed that `step` updates were made."""
        engine = self.model.model
        engine.global_steps = step
        engine.micro_steps = step * engine.gradient_accumulation_steps()
        engine.global_samples = step * engine.train_batch_size()

    def replay_schedule(self, step: int) -> None:
        """Brings this run's schedule to `step` updates."""
        count_updates(self.optim_wrapper, step)
        for _ in range(step):
            for scheduler in self.param_schedulers:
                scheduler.step()
