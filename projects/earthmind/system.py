"""EarthMind as a system: what the core finds here; everything is imported when it is asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eocore.system import Exchange, Planning, PredictorOptions, System

if TYPE_CHECKING:
    from earthmind.predictor import EarthMindPredictor, TrainingPredictor
    from eocore.export.hf import Shipment
    from eocore.hub_files import HubFiles
    from eocore.train.task import Task


def _task() -> "type[Task]":
    from earthmind.task import EarthMindTask

    return EarthMindTask


def _predictor(folder: Path, options: PredictorOptions) -> "EarthMindPredictor":
    from earthmind.predictor import EarthMindPredictor

    return EarthMindPredictor(folder, options)


def _training_predictor(task: Any, options: PredictorOptions) -> "TrainingPredictor":
    from earthmind.predictor import TrainingPredictor

    return TrainingPredictor(task.model, task.processor, options=options)


def _export(task: Any) -> "Shipment":
    from earthmind.export import pack

    return pack(task)


def _benchmarks() -> None:
    from earthmind import benchmarks as _benchmarks  # noqa: F401  (they register themselves)


def _planning() -> Planning:
    from earthmind.planning.meta_task import example_batch, known_borders, outline, step_shape
    from earthmind.planning.samples import data_task, sample_work

    return Planning(
        meta_task=outline,
        data_task=data_task,
        example_batch=example_batch,
        step_shape=step_shape,
        fake_step=known_borders,
        sample_work=sample_work,
    )


def _exchange() -> Exchange:
    from earthmind.checkpoints.export_upstream import LAYOUTS, Publication, plan_export
    from earthmind.checkpoints.import_plan import plan_import
    from earthmind.checkpoints.layouts import recognises
    from eocore.checkpoints.exchange import ExportRequest

    def export(model: Path, request: ExportRequest) -> Publication:
        return plan_export(model, rest=request.rest, without_video=request.without_video)

    return Exchange(plan_import=plan_import, layouts=LAYOUTS, plan_export=export, recognises=recognises)


def _downloads() -> "Mapping[str, HubFiles]":
    from earthmind.checkpoints.downloads import DOWNLOADS

    return DOWNLOADS


SYSTEM = System(
    name="earthmind",
    model_types=("earthmind",),
    task=_task,
    predictor=_predictor,
    training_predictor=_training_predictor,
    export=_export,
    benchmarks=_benchmarks,
    planning=_planning,
    exchange=_exchange,
    downloads=_downloads,
)
