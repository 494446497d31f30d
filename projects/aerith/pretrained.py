"""Where the weights of Aerith's parts come from: folders of models, and checkpoints of earlier stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTModel

from eocore.errors import CheckpointError, ConfigError
from eocore.models.folders import CONFIG, check_model_folder, load_model, read_json
from eocore.text import did_you_mean, some_of
from eocore.train.checkpoint.files import resolve_checkpoint
from eocore.train.checkpoint.weights import read_weights

PARTS = {
    "clip": "vision.towers.clip",
    "dinov3": "vision.towers.dinov3",
    "head": "vision.towers.head",
    "pooler": "vision.pooler",
    "language_model": "language_model",
}
"""Name of a part in `task.model.parts` -> its module in `AerithForConditionalGeneration`."""
TOWERS = {"clip": CLIPVisionModelWithProjection, "dinov3": DINOv3ViTModel}
"""Parts that folders of models hold, and their classes."""
WHOLE_CLIPS = ("clip", "ms_clip")
"""`model_type` of folders that hold a CLIP with its text tower."""
NEW = "new"
"""Source of a part that begins with new weights although it does not train, as a control."""
UNREAD = ("embeddings.mask_token",)
"""Weights that no forward reads here: DINOv3's stand-in for masked patches."""
STAGE_OF = {"dinov3": "of the towers", "head": "0 (alignment)", "pooler": "1 (captions)", "language_model": "1 (captions)"}
"""The stage whose checkpoint holds a part."""


def load_parts(model: nn.Module, sources: Mapping[str, str], *, inside: Mapping[str, str] = PARTS) -> None:
    """Copies weights into parts of a model.

    Args:
        model: that has the parts.
        sources: part -> folder of a model ("clip", "dinov3" and "language_model"), or a checkpoint of a training that trained it: an iter_*
            folder, a run's folder, a .safetensors or a .pth file; or "new".
        inside: part -> its module in `model`.

    Raises:
        ConfigError: there is no such part, or no such file.
        CheckpointError: the source does not hold the part, whole and in the size of the model.
    """
    for part, source in sources.items():
        if part not in inside:
            raise ConfigError(f"task.model.parts names '{part}'.{did_you_mean(part, list(inside))} Parts: {', '.join(inside)}.")
        if source == NEW:
            continue
        path, module = Path(source), model.get_submodule(inside[part])
        if not path.exists():
            raise ConfigError(f"task.model.parts.{part}='{source}' does not exist; nothing is downloaded. Run stage {_stage(part)} first.")
        if (path / CONFIG).is_file():
            _load_folder(module, part, path=path)
        else:
            _load_checkpoint(module, part, path=resolve_checkpoint(path) if path.is_dir() else path)


def _stage(part: str) -> str:
    return STAGE_OF.get(part, "of the towers")


def _load_folder(module: Any, part: str, *, path: Path) -> None:
    """From the folder of a model of transformers, of CLIP's kind with its text tower or without."""
    if part not in TOWERS and part != "language_model":
        raise CheckpointError(f"{path} is the folder of a model, which holds no '{part}'. Name the checkpoint of stage {_stage(part)}.")
    kind = read_json(path / CONFIG).get("model_type")
    if part == "clip" and kind in WHOLE_CLIPS:
        _load_clip(module, path)
        return
    loaded, report = load_model(TOWERS.get(part, type(module)), path, output_loading_info=True)
    if report["missing_keys"]:
        raise CheckpointError(f"{path} lacks {len(report['missing_keys'])} weights of '{part}': {some_of(sorted(report['missing_keys']))}.")
    _copy(module, loaded.state_dict(), part=part, path=path)


def _load_clip(module: nn.Module, path: Path) -> None:
    """The vision tower and projection of a whole CLIP. Raises CheckpointError where it is no CLIP of this size."""
    from eocore.checkpoints.weight_files import open_weights

    check_model_folder(path)
    weights = open_weights(path)
    names = [name for name in weights.headers if name.startswith(("vision_model.", "visual_projection."))]
    _copy(module, {name: weights.read(name) for name in names}, part="clip", path=path)


def _load_checkpoint(module: nn.Module, part: str, *, path: Path) -> None:
    """From a checkpoint that holds what was trained. Raises CheckpointError where that was another part."""
    found = read_weights(path)
    own: dict[str, Tensor] = {}
    for name, value in found.items():
        before, _, rest = f".{name}".partition(f".{part}.")
        if rest and not before.endswith(".lora"):
            own[rest] = value
    if not own:
        trained = sorted({name.removeprefix("model.").rsplit(".", 2)[0] for name in found})
        raise CheckpointError(
            f"task.model.parts.{part}='{path}' is the checkpoint of another stage: it holds {some_of(trained)}, no '{part}'. Name one of "
            f"stage {_stage(part)}."
        )
    _copy(module, own, part=part, path=path)


def _copy(module: nn.Module, weights: Mapping[str, Tensor], *, part: str, path: Path) -> None:
    parameters = dict(module.named_parameters())
    missing = sorted(name for name in set(parameters) - set(weights) if name not in UNREAD)
    shapes = [
        f"{name}: {tuple(weights[name].shape)} in the file, {tuple(value.shape)} in the model"
        for name, value in parameters.items()
        if name in weights and weights[name].shape != value.shape
    ]
    if missing or shapes:
        raise CheckpointError(
            f"task.model.parts.{part}='{path}' does not fit; nothing was loaded. Missing: {some_of(missing)}. Other sizes: "
            f"{some_of(shapes)}. Make task.model state the sizes of the file, or name another."
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            if name in weights:
                parameter.copy_(weights[name])


def check_sources(model: nn.Module, sources: Mapping[str, str], *, inside: Mapping[str, str] = PARTS) -> None:
    """Raise ConfigError if a part that does not train whole has no source: no later stage would have what it was drawn as."""
    for part, name in inside.items():
        frozen = any(not parameter.requires_grad for parameter in model.get_submodule(name).parameters())
        if part not in sources and frozen:
            raise ConfigError(
                f"task.model.parts names no '{part}', which this stage does not train whole: it would keep random weights. Name its "
                f"folder or the checkpoint of stage {_stage(part)}; '{NEW}' takes new weights all the same."
            )
