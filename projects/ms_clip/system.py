"""MS-CLIP as a system: what the core finds here; everything is imported when it is asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eocore.system import Exchange, Planning, PredictorOptions, System

if TYPE_CHECKING:
    from eocore.export.hf import Shipment
    from eocore.hub_files import HubFiles
    from eocore.train.task import Task
    from ms_clip.predictor import ModelPredictor, MsClipPredictor


def _task() -> "type[Task]":
    from ms_clip.task import MsClipTask

    return MsClipTask


def _predictor(folder: Path, options: PredictorOptions) -> "MsClipPredictor":
    from ms_clip.predictor import MsClipPredictor

    return MsClipPredictor(folder, options)


def _training_predictor(task: Any, options: PredictorOptions) -> "ModelPredictor":
    from ms_clip.predictor import ModelPredictor

    return ModelPredictor(task.model, task.processor)


def _export(task: Any) -> "Shipment":
    from ms_clip.export import pack

    return pack(task)


def _benchmarks() -> None:
    from ms_clip import benchmarks as _benchmarks  # noqa: F401  (they register themselves)


def _planning() -> Planning:
    from ms_clip.planning.meta_task import example_batch, global_batch, outline, step_shape
    from ms_clip.planning.samples import data_task, sample_work

    return Planning(
        meta_task=outline,
        data_task=data_task,
        example_batch=example_batch,
        step_shape=step_shape,
        fake_step=global_batch,
        sample_work=sample_work,
    )


def _exchange() -> Exchange:
    from ms_clip.checkpoints.export_upstream import LAYOUTS, plan_export
    from ms_clip.checkpoints.import_plan import plan_import
    from ms_clip.checkpoints.layouts import recognises

    return Exchange(plan_import=plan_import, layouts=LAYOUTS, plan_export=plan_export, recognises=recognises)


def _downloads() -> "Mapping[str, HubFiles]":
    from ms_clip.checkpoints.downloads import DOWNLOADS

    return DOWNLOADS


SYSTEM = System(
    name="ms_clip",
    model_types=("ms_clip",),
    task=_task,
    predictor=_predictor,
    training_predictor=_training_predictor,
    export=_export,
    benchmarks=_benchmarks,
    planning=_planning,
    exchange=_exchange,
    downloads=_downloads,
)
