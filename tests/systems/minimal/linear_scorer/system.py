"""The linear scorer as a system."""

from pathlib import Path
from typing import Any

from eocore.system import PredictorOptions, System

AUTO_MAP = {
    "AutoConfig": "configuration_linear.LinearScorerConfig",
    "AutoModel": "modeling_linear.LinearScorer",
    "AutoProcessor": "processing_linear.LinearProcessor",
}


def _task() -> Any:
    from .task import LinearScorerTask

    return LinearScorerTask


def _predictor(folder: Path, options: PredictorOptions) -> Any:
    from .predictor import LinearPredictor

    return LinearPredictor(folder, options)


def _training_predictor(task: Any, options: PredictorOptions) -> Any:
    from .predictor import TrainingPredictor

    return TrainingPredictor(task.model, task.processor)


def _export(task: Any) -> Any:
    from eocore.export.hf import Shipment

    here = Path(__file__).parent
    return Shipment(
        title="Linear scorer",
        usage="Call `AutoModel` on what `AutoProcessor` makes of pictures.",
        model=task.model,
        processor=task.processor,
        model_package=here / "model",
        auto_map=AUTO_MAP,
        parity_check=here / "parity_check.py",
    )


def _benchmarks() -> None:
    from eocore.evaluate.settings import SETTINGS, Setting
    from eocore.evaluate.tasks import SCORES, TASKS, EvaluationTask

    SETTINGS.register("night", Setting())
    TASKS.register("ground", EvaluationTask(scorers={SCORES: {"type": "ClassScores"}}))


SYSTEM = System(
    name="linear_scorer",
    model_types=("linear_scorer",),
    task=_task,
    predictor=_predictor,
    training_predictor=_training_predictor,
    export=_export,
    benchmarks=_benchmarks,
)
