"""Evaluation of a converted EarthMind model on the data sets of a config."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from earthmind import task as _task  # noqa: F401  (registers what configs name)
from earthmind.answer import RecordAnswerer
from earthmind.generation import generation_settings
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.config import require
from eocore.evaluate.predictions import Prediction, format_prediction, read_predictions
from eocore.evaluate.run import EvaluationOptions, build_sources, predict, read_evaluation
from eocore.evaluate.score import score_predictions
from eocore.evaluate.scores import Scores
from eocore.evaluate.shards import PredictionWriter, shard_path
from eocore.log import get_logger
from eocore.models.folders import check_model_folder, load_model
from eocore.progress import Progress
from eocore.train.device import local_device
from eocore.train.strategy import start_process_group

PREDICTIONS = "predictions.jsonl"


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


def evaluate(config: Config, model_dir: Path, out_dir: Path) -> Scores | None:
    """Predicts and scores; writes predictions.jsonl. Returns the scores on the first rank, None on the others.

    A run that was stopped goes on where it was, if model and config are the same.

    Raises:
        CheckpointError: `model_dir` is not a converted model.
        ConfigError: section `evaluation` is wrong, or a generation option in it.
        DataError: no sample, or a record that does not fit its images.
    """
    options = read_evaluation(require(config, "evaluation"))
    rank, world_size = start_process_group() if "RANK" in os.environ else (0, 1)
    answerer = load_answerers(model_dir, generation=options.generation)(options.max_new_tokens)
    run_id = _run_id(config, model_dir)
    path = shard_path(out_dir, run_id=run_id, rank=rank, world_size=world_size)
    _predict_all(options, answerer, path, rank, world_size)
    if world_size > 1:
        torch.distributed.barrier()
    return _collect(out_dir, run_id, world_size) if rank == 0 else None


def _predict_all(options: EvaluationOptions, answerer: RecordAnswerer, path: Path, rank: int, world_size: int) -> None:
    sources = list(build_sources(options))
    total = sum(len(range(rank, len(source), world_size)) for _, source in sources)
    with PredictionWriter(path) as writer, Progress("predicting", total, unit="samples", visible=rank == 0) as progress:
        for setting, source in sources:
            predict(
                source, answerer, writer, setting=setting, options=options, rank=rank, world_size=world_size, on_samples=progress.advance
            )


def _collect(out_dir: Path, run_id: str, world_size: int) -> Scores:
    shards = [read_predictions(shard_path(out_dir, run_id=run_id, rank=rank, world_size=world_size)) for rank in range(world_size)]
    merged: list[Prediction] = sorted((item for shard in shards for item in shard), key=lambda item: item.key)
    (out_dir / PREDICTIONS).write_text("".join(format_prediction(item) + "\n" for item in merged), encoding="utf-8")
    get_logger().info("%s: %d predictions", out_dir / PREDICTIONS, len(merged))
    return score_predictions(merged)


def _run_id(config: Config, model_dir: Path) -> str:
    """Names model and evaluation: another model file or another config gets another id, so results are never mixed."""
    files = sorted(model_dir.glob("*.safetensors"))
    stamp = "".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files) + repr(dict(config.evaluation))
    return hashlib.sha256(stamp.encode()).hexdigest()[:12]
