"""Entry point of lmms-eval (group `lmms_eval.models`): --model eocore --model_args pretrained=DIR."""

from typing import Any

MODEL_ID = "eocore"


def manifest() -> Any:
    """The `ModelManifest` lmms-eval asks its plug-ins for."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id=MODEL_ID, chat_class_path="eocore.evaluate.harnesses.lmms_eval_model.LmmsEvalModel")
