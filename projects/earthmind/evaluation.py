"""Evaluation of a converted EarthMind model on the data sets of a config."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from earthmind import task as _task  # noqa: F401  (registers what configs name)
from earthmind.answer import RecordAnswerer
from earthmind.generation import generation_settings
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.config import require
from eocore.evaluate.engine.config_run import run_config
from eocore.evaluate.engine.predicting import EvaluationOptions, read_evaluation
from eocore.evaluate.scoring.scores import Scores
from eocore.models.folders import check_model_folder, load_model
from eocore.train.device import local_device

PLACES_BY_MASKS = True
"""The model shows places by masks: where boxes are asked for, it is asked for a mask, and the box around it counts."""


def load_answerers(model_dir: Path, *, generation: Mapping[str, Any] | None = None) -> Callable[[int], RecordAnswerer]:
    """What makes answerers of a converted model for a longest answer [tokens]; the model is loaded once.

    Args:
        model_dir: folder of the model.
        generation: options of `earthmind.generation.generation_settings`.

    Raises:
        CheckpointError: `model_dir` is not a converted model.
        ConfigError: a generation option is unknown or does not fit the others.
    """
    generation_settings(generation or {})  # what is wrong in them is said before the model is loaded
    check_model_folder(model_dir)
    model = load_model(EarthMindForConditionalGeneration, model_dir).to(local_device()).eval()
    processor = model.processor
    return lambda max_new_tokens: RecordAnswerer(model, processor, max_new_tokens=max_new_tokens, generation=generation)


def evaluate(config: Config, model_dir: Path, out_dir: Path, *, overwrite: bool = False) -> Scores | None:
    """Predicts and scores what a config says, see `eocore.evaluate.engine.config_run.run_config`.

    Raises:
        CheckpointError: `model_dir` is not a converted model.
        ConfigError: section `evaluation` is wrong, or a generation option in it.
        DataError: no sample, a record that does not fit its images, or `out_dir` holds answers of another model, data or choice.
        OutputError: `out_dir` cannot be written to.
    """
    options = read_evaluation(require(config, "evaluation"))
    generation_settings(options.generation)
    check_model_folder(model_dir)

    def load_answerer(options: EvaluationOptions) -> RecordAnswerer:
        return load_answerers(model_dir, generation=options.generation)(options.max_new_tokens)

    return run_config(config, model_dir, out_dir, load_answerer=load_answerer, overwrite=overwrite)
