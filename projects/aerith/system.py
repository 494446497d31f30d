"""Aerith as a system: what the core finds here; everything is imported when it is asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eocore.system import Exchange, Planning, PredictorOptions, System

if TYPE_CHECKING:
    from aerith.predictor import AerithPredictor
    from eocore.export.hf import Shipment
    from eocore.predict.text_answers import TrainingChatPredictor
    from eocore.train.task import Task


def _task() -> "type[Task]":
    from aerith.task import AerithTask

    return AerithTask


def _predictor(folder: Path, options: PredictorOptions) -> "AerithPredictor":
    from aerith.predictor import AerithPredictor

    return AerithPredictor(folder, options)


def _training_predictor(task: Any, options: PredictorOptions) -> "TrainingChatPredictor":
    from eocore.predict.text_answers import TrainingChatPredictor

    return TrainingChatPredictor(task.model, task.processor, options=options)


def _export(task: Any) -> "Shipment":
    from aerith.export import pack

    return pack(task)


def _planning() -> Planning:
    from aerith.planning.meta_task import data_task, example_batch, fake_step, outline
    from aerith.planning.samples import sample_work
    from eocore.train.planning.prompts import step_of_prompts

    return Planning(
        meta_task=outline,
        data_task=data_task,
        example_batch=example_batch,
        step_shape=step_of_prompts,
        fake_step=fake_step,
        sample_work=sample_work,
    )


def _benchmarks() -> None:
    from aerith import benchmarks as _benchmarks  # noqa: F401  (they register themselves)


def _exchange() -> Exchange:
    from aerith.checkpoints.exchange import LAYOUT, plan_export, plan_import
    from aerith.checkpoints.upstream_folder import is_upstream_folder

    return Exchange(plan_import=plan_import, layouts=(LAYOUT,), plan_export=plan_export, recognises=is_upstream_folder)


SYSTEM = System(
    name="aerith",
    model_types=("aerith",),
    task=_task,
    predictor=_predictor,
    training_predictor=_training_predictor,
    export=_export,
    benchmarks=_benchmarks,
    planning=_planning,
    exchange=_exchange,
)
