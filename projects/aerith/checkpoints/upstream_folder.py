"""The folders that AerithVLM's README promises, aerithvlm_base/ and aerithvlm_finetuned/, written and read.

Source: vendetta127/AerithVLM at fb464cc, which names vision_encoder.pth, projection_head.pth, attention_pooler.pth and llama_lora_adapter/
and says nothing of what is in them. Chosen here:

- The .pth files hold a state, read with weights_only, whose keys are the names of the weights in `AerithForConditionalGeneration`
  (`vision.towers.head.weight`), so that `task.model.parts` of a training takes such a file too; names below the module alone (`weight`)
  are read as well. vision_encoder.pth holds both towers.
- llama_lora_adapter/ is a folder of peft for the language model: adapter_config.json and adapter_model.safetensors. A folder without it is
  a model whose language model is as language_model/ holds it: aerithvlm_base/, or one whose LoRA is merged.
- What those four lack lies beside them: config.json, processor_config.json, chat_template.jinja, generation_config.json and the tokenizer,
  as in a converted model, and language_model/, the folder of the causal language model that the adapter stands on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import GenerationConfig, PretrainedConfig

from aerith.model.configuration_aerith import AerithConfig
from aerith.model.modeling_aerith import AerithForConditionalGeneration
from aerith.model.processing_aerith import AerithProcessor
from aerith.model.vision_aerith import VisionEncoder
from eocore.checkpoints.weight_files import open_weights
from eocore.errors import CheckpointError
from eocore.export.adapter import WEIGHTS, adapter_config, adapter_weights, peft_name
from eocore.export.hf import folder_aside, require_free
from eocore.models.folders import CONFIG, check_json_files, load_model, read_json
from eocore.models.lora import PARAMETERS, add_lora, lora_names, merge_lora
from eocore.progress import keep_bars_out_of_logs
from eocore.system import ADAPTER_CONFIG
from eocore.text import some_of

FILES: Mapping[str, tuple[str, ...]] = {
    "vision_encoder.pth": ("vision.towers.clip.", "vision.towers.dinov3."),
    "projection_head.pth": ("vision.towers.head.",),
    "attention_pooler.pth": ("vision.pooler.",),
}
"""File -> how the names of its weights begin in the model."""
SHORT = {"vision_encoder.pth": "vision.towers."}
"""File of several modules -> what its names may leave out; of one module, the module."""
ADAPTER_FOLDER, LANGUAGE_FOLDER = "llama_lora_adapter", "language_model"
GENERATION = "generation_config.json"
BASE = ".base_layer."
"""What peft puts into the name of a weight that LoRA stands beside."""
PLAIN: Mapping[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
}
"""Fields of adapter_config.json that must say that the adapter is LoRA of one rank and nothing else."""


def is_upstream_folder(folder: Path) -> bool:
    """Whether a folder holds any of the promised files."""
    return any((folder / name).is_file() for name in FILES)


def read_upstream(folder: Path, *, merge: bool = True, dtype: Any = "auto") -> AerithForConditionalGeneration:
    """The model of a promised folder, in eval mode.

    Args:
        folder: of it.
        merge: add LoRA to the weights it stands beside, as conversion does; else it stays apart.
        dtype: of the weights; "auto" = as they are saved.

    Raises:
        CheckpointError: something is missing, of other names or shapes, or would run code.
    """
    _check_whole(folder)
    check_json_files(folder)
    try:
        config = AerithConfig.from_pretrained(str(folder), local_files_only=True)
        with torch.device("meta"):  # the language model is read below: no weights are drawn for it
            model = AerithForConditionalGeneration(config)
        model.vision = VisionEncoder(config.vision_sizes, config.pooler_sizes)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{folder / CONFIG}: sizes that make no model ({error}). Write the folder again.") from error
    for name in FILES:
        load_file(model, folder / name)
    if dtype != "auto":
        model.vision.to(dtype)
    language_model = load_model(type(model.language_model), folder / LANGUAGE_FOLDER, dtype=dtype)
    _check_language_model(config.text_config, language_model.config, folder=folder)
    model.language_model = language_model
    if (folder / ADAPTER_FOLDER).is_dir():
        load_adapter(model, folder / ADAPTER_FOLDER)
        if merge:
            merge_lora(model.language_model)
    if (folder / GENERATION).is_file():
        model.generation_config = GenerationConfig.from_pretrained(str(folder), local_files_only=True)
    return model.eval()


def _check_whole(folder: Path) -> None:
    """Raise CheckpointError if a part that every folder has is not there."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}; nothing was loaded. Fetch or write the folder again.")
    if not (folder / CONFIG).is_file() or read_json(folder / CONFIG).get("model_type") != AerithConfig.model_type:
        raise CheckpointError(
            f"{folder} has no {CONFIG} of an Aerith model, so that sizes and tokenizer are not known; the files of weights do not say "
            f"them. Put {CONFIG}, processor_config.json, chat_template.jinja and the tokenizer of a converted model of these sizes there."
        )
    if not (folder / LANGUAGE_FOLDER).is_dir():
        raise CheckpointError(
            f"{folder} has no folder {LANGUAGE_FOLDER}/, the language model that answers; nothing is downloaded. Put the base that was "
            "trained on there, or a link to its folder: LLaMA-2-7B-Chat in transformers' form for the full size."
        )


def _check_language_model(wanted: PretrainedConfig, found: PretrainedConfig, *, folder: Path) -> None:
    """Raise CheckpointError if the language model has other sizes than config.json says."""
    fields = ("model_type", "hidden_size", "vocab_size", "num_hidden_layers")
    unlike = [name for name in fields if getattr(wanted, name, None) != getattr(found, name, None)]
    if unlike:
        said = ", ".join(f"{name}={getattr(found, name, None)}, expected {getattr(wanted, name, None)}" for name in unlike)
        raise CheckpointError(f"{folder / LANGUAGE_FOLDER}: {said} of {folder / CONFIG}. Put the base there that the model was trained on.")


def load_file(model: AerithForConditionalGeneration, path: Path) -> None:
    """Puts one of the .pth files, such as projection_head.pth, into a model, in the precision of the file.

    Args:
        model: of the same sizes.
        path: of the file, which has one of the names of `FILES`.

    Raises:
        CheckpointError: it has another name, is damaged, would run code, or its weights have other names or shapes than the model's.
    """
    if path.name not in FILES:
        raise CheckpointError(f"{path}: the name of the file says what it holds; expected one of {', '.join(FILES)}. Rename it.")
    starts = FILES[path.name]
    weights, short = open_weights(path), SHORT.get(path.name, starts[0])
    found = {name if name.startswith(starts) else f"{short}{name}": name for name in weights.headers}
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items() if name.startswith(starts)}
    _require_same(path, {full: weights.headers[name].shape for full, name in found.items()}, wanted=wanted)
    state = {full: weights.read(name).clone() for full, name in found.items()}
    model.load_state_dict(state, strict=False, assign=True)  # names were compared above


def load_adapter(model: AerithForConditionalGeneration, folder: Path) -> list[str]:
    """Puts llama_lora_adapter/ beside the language model of a model; returns the names of its parameters there.

    Args:
        model: whose language model is the base of the adapter, without LoRA.
        folder: of the adapter.

    Raises:
        CheckpointError: a file is missing or damaged, the adapter is more than LoRA of one rank, or it does not fit.
        ConfigError: it adapts layers that the language model does not have, or the model has LoRA already.
    """
    settings, weights = read_json(folder / ADAPTER_CONFIG), open_weights(folder / WEIGHTS)
    _check_settings(settings, folder / ADAPTER_CONFIG)
    language_model = model.language_model
    strange = [name for name in weights.headers if not any(part in f"{name}." for part in PARAMETERS)]
    if strange:
        raise CheckpointError(f"{folder / WEIGHTS} holds more than LoRA: {some_of(sorted(strange))}. Nothing was loaded.")
    start = peft_name("")
    variants = [name for name in ("dora", "rslora") if settings.get(f"use_{name}")]
    added = add_lora(
        language_model,
        rank=settings["r"],
        alpha=settings["lora_alpha"],
        dropout=settings.get("lora_dropout", 0.0),
        target_modules=sorted({name.removeprefix(start).split(".lora_")[0] for name in weights.headers}),
        variants=variants,
    )
    inside = {name: language_model.get_parameter(name) for name in added}
    shapes = {name: header.shape for name, header in weights.headers.items()}
    _require_same(folder / WEIGHTS, shapes, wanted={peft_name(name): tuple(value.shape) for name, value in inside.items()})
    with torch.no_grad():
        for name, parameter in inside.items():
            parameter.copy_(weights.read(peft_name(name)))
    return added


def _check_settings(settings: Mapping[str, Any], path: Path) -> None:
    """Raise CheckpointError if an adapter is another kind than LoRA of one rank."""
    wrong = [f"{name}={settings[name]!r}" for name, usual in PLAIN.items() if name in settings and settings[name] not in usual]
    if settings.get("peft_type") != "LORA" or not settings.get("r") or not settings.get("lora_alpha"):
        wrong.append(f"peft_type={settings.get('peft_type')!r}, r={settings.get('r')!r}, lora_alpha={settings.get('lora_alpha')!r}")
    if wrong:
        raise CheckpointError(f"{path}: {'; '.join(wrong)}; expected LoRA of one rank without anything besides. Nothing was loaded.")


def _require_same(path: Path, found: Mapping[str, tuple[int, ...]], *, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointError if names or shapes differ."""
    missing, strange = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    shapes = [
        f"{name}: {found[name]} in the file, {wanted[name]} in the model"
        for name in wanted
        if found.get(name, wanted[name]) != wanted[name]
    ]
    if missing or strange or shapes:
        raise CheckpointError(
            f"{path} does not fit; none of it was loaded. Missing: {some_of(missing)}. Unknown: {some_of(strange)}. Other sizes: "
            f"{some_of(shapes)}. Take files and {CONFIG} of one training."
        )


def write_upstream(model: AerithForConditionalGeneration, processor: AerithProcessor, *, out: Path, overwrite: bool = False) -> None:
    """Writes a promised folder, whole or not at all.

    Args:
        model: its LoRA, where it is not merged, becomes llama_lora_adapter/; whatever else of the language model was trained is in
            language_model/. The model stays as it is.
        processor: of the model.
        out: the folder.
        overwrite: replace a model that is there.

    Raises:
        CheckpointError: `out` is taken.
        OutputError: the disk is full, or `out` may not be written to.
    """
    require_free(out, overwrite=overwrite)
    keep_bars_out_of_logs()
    state = {name: value.detach().cpu() for name, value in model.vision.state_dict(prefix="vision.").items()}
    needed = sum(value.nbytes for value in model.parameters())
    with folder_aside(out, needed=needed) as folder:
        for name, starts in FILES.items():
            torch.save({key: value.clone() for key, value in state.items() if key.startswith(starts)}, folder / name)
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        processor.save_pretrained(folder)
        _write_language_model(model.language_model, folder / LANGUAGE_FOLDER)
        if lora_names(model.language_model):
            _write_adapter(model.language_model, folder / ADAPTER_FOLDER)


def _write_language_model(language_model: Any, folder: Path) -> None:
    """Without LoRA, by the names that transformers gives the weights."""
    adapted = set(lora_names(language_model))
    state = {name.replace(BASE, "."): value for name, value in language_model.state_dict().items() if name not in adapted}
    language_model.save_pretrained(folder, state_dict=state)


def _write_adapter(language_model: nn.Module, folder: Path) -> None:
    """As peft writes it; other trained weights stand in language_model/ already."""
    settings = adapter_config(language_model, Path(f"../{LANGUAGE_FOLDER}"))
    settings.modules_to_save = None
    weights: dict[str, Tensor] = {name: value for name, value in adapter_weights(language_model).items() if ".lora_" in name}
    folder.mkdir()
    settings.save_pretrained(str(folder))
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
