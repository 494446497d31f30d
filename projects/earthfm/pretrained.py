"""Models and parts of models from local folders; nothing is fetched, nothing is run."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from olmoearth_pretrain_minimal import load_model_from_path
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from earthfm.model.configuration_earthfm import EarthFmConfig
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from earthfm.model.olmoearth import TRAINING_ONLY, sizes_of_release
from earthfm.model.processing_earthfm import EarthFmProcessor
from earthfm.model.sensor_inputs import SENSORS
from eocore.checkpoints.key_map import KeyMap
from eocore.checkpoints.key_maps.moondream import PHI_FIELDS, moondream_rules
from eocore.checkpoints.weight_files import open_weights
from eocore.errors import CheckpointError, ConfigError
from eocore.models.config_record import describe_config
from eocore.models.folders import CONFIG, check_model_folder, load_model, load_tokenizer, read_json
from eocore.text import some_of
from eocore.train.checkpoint.files import resolve_checkpoint
from eocore.train.checkpoint.weights import read_weights

PROCESSOR = "processor_config.json"
RELEASE_WEIGHTS = "weights.pth"
CLASS_FIELD = "_CLASS_"
OWN_PACKAGES = ("helios.", "olmoearth_pretrain.", "olmoearth_pretrain_minimal.")
"""Packages whose classes a config of OlmoEarth names; the loader would import any that it names."""
PER_SENSOR = ("patch_embeddings.per_modality_embeddings.", "composite_encodings.per_modality_channel_embeddings.")
POSITIONS_OF_OLD = "composite_encodings.pos_embed"
"""A table that early releases hold and nothing reads; the package drops it too."""

MOONDREAM_TYPES = ("moondream1", "moondream")
"""`model_type`s of Moondream 2. Source: vikhyatk/moondream2 at 2024-08-26, config.json."""
FIXED_TABLES = ("model.composite_encodings.month_embed.weight",)
"""Of an encoder, the same in all of them and never trained: checkpoints of trainings do not hold them."""


@dataclass(frozen=True)
class Part:
    """Weights of one part of a model.

    Attributes:
        path: where they come from.
        fields: of `EarthFmConfig`, which the part decides.
        prefix: of its names in the model.
        tensors: its state, by its own names.
    """

    path: Path
    fields: Mapping[str, Any]
    prefix: str
    tensors: Mapping[str, Tensor]

    def load_into(self, model: EarthFmForConditionalGeneration) -> None:
        """Puts the weights into the model. Raises CheckpointError where they are not just those of the part."""
        part = model.get_submodule(self.prefix)
        wanted = {name: value.shape for name, value in part.state_dict().items()}
        found = {name: value.shape for name, value in self.tensors.items()}
        known = {**{name: wanted[name] for name in FIXED_TABLES if name in wanted}, **found}
        wrong = sorted(name for name in {**wanted, **known} if wanted.get(name) != known.get(name))
        if wrong:
            raise CheckpointError(
                f"{self.path}: weights that are missing, of another size, or that nothing reads: {some_of(wrong)}. Nothing was loaded; "
                "state the sizes that it was made with, or name another."
            )
        part.load_state_dict({**part.state_dict(), **self.tensors})


def read_encoder(folder: Path) -> Part:
    """OlmoEarth's encoder as released (config.json, weights.pth), or the one inside a folder of our layout.

    Raises:
        ConfigError: there is no such folder.
        CheckpointError: it is damaged, its config names classes of other packages, or it holds no encoder.
    """
    if not folder.exists():
        raise ConfigError(
            f"model.encoder_weights='{folder}' does not exist; nothing is downloaded. Fetch a release (tools/download.py), train an "
            "encoder first (configs/earthfm/earthfm_encoder_tiny.py), or name a converted model."
        )
    if not (folder / CONFIG).is_file():
        return _trained_encoder(folder)
    config = read_json(folder / CONFIG)
    if config.get("model_type") == EarthFmConfig.model_type:
        return _encoder_of_model(folder)
    return _released_encoder(folder, config)


def _trained_encoder(path: Path) -> Part:
    """The encoder in a checkpoint of `EarthFmEncoderTask`, or in its file of weights; its sizes are the config's."""
    checkpoint = resolve_checkpoint(path) if path.is_dir() else path
    start = "model.encoder."
    state = {name.removeprefix(start): value for name, value in read_weights(checkpoint).items() if name.startswith(start)}
    if not state:
        raise CheckpointError(f"{checkpoint} holds no encoder: it is the checkpoint of another training. Name one of EarthFmEncoderTask.")
    return Part(path, {"encoder_source": describe_source(path, state)}, "encoder", state)


def _encoder_of_model(folder: Path) -> Part:
    check_model_folder(folder)
    model = load_model(EarthFmForConditionalGeneration, folder)
    tensors = dict(model.encoder.state_dict())
    source = model.config.encoder_source or describe_source(folder, tensors)
    return Part(folder, {"encoder": model.config.encoder, "encoder_source": source}, "encoder", tensors)


def _released_encoder(folder: Path, config: Mapping[str, Any]) -> Part:
    _check_classes(config, folder)
    if not (folder / RELEASE_WEIGHTS).is_file():
        raise CheckpointError(f"{folder} holds no {RELEASE_WEIGHTS}. Fetch the release again (tools/download.py).")
    try:
        sizes = sizes_of_release(config["model"]["encoder_config"])
        released = load_model_from_path(folder)
    except Exception as error:  # whatever torch and the package make of damaged files
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{folder} is no release of OlmoEarth ({type(error).__name__}: {reason}). Fetch it again.") from error
    state = {f"model.{name}": value for name, value in released.encoder.state_dict().items() if not _is_unread(name)}
    return Part(folder, {"encoder": asdict(sizes), "encoder_source": describe_source(folder, state)}, "encoder", state)


def _check_classes(config: Any, folder: Path) -> None:
    """Raise CheckpointError if a config would have other code imported than OlmoEarth's."""
    waiting = [config]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            named = str(node.get(CLASS_FIELD, ""))
            if "." in named and not named.startswith(OWN_PACKAGES):
                raise CheckpointError(f"{folder}/{CONFIG} names the class {named[:80]!r}, which is not OlmoEarth's; nothing was loaded.")
            waiting += list(node.values())
        elif isinstance(node, list):
            waiting += node


def _is_unread(name: str) -> bool:
    """Whether a tensor of a release serves its training, or maps that no encoder reads."""
    other = any(name.startswith(start) and name.removeprefix(start).split(".")[0] not in SENSORS for start in PER_SENSOR)
    return other or name == POSITIONS_OF_OLD or name.startswith(TRAINING_ONLY)


def describe_source(folder: Path, tensors: Mapping[str, Tensor]) -> str:
    """ "name:digest" of weights: what a checkpoint says of the encoder that it began with."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().float().contiguous().numpy().data)
    return f"{folder.name}:{digest.hexdigest()[:16]}"


def read_language_model(folder: Path) -> Part:
    """A causal language model of transformers.

    Raises:
        ConfigError: there is no such folder.
        CheckpointError: it is damaged, or of a kind that transformers has no class for.
    """
    if not folder.is_dir():
        raise ConfigError(f"model.language_weights='{folder}' does not exist; nothing is downloaded. Fetch the model first.")
    check_model_folder(folder)
    kind = read_json(folder / CONFIG).get("model_type")
    if kind in MOONDREAM_TYPES:
        return _moondream(folder)
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise CheckpointError(f"{folder} holds a model of type {str(kind)[:60]!r}; transformers has no causal language model of it.")
    model = load_model(AutoModelForCausalLM._model_mapping[CONFIG_MAPPING[kind]], folder)
    text = {name: value for name, value in model.config.to_dict().items() if name != "architectures"}
    return Part(folder, {"text_config": text}, "language_model", dict(model.state_dict()))


def _moondream(folder: Path) -> Part:
    """The text model of Moondream 2, of the revision whose names the key map knows."""
    mapped = KeyMap("Moondream 2", moondream_rules(ours="")).apply(open_weights(folder))
    if mapped.unexpected or not mapped.tensors:
        raise CheckpointError(
            f"{folder} is no Moondream 2 of revision 2024-08-26: {some_of(sorted(mapped.unexpected)) or 'no text model'}. Later revisions "
            "have other parts; fetch that one."
        )
    return Part(folder, {"text_config": dict(PHI_FIELDS)}, "language_model", {name: value.read() for name, value in mapped.tensors.items()})


def read_pretrained(folder: Path, fields: Mapping[str, Any]) -> EarthFmForConditionalGeneration:
    """The model of a folder of our layout, in the precision it was saved in.

    Args:
        folder: config.json, processor_config.json and weights.
        fields: fields of `EarthFmConfig` that are stated besides; they must be what the folder says.

    Raises:
        ConfigError: there is no such folder, or it is of other sizes.
        CheckpointError: weights are missing or left over.
    """
    if not folder.is_dir():
        raise ConfigError(f"model.pretrained='{folder}' does not exist; nothing is downloaded. Make it with tools/convert_to_hf.py.")
    check_model_folder(folder)
    model, report = load_model(EarthFmForConditionalGeneration, folder, output_loading_info=True)
    stray = sorted([*report["missing_keys"], *report["unexpected_keys"]])
    if stray:
        raise CheckpointError(f"{folder}: weights that are missing or that nothing reads: {some_of(stray)}. Convert the model again.")
    found = describe_config(model.config).values
    wrong = [name for name, value in fields.items() if json.dumps(found.get(name), default=str) != json.dumps(value, default=str)]
    if wrong:
        raise ConfigError(f"model.pretrained='{folder}' decides {', '.join(wrong)}, which the config states otherwise. Remove these keys.")
    return model


def read_processor(folder: Path, tokenizer: PreTrainedTokenizerBase | None = None) -> EarthFmProcessor:
    """The processor of a folder of our layout; its Python files are not run.

    Args:
        folder: of a converted or imported model.
        tokenizer: None = the folder's own.

    Raises:
        CheckpointError: it has none, or it is damaged.
    """
    words = load_tokenizer(folder) if tokenizer is None else tokenizer
    values = read_json(folder / PROCESSOR)
    template = folder / "chat_template.jinja"
    if template.is_file():
        values = {**values, "chat_template": template.read_text(encoding="utf-8")}
    processor: EarthFmProcessor = EarthFmProcessor.from_args_and_dict([words], values)
    return processor
