"""Checkpoints of EarthFM-VLM-Bridge, in and out: fusion.pt, vlm/ (an adapter of peft for Moondream 2, or its weights) and config.json.

Nothing here needs the encoder's package.

Source: Brayden-Zhang/EarthFM-VLM-Bridge at 387787a, olmoearth_vlm_bridge.py and train_olmoearth_vlm.py.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from eocore.checkpoints.key_map import KeyMap, rename
from eocore.checkpoints.key_maps.moondream import moondream_rules
from eocore.checkpoints.weight_files import Header, LazyTensor, open_weights
from eocore.errors import CheckpointError
from eocore.models.folders import CONFIG, read_json
from eocore.text import some_of

if TYPE_CHECKING:
    from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration

FUSION, ADAPTER_FOLDER = "fusion.pt", "vlm"
LAYOUT = "earthfm-bridge"
TEXT_MODEL = "text_model.pt"
"""Of the text model whole, which `write_bridge` writes: a model here has its LoRA merged."""
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
VISION_WIDTH = 1152
"""Of Moondream's vision tower, which upstream writes beside the encoder's width and uses for nothing."""
FUSION_RULES = [
    rename("geo_queries", "queries"),
    rename("olmo_proj.{leaf}", "input_projection.{leaf}"),
    rename("ln_olmo.{leaf}", "input_norm.{leaf}"),
    rename("ln_queries.{leaf}", "query_norm.{leaf}"),
    rename("attn.in_proj_{leaf}", "attention.in_proj_{leaf}"),
    rename("attn.out_proj.{leaf}", "attention.out_proj.{leaf}"),
    rename("ffn.0.{leaf}", "up_proj.{leaf}"),
    rename("ffn.3.{leaf}", "down_proj.{leaf}"),
    rename("ln_ffn.{leaf}", "output_norm.{leaf}"),
]
"""From fusion.pt to `QueryConnector`."""
TEXT_ADAPTER = re.compile(r"base_model\.model\.text_model\.(.+)\.lora_(A|B)\.weight")


@dataclass(frozen=True)
class Bridge:
    """What a checkpoint of upstream holds.

    Attributes:
        path: of the folder.
        fusion: state of the connector, by its names here.
        updates: name of a weight of Moondream's text model (below `text_model.`) -> (A, B) of its LoRA update.
        scale: alpha / rank of the updates.
        text: weights of the whole text model, by the names of PhiForCausalLM; empty where there is an adapter.
        num_vision: tensors of the vision tower (its LoRA, or its weights), which nothing uses.
    """

    path: Path
    fusion: Mapping[str, Tensor]
    updates: Mapping[str, tuple[Tensor, Tensor]]
    scale: float
    text: Mapping[str, LazyTensor]
    num_vision: int


def is_bridge(path: Path) -> bool:
    """Whether a folder is a checkpoint of upstream; one that lacks config.json is one too, and is refused when it is read."""
    return (path / FUSION).is_file()


def read_bridge(folder: Path) -> Bridge:
    """A checkpoint of upstream.

    Raises:
        CheckpointError: a file is missing or damaged, config.json is not there, or tensors have names that nothing knows.
    """
    if folder.exists() and not (is_bridge(folder) and (folder / CONFIG).is_file()):
        raise CheckpointError(
            f"{folder} is no checkpoint of EarthFM-VLM-Bridge: it needs {FUSION} and {CONFIG}, which says of what width the encoder is. "
            "Name best_model, final_model or a checkpoint_epoch_N."
        )
    weights = open_weights(folder / FUSION if folder.exists() else folder)  # which says that it does not exist
    config = read_json(folder / CONFIG)
    mapped = KeyMap("fusion.pt", FUSION_RULES).apply(weights)
    if mapped.unexpected or len(mapped.tensors) != len(weights.headers):
        raise CheckpointError(f"{folder / FUSION}: tensors that nothing here reads: {some_of(sorted(mapped.unexpected))}.")
    fusion = {name: tensor.read().clone() for name, tensor in mapped.tensors.items()}
    width = fusion["input_projection.weight"].shape[1] if "input_projection.weight" in fusion else None
    if config.get("olmoearth_dim") != width:
        raise CheckpointError(
            f"{folder}: {CONFIG} says olmoearth_dim={config.get('olmoearth_dim')}, {FUSION} reads tokens of width {width}; one of them is "
            "of another training. Nothing was loaded."
        )
    language = folder / ADAPTER_FOLDER
    if (language / ADAPTER).is_file():
        updates, scale, vision = _read_adapter(language)
        return Bridge(folder, fusion, updates, scale, text={}, num_vision=vision)
    text, vision = _open_text(language)
    return Bridge(folder, fusion, updates={}, scale=1.0, text=text, num_vision=vision)


def _open_text(folder: Path) -> tuple[Mapping[str, LazyTensor], int]:
    """The text model of a training without LoRA, or that `write_bridge` wrote; and how many tensors of the vision tower are left out."""
    file = folder / TEXT_MODEL
    if not file.is_file() and not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder} holds neither an adapter ({ADAPTER}) nor a text model ({TEXT_MODEL}, or {CONFIG} with weights): what was trained of "
            "the language model is not there. Copy the checkpoint again, with its whole vlm/."
        )
    mapped = KeyMap("vlm", moondream_rules(ours="")).apply(open_weights(file if file.is_file() else folder))
    if mapped.unexpected:
        raise CheckpointError(f"{folder}: weights that are not Moondream's of 2024-08-26: {some_of(sorted(mapped.unexpected))}.")
    return mapped.tensors, sum(map(len, mapped.unused.values()))


def _read_adapter(folder: Path) -> tuple[dict[str, tuple[Tensor, Tensor]], float, int]:
    """LoRA of the text model, its scale, and how many tensors of the vision tower are left out."""
    settings = read_json(folder / ADAPTER_CONFIG)
    weights = open_weights(folder / ADAPTER)
    halves: dict[str, dict[str, Tensor]] = {}
    for name in weights.headers:
        match = TEXT_ADAPTER.fullmatch(name)
        if match:
            halves.setdefault(f"{match[1]}.weight", {})[match[2]] = weights.read(name).clone()
    broken = sorted(name for name, pair in halves.items() if set(pair) != {"A", "B"})
    if broken or not settings.get("r") or not settings.get("lora_alpha"):
        raise CheckpointError(f"{folder}: an adapter without rank or alpha, or of one half alone: {some_of(broken)}. Fetch it again.")
    vision = sum("vision" in name for name in weights.headers)
    if 2 * len(halves) + vision != len(weights.headers):
        raise CheckpointError(f"{folder}: adapter tensors that are of neither the text model nor the vision tower. Nothing was loaded.")
    scale = float(settings["lora_alpha"]) / float(settings["r"])
    return {name: (pair["A"], pair["B"]) for name, pair in halves.items()}, scale, vision


def load_bridge(model: "EarthFmForConditionalGeneration", bridge: Bridge) -> None:
    """Puts a checkpoint into a model that has Moondream's text model and the encoder it was trained with; LoRA is merged.

    Raises:
        CheckpointError: connector or updates do not fit.
    """
    wanted = {name: tuple(value.shape) for name, value in model.connector.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in bridge.fusion.items()}
    wrong = sorted(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))
    if wrong:
        raise CheckpointError(
            f"{bridge.path}: the connector has other sizes, or lacks {some_of(wrong)}: it is of another encoder, language model or number "
            "of queries. Nothing was loaded."
        )
    state = model.language_model.state_dict()
    _check_text(bridge, state)
    deltas = _deltas(bridge)
    strange = sorted(name for name, delta in deltas.items() if name not in state or state[name].shape != delta.shape)
    if strange:
        raise CheckpointError(f"{bridge.path}: LoRA of weights that the language model does not have: {some_of(strange)}.")
    model.connector.load_state_dict(bridge.fusion)
    with torch.no_grad():
        for name, tensor in bridge.text.items():
            state[name].copy_(tensor.read())
        for name, delta in deltas.items():
            state[name] += delta.to(state[name].dtype)


def _check_text(bridge: Bridge, state: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError if a checkpoint holds a text model, but not all of this one."""
    wanted = {name: tuple(value.shape) for name, value in state.items()}
    found = {name: tensor.header.shape for name, tensor in bridge.text.items()}
    wrong = sorted(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))
    if bridge.text and wrong:
        raise CheckpointError(
            f"{bridge.path}: weights of the text model that are missing, of another size, or that the language model does not have: "
            f"{some_of(wrong)}. Name the language model that it was trained with."
        )


def _deltas(bridge: Bridge) -> dict[str, Tensor]:
    """Name in PhiForCausalLM -> what LoRA adds to it."""
    updates = {f"text_model.{name}": bridge.scale * (second.float() @ first.float()) for name, (first, second) in bridge.updates.items()}
    tensors = {name: _lazy(value) for name, value in updates.items()}
    mapped = KeyMap("adapter", moondream_rules(ours="")).apply_tensors(tensors, origin=str(bridge.path))
    if mapped.unexpected:
        raise CheckpointError(f"{bridge.path}: LoRA of parts that are not Moondream's: {some_of(sorted(mapped.unexpected))}.")
    return {name: tensor.read() for name, tensor in mapped.tensors.items()}


def _lazy(value: Tensor) -> LazyTensor:
    return LazyTensor(Header(tuple(value.shape), value.dtype), lambda: value)


def write_bridge(model: "EarthFmForConditionalGeneration", folder: Path) -> None:
    """Writes fusion.pt, config.json and vlm/, as upstream saves them, but the text model whole (vlm/text_model.pt): LoRA is merged here.

    Args:
        model: whose language model is Phi with Moondream's sizes or others.
        folder: is made; files of these names in it are replaced.

    Raises:
        CheckpointError: the language model is not Phi.
    """
    require_phi(model)
    back = KeyMap("fusion.pt", FUSION_RULES).reversed()
    fusion = back.apply_tensors({name: _lazy(value) for name, value in model.connector.state_dict().items()}, origin="connector")
    text = KeyMap("text_model", moondream_rules(ours="")).reversed()
    language = text.apply_tensors(
        {name: _lazy(value) for name, value in model.language_model.state_dict().items()}, origin="language model"
    )
    (folder / ADAPTER_FOLDER).mkdir(parents=True, exist_ok=True)
    torch.save({name: tensor.read() for name, tensor in fusion.tensors.items()}, folder / FUSION)
    torch.save({name: tensor.read() for name, tensor in language.tensors.items()}, folder / ADAPTER_FOLDER / TEXT_MODEL)
    content: dict[str, Any] = {"olmoearth_dim": model.config.encoder_sizes.embedding_size, "vlm_vision_dim": VISION_WIDTH}
    (folder / CONFIG).write_text(json.dumps(content) + "\n", encoding="utf-8")


def require_phi(model: "EarthFmForConditionalGeneration") -> None:
    """Raise CheckpointError if the language model is not Phi, as Moondream's is."""
    kind = model.config.text_config.model_type
    if kind != "phi":
        raise CheckpointError(f"the language model is of type '{kind}'; upstream's checkpoints are for Moondream's Phi.")
