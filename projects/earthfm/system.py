"""EarthFM as a system: what the core finds here; everything is imported when it is asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eocore.system import Exchange, Planning, PredictorOptions, System

if TYPE_CHECKING:
    from earthfm.checkpoints.export_upstream import Publication
    from earthfm.checkpoints.import_plan import Plan
    from earthfm.predictor import EarthFmPredictor, TrainingPredictor
    from eocore.checkpoints.exchange import ExportRequest, ImportRequest
    from eocore.export.hf import Shipment
    from eocore.hub_files import HubFiles, ZenodoFiles
    from eocore.train.task import Task


def _task() -> "type[Task]":
    _require_package()
    from earthfm.task import EarthFmTask

    return EarthFmTask


def _predictor(folder: Path, options: PredictorOptions) -> "EarthFmPredictor":
    _require_package()
    from earthfm.predictor import EarthFmPredictor

    return EarthFmPredictor(folder, options)


def _training_predictor(task: Any, options: PredictorOptions) -> "TrainingPredictor":
    from earthfm.predictor import TrainingPredictor

    return TrainingPredictor(task.model, task.processor, options=options)


def _export(task: Any) -> "Shipment":
    from earthfm.export import pack

    return pack(task)


def _benchmarks() -> None:
    from earthfm import benchmarks as _benchmarks  # noqa: F401  (they register themselves)


def _planning() -> Planning:
    _require_package()
    from earthfm.planning.meta_task import data_task, example_batch, fake_step, outline
    from earthfm.planning.samples import sample_work
    from eocore.train.planning.prompts import step_of_prompts

    return Planning(
        meta_task=outline,
        data_task=data_task,
        example_batch=example_batch,
        step_shape=step_of_prompts,
        fake_step=fake_step,
        sample_work=sample_work,
    )


def _exchange() -> Exchange:
    from earthfm.checkpoints.bridge import LAYOUT, is_bridge

    return Exchange(plan_import=_plan_import, layouts=(LAYOUT,), plan_export=_plan_export, recognises=is_bridge)


def _plan_import(request: "ImportRequest") -> "Plan":
    from earthfm.checkpoints.bridge import read_bridge

    bridge = read_bridge(request.sources[0])  # before the package is asked for: other systems' weights are imported without it
    _require_package()
    from earthfm.checkpoints.import_plan import plan_import

    return plan_import(bridge, request)


def _plan_export(model: Path, request: "ExportRequest") -> "Publication":
    _require_package()
    from earthfm.checkpoints.export_upstream import plan_export

    return plan_export(model, request)


def _downloads() -> "Mapping[str, HubFiles | ZenodoFiles]":
    from earthfm.checkpoints.downloads import DOWNLOADS

    return DOWNLOADS


def _require_package() -> None:
    """Raise ConfigError if the encoder's package is not installed."""
    from importlib.util import find_spec

    from eocore.errors import ConfigError

    if find_spec("olmoearth_pretrain_minimal") is None:
        raise ConfigError(
            "the package olmoearth-pretrain-minimal is not installed, which holds EarthFM's encoder. Install the extra: pip install -e "
            "'.[earthfm]'"
        )


SYSTEM = System(
    name="earthfm",
    model_types=("earthfm",),
    task=_task,
    predictor=_predictor,
    training_predictor=_training_predictor,
    export=_export,
    benchmarks=_benchmarks,
    planning=_planning,
    exchange=_exchange,
    downloads=_downloads,
)
