"""A model of our layout back in an upstream one: MS-CLIP's .pt, OpenCLIP's files, or transformers' CLIP."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPImageProcessorPil, CLIPProcessor

from eocore.checkpoints.exchange import ExportRequest
from eocore.checkpoints.key_map import KeyMap
from eocore.checkpoints.key_maps.clip import TRANSFORMERS_RULES, open_clip_rules
from eocore.checkpoints.weight_files import LazyTensor, open_weights
from eocore.checkpoints.weight_stream import write_file, write_weights
from eocore.errors import CheckpointError, ConfigError
from eocore.export.hf import MAX_SHARD_SIZE, folder_aside, require_free
from eocore.models.folders import CONFIG, check_model_folder, load_tokenizer, read_json
from ms_clip.checkpoints.layouts import CLIP, COPIES, OPEN_CLIP, OPEN_CLIP_CONFIG, OPEN_CLIP_FILES, TEMPERATURE, UPSTREAM
from ms_clip.pretrained import PROCESSOR

LAYOUTS = (UPSTREAM, OPEN_CLIP, CLIP)
UPSTREAM_FILE = "Llama3_MS_CLIP_weights.pt"
"""Name of the released file. Source: ibm-esa-geospatial/Llama3-MS-CLIP-base."""


@dataclass(frozen=True)
class Publication:
    """What an export will write.

    Attributes:
        layout: one of `LAYOUTS`.
        model: folder it is made of.
        tensors: by the names of OpenCLIP or transformers.
        config: content of the model's config.json.
        processor: content of its processor_config.json.
    """

    layout: str
    model: Path
    tensors: Mapping[str, LazyTensor]
    config: Mapping[str, Any]
    processor: Mapping[str, Any]

    def describe(self, out: Path) -> str:
        """What was written to `out`, for the screen."""
        values = sum(tensor.header.numel for tensor in self.tensors.values())
        return f"{out}: layout '{self.layout}', {len(self.tensors)} tensors, {values:,} values."

    def write(self, out: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
        """Writes the folder, whole or not at all.

        Raises:
            CheckpointError: `out` is taken, or a size is none.
            OutputError: the disk is full, or `out` may not be written to.
        """
        require_free(out, overwrite=overwrite)
        with folder_aside(out, needed=sum(tensor.header.nbytes for tensor in self.tensors.values())) as folder:
            WRITERS[self.layout](self, folder, max_shard_size=max_shard_size)
            if self.layout != CLIP:
                load_tokenizer(self.model).save_pretrained(folder)


def plan_export(model: Path, request: ExportRequest) -> Publication:
    """What an export of a folder of our layout will write.

    Raises:
        CheckpointError: the model cannot be said in the layout.
        ConfigError: an option of another system is given.
    """
    if request.rest is not None or request.without_video:
        raise ConfigError("--rest and --without-video belong to other systems. Leave them out.")
    check_model_folder(model)
    config, processor = read_json(model / CONFIG), read_json(model / PROCESSOR)
    weights = open_weights(model)
    tensors = {name: weights.lazy(name) for name in weights.headers}
    _check_sayable(request.layout, tensors, config=config)
    rules = TRANSFORMERS_RULES if request.layout == CLIP else open_clip_rules({})
    mapped = KeyMap(request.layout, rules).reversed().apply_tensors(tensors, origin=str(model))
    if mapped.unexpected:
        raise CheckpointError(f"{model}: layout '{request.layout}' has no place for {', '.join(list(mapped.unexpected)[:8])}.")
    return Publication(request.layout, model, mapped.tensors, config, processor)


def _check_sayable(layout: str, tensors: Mapping[str, LazyTensor], *, config: Mapping[str, Any]) -> None:
    """Raise CheckpointError if a layout has no place for what the model is."""
    channels = config["vision_config"]["num_channels"]
    if layout == CLIP and channels != 3:
        raise CheckpointError(
            f"the model reads {channels} channels; transformers' CLIP, its image processor and its pipelines take pictures of 3. Use the "
            f"folder itself with trust_remote_code, or the layout '{OPEN_CLIP}'."
        )
    if "logit_bias" in tensors and layout != OPEN_CLIP:
        raise CheckpointError(f"the model has a bias of the sigmoid loss, which the layout '{layout}' does not know. Use '{OPEN_CLIP}'.")
    if layout == UPSTREAM and config["vision_config"].get("hidden_act", "quick_gelu") != "gelu":
        raise CheckpointError(
            f"the towers compute with quick GELU, which a state alone does not say: it would be read as GELU. Use '{OPEN_CLIP}'."
        )
    acts = {config[tower].get("hidden_act", "quick_gelu") for tower in ("vision_config", "text_config")}
    if layout != CLIP and (len(acts) > 1 or not acts <= {"gelu", "quick_gelu"}):
        raise CheckpointError(f"the towers compute with {', '.join(sorted(acts))}; OpenCLIP knows one of gelu and quick_gelu for both.")


def _write_upstream(plan: Publication, folder: Path, *, max_shard_size: str) -> None:
    state = {name: tensor.read() for name, tensor in plan.tensors.items()}
    copies = {prefix + name: tensor for prefix in COPIES for name, tensor in state.items()}
    torch.save({**copies, TEMPERATURE: (-state["logit_scale"]).exp()}, folder / UPSTREAM_FILE)


def _write_open_clip(plan: Publication, folder: Path, *, max_shard_size: str) -> None:
    write_file(folder / OPEN_CLIP_FILES[0], plan.tensors)
    content = {"model_cfg": open_clip_config(plan.config), "preprocess_cfg": {name: list(plan.processor[name]) for name in ("mean", "std")}}
    (folder / OPEN_CLIP_CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_clip(plan: Publication, folder: Path, *, max_shard_size: str) -> None:
    write_weights(folder, plan.tensors, max_shard_size=max_shard_size)
    kept = ("text_config", "vision_config", "projection_dim", "logit_scale_init_value", "initializer_factor", "dtype")
    towers = {
        name: {**plan.config[name], "model_type": f"clip_{name.partition('_')[0]}_model"} for name in ("text_config", "vision_config")
    }
    config = {"architectures": ["CLIPModel"], "model_type": CLIP, **{name: plan.config[name] for name in kept if name in plan.config}}
    (folder / CONFIG).write_text(json.dumps({**config, **towers}, indent=2) + "\n", encoding="utf-8")
    side = plan.processor["image_size"]
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_mean=list(plan.processor["mean"]),
        image_std=list(plan.processor["std"]),
    )
    tokenizer = load_tokenizer(plan.model)
    tokenizer.model_max_length = plan.config["text_config"]["max_position_embeddings"]
    CLIPProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(folder)


WRITERS: dict[str, Callable[..., None]] = {
    UPSTREAM: _write_upstream,
    OPEN_CLIP: _write_open_clip,
    CLIP: _write_clip,
}


def open_clip_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """OpenCLIP's `model_cfg` of a config of ours."""
    vision, text = config["vision_config"], config["text_config"]
    quick = vision.get("hidden_act", "quick_gelu") == "quick_gelu"
    return {
        "embed_dim": config["projection_dim"],
        **({"quick_gelu": True} if quick else {}),
        "vision_cfg": {
            "image_size": vision["image_size"],
            "layers": vision["num_hidden_layers"],
            "width": vision["hidden_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
            "patch_size": vision["patch_size"],
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "width": text["hidden_size"],
            "heads": text["num_attention_heads"],
            "layers": text["num_hidden_layers"],
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        },
    }
