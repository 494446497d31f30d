"""From a config and a task to a runner that trains it."""

import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.config import Config
from mmengine.hooks import Hook, ParamSchedulerHook
from mmengine.registry import VISBACKENDS
from mmengine.runner import FlexibleRunner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from eocore.config import read_options, require
from eocore.data.loading.error_policy import ReportingLoader
from eocore.errors import ConfigError, EOError
from eocore.log import leaving_out
from eocore.models import quantization
from eocore.option_types import check_option
from eocore.registry import HOOKS
from eocore.text import nearest
from eocore.train import hooks as _hooks  # noqa: F401  (registers the hooks that configs name)
from eocore.train.checkpoint import hook as _checkpoint_hook  # noqa: F401  (registers the hook that configs name)
from eocore.train.checkpoint.files import read_state
from eocore.train.checkpoint.resumption import check_fits, data_position, history, tell_differences
from eocore.train.checkpoint.run_record import RunRecord, record_run
from eocore.train.checkpoint.snapshot import VALIDATION, restore
from eocore.train.checkpoint.start_from import LoadFrom
from eocore.train.checkpoint.weights import frozen_hash, load_trainable
from eocore.train.device import choose_precision
from eocore.train.engine import DeepSpeedOptimWrapper
from eocore.train.loop import StepLoop
from eocore.train.optimizers import check_stage
from eocore.train.resilience.data_errors import DataFaultHook
from eocore.train.resilience.guard import GuardOptions, StepGuard
from eocore.train.resilience.heartbeat import HEARTBEAT
from eocore.train.resilience.preemption import Orders
from eocore.train.schedule import OptimizerOptions, ScheduleOptions, build_optimizer, build_schedule
from eocore.train.strategy import DEFAULT_TIMEOUT_S, ZeroStrategy, start_process_group
from eocore.train.task import Task
from eocore.train.validation.hook import ValidationHook
from eocore.train.validation.options import ValidationOptions, check_fits_run
from eocore.train.validation.validation import Validation
from eocore.train.zero.settings import arithmetic_of, load_zero_config

SECTIONS = ("systems", "task", "seed", "training", "guard", "optimizer", "schedule", "hooks", "tracking")
LOOKS_ALIKE = 0.8
HOOK_LIST = "Hooks will be executed in the following order"
"""How mmengine's constructor begins a list of all hooks, which follow from the config."""
BASE_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "checkpoint")


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Config section `training`.

    Attributes:
        max_iters: number of updates.
        accumulation: batches per update on every rank.
        clip_norm: highest norm of the whole gradient; 0 for no limit.
        precision: auto, bf16, fp32 or fp16.
        deepspeed: a file of configs/_base_/zero, or the path of a JSON file.
        timeout_s: how long a rank waits for the others [s].
        load_from: weights to begin with, see `eocore.train.checkpoint.start_from.LoadFrom`; a run that resumes has its own.
        loader_timeout_s: how long a rank waits for a batch of its loader's processes [s]; 0: for ever.
        hang_timeout_s: time without a sign of life after which all ranks show where they are and end [s]; 0: never. Longer than the
            longest step and the longest saving.
        deterministic: only operations that give the same result every time, where there is a choice; slower.
        validation: fields of `eocore.train.validation.options.ValidationOptions`; None = no validation.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        "max_iters": "compared with the schedule",
        "accumulation": "samples per update are compared",
        "precision": "what it comes to is compared",
        "deepspeed": "layouts of memory may differ; what else the file says is compared",
        "timeout_s": "ends a run, changes none",
        "load_from": "the weights of the checkpoint replace it",
        "loader_timeout_s": "ends a run, changes none",
        "hang_timeout_s": "ends a run, changes none",
        "validation": "looks on; the best result so far is not compared with those of another choice",
    }
    max_iters: int
    accumulation: int = 1
    clip_norm: float = 1.0
    precision: str = "auto"
    deepspeed: str = "deepspeed_zero2"
    timeout_s: int = DEFAULT_TIMEOUT_S
    load_from: Mapping[str, Any] | None = None
    loader_timeout_s: int = 120
    hang_timeout_s: int = 900
    deterministic: bool = False
    validation: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("max_iters", "accumulation"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"training.{name} is {value!r}; expected a whole number of at least 1.")
        for name in ("timeout_s", "loader_timeout_s", "hang_timeout_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < (name == "timeout_s"):
                raise ConfigError(f"training.{name} is {value!r}; expected a whole number of seconds.")
        self.start()
        self.read_validation()

    def read_validation(self) -> ValidationOptions | None:
        """The entry `validation`, None where it is left out. Raises ConfigError where it is wrong."""
        if self.validation is None:
            return None
        found = read_options(ValidationOptions, self.validation, name="training.validation")
        check_fits_run(found, self.max_iters)
        return found

    def start(self) -> LoadFrom | None:
        """The entry `load_from`, None where it is left out. Raises ConfigError where it is wrong."""
        return None if self.load_from is None else read_options(LoadFrom, self.load_from, name="training.load_from")


class Runner(FlexibleRunner):
    """mmengine's runner, counting updates, with a checkpoint format and resumption of our own."""

    strategy: ZeroStrategy
    # Configs before `prepare`, the built parts after it; mmengine has no types for them.
    model: Any
    optim_wrapper: Any
    param_schedulers: Any
    _train_loop: Any
    orders: Orders
    guard: StepGuard
    settings: dict[str, Any]
    options: dict[str, Any]
    record: RunRecord
    validation: Validation | None = None
    resume_path: Path | None = None
    allow: Collection[str] = ()
    allowed: Sequence[Mapping[str, Any]] = ()

    def prepare(self) -> StepLoop:
        """The loop, ready to run: engine built, schedule set, checkpoint restored."""
        if isinstance(self._train_loop, StepLoop):
            return self._train_loop
        loop = StepLoop(self, self._train_dataloader, count_items=self.model.count_items, **self._train_loop)
        self._train_loop = loop
        HEARTBEAT.mark("building the engine")
        self.frozen_hash = frozen_hash(self.model)
        self.record = record_run(self.cfg, self.model, loader=self._train_dataloader, sections=self.options)
        if self.resume_path is not None:
            self.allowed = self._check_checkpoint(self.resume_path)
            load_trainable(self.model, self.resume_path)
        self.guard.watch(self.model)
        self.strategy.prepare(
            self.model,
            optim_wrapper=self.optim_wrapper,
            param_scheduler=self.param_schedulers,
            dispatch_kwargs={"max_iters": loop.max_iters, "max_epochs": loop.max_epochs},
        )
        self.model = self.strategy.model
        self.model.guard = self.guard
        self.optim_wrapper = self.strategy.optim_wrapper
        self.param_schedulers = self.strategy.param_schedulers
        if self.resume_path is not None:
            loop.start_at(restore(self.strategy, self.resume_path, allow=self.allow))
            state = read_state(self.resume_path)
            self.guard.restore(loop.iter, state["guard"])
            if self.validation is not None:
                self.validation.best.restore(state.get(VALIDATION))
        return loop

    def _check_checkpoint(self, folder: Path) -> list[dict[str, Any]]:
        """What was allowed to differ so far, from the checkpoint in `folder` too; raises CheckpointError where that does not fit."""
        then = read_state(folder)
        found = check_fits(then, self.trainer_state(), folder=folder, allow=self.allow, record=self.record)
        if self.rank == 0:
            tell_differences(then, found, folder=folder)
        return history(then, found, folder=folder)

    def trainer_state(self) -> dict[str, Any]:
        """What a checkpoint's trainer.json holds of this run, beside what the engine knows."""
        return {
            "settings": self.settings,
            "seed": self.strategy.randomness["seed"],
            "frozen_hash": self.frozen_hash,
            "allowed": list(self.allowed),
            "options": self.record.options,
            "content": self.record.content,
            "data": data_position(self._train_dataloader, self._train_loop),
            "guard": self.guard.state(),
            VALIDATION: None if self.validation is None else self.validation.best.state(),
        }

    @property
    def ended_early(self) -> str:
        """Why the training ended before its last update by itself, in words; empty where it did not."""
        return "" if self.validation is None or self.iter >= self.max_iters else self.validation.best.ended

    def train(self) -> nn.Module:
        """Trains to the last step, or to where it is told to stop; returns the wrapped model."""
        loop = self.prepare()
        self.call_hook("before_run")
        try:
            loop.run()
        except BaseException:
            self.call_hook("after_failure")
            raise
        self.call_hook("after_run")
        return self.model

    def _log_env(self) -> None:
        """Says in one line what runs where, instead of mmengine's listing of the machine."""
        settings = self.strategy.config
        self.logger.info(
            "run %s: %d rank(s), torch %s, ZeRO stage %s, %s, %s batch(es) per update",
            self.strategy.experiment_name,
            self.world_size,
            torch.__version__,
            settings.get("zero_optimization", {}).get("stage", 0),
            next((name for name in ("bf16", "fp16") if settings[name]["enabled"]), "fp32"),
            settings["gradient_accumulation_steps"],
        )


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """What a run resumes from.

    Attributes:
        checkpoint: its folder, verified; None = the run begins.
        allow: differences from it that are accepted (`eocore.train.checkpoint.resumption.ALLOWABLE`).
    """

    checkpoint: Path | None = None
    allow: Collection[str] = ()


FROM_START = Resumption()


def build_runner(
    config: Config,
    model: Task,
    *,
    train_loader: DataLoader,
    work_dir: Path,
    resume: Resumption = FROM_START,
    validation: Validation | None = None,
) -> Runner:
    """A runner for `model` on `train_loader`, as sections training, optimizer, schedule, hooks, tracking and seed of `config` say.

    Args:
        config: as `load_config` returns it.
        model: the task; its frozen parameters stay out of the optimiser.
        train_loader: this rank's batches, begun at the step of `resume`.
        work_dir: checkpoints, logs and curves go here.
        resume: what it resumes from.
        validation: of the run; None = none.

    Raises:
        ConfigError: a section is missing or wrong.
    """
    training, optimizer, schedule = check_config(config)
    start_process_group(training.timeout_s)
    precision = choose_precision(training.precision)
    if precision == "fp32":
        model.float()  # a pretrained model comes in the precision of its folder
    strategy = ZeroStrategy(
        config=load_zero_config(training.deepspeed),
        precision=precision,
        accumulation=training.accumulation,
        clip_norm=training.clip_norm,
        work_dir=work_dir,
        seed=config.seed,
    )
    default_hooks: dict[str, Any] = dict.fromkeys(BASE_HOOKS)
    with leaving_out(HOOK_LIST):
        runner = Runner(
            model=model,
            work_dir=str(work_dir),
            train_dataloader=train_loader,
            train_cfg={"max_iters": training.max_iters, "accumulation": training.accumulation},
            optim_wrapper=DeepSpeedOptimWrapper(build_optimizer(model, optimizer)),
            param_scheduler=build_schedule(schedule, training.max_iters),
            strategy=strategy,
            launcher="pytorch",
            default_hooks=default_hooks | {"param_scheduler": ParamSchedulerHook()},
            custom_hooks=[*build_hooks(config), *_own_hooks(train_loader, validation)],
            visualizer=_build_tracking(config, strategy),
            default_scope=None,
            randomness=strategy.randomness,
            cfg=config,
        )
    runner.resume_path, runner.allow, runner.validation = resume.checkpoint, resume.allow, validation
    runner.orders = Orders()
    runner.guard = StepGuard(read_options(GuardOptions, config.get("guard", {}), name="guard"), runner.orders, work_dir=work_dir)
    runner.settings = {"max_iters": training.max_iters, "optimizer": asdict(optimizer), "schedule": asdict(schedule)}
    runner.options = {
        "precision": precision,
        "max_iters": training.max_iters,
        "optimizer": optimizer,
        "schedule": schedule,
        "training": training,
        "deepspeed": arithmetic_of(load_zero_config(training.deepspeed)),
        "guard": runner.guard.options,
    }
    return runner


def _own_hooks(train_loader: DataLoader, validation: Validation | None) -> list[Hook]:
    """The hooks that follow from other sections than `hooks`."""
    found: list[Hook] = [DataFaultHook(train_loader)] if isinstance(train_loader, ReportingLoader) else []
    return [*found, *([] if validation is None else [ValidationHook(validation)])]


def check_config(config: Config) -> tuple[TrainingOptions, OptimizerOptions, ScheduleOptions]:
    """The options of a run; finds every mistake in its sections before anything large is built.

    Raises:
        ConfigError: a section is missing, misspelt or wrong.
    """
    for name in config:
        near = nearest(name, SECTIONS, cutoff=LOOKS_ALIKE)
        if near and name not in SECTIONS:
            raise ConfigError(f"config section '{name}' is not read by anything. Did you mean '{near[0]}'? If not, choose another name.")
    _check_seed(require(config, "seed"))
    training = read_options(TrainingOptions, require(config, "training"), name="training")
    load_zero_config(training.deepspeed)
    choose_precision(training.precision)
    build_hooks(config)
    read_tracking(config)
    read_options(GuardOptions, config.get("guard", {}), name="guard")
    optimizer = read_options(OptimizerOptions, require(config, "optimizer"), name="optimizer")
    check_stage(optimizer.type, load_zero_config(training.deepspeed))
    quantization.check_stage(config.get("task", {}), load_zero_config(training.deepspeed))
    return training, optimizer, read_options(ScheduleOptions, config.get("schedule", {}), name="schedule")


def _check_seed(seed: Any) -> None:
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"seed is {seed!r}; expected a whole number of at least 0, else no run could be repeated.")


def build_hooks(config: Config) -> list[Hook]:
    """The hooks of section `hooks`: any label -> type (a registered name) and arguments; None in place of these leaves one out.

    Raises:
        ConfigError: the section or an entry is no mapping, or names no hook, or another argument than it takes.
    """
    section = config.get("hooks", {})
    check_option("hooks", section, annotation=Mapping[str, Mapping[str, Any] | None])
    return [HOOKS.build(dict(entry)) for entry in section.values() if entry is not None]


def read_tracking(config: Config) -> list[dict[str, Any]]:
    """Section `tracking`: configs of mmengine's visualizer back ends.

    Raises:
        ConfigError: one does not exist, or cannot be built as it stands.
    """
    section = config.get("tracking", [])
    check_option("tracking", section, annotation=Sequence[Mapping[str, Any]])
    backends = [dict(backend) for backend in section]
    for backend in backends:
        if backend.get("type") not in VISBACKENDS.module_dict:
            choices = ", ".join(sorted(VISBACKENDS.module_dict))
            raise ConfigError(f"tracking names the back end {backend.get('type')!r}, which does not exist. Choices: {choices}.")
        _try_backend(backend)
    return backends


def _try_backend(backend: Mapping[str, Any]) -> None:
    """Raise ConfigError if a back end cannot be built; what it writes at once goes to a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            VISBACKENDS.build({**backend, "save_dir": folder})
        except EOError:
            raise
        except Exception as error:  # whatever a library makes of wrong arguments
            raise ConfigError(
                f"tracking: {backend['type']} cannot be built with {dict(backend)!r:.200}: {type(error).__name__}: {error}. Correct its "
                "arguments, or take the entry out of `tracking`."
            ) from error


def _build_tracking(config: Config, strategy: ZeroStrategy) -> Visualizer:
    """mmengine's visualizer with the back ends that `config.tracking` lists (TensorboardVisBackend, WandbVisBackend, ...)."""
    name = f"{strategy.experiment_name}_{time.time_ns()}"
    return Visualizer(name=name, vis_backends=read_tracking(config), save_dir=strategy.log_dir)
