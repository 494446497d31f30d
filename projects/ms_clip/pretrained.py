"""A model from a folder of our layout, its patch embedding widened to the bands that are wanted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from eocore.errors import CheckpointError, ConfigError
from eocore.models.config_record import describe_config
from eocore.models.folders import CONFIG, check_model_folder, load_model, load_tokenizer, read_json
from eocore.text import some_of
from ms_clip.model.channels import COLOUR_BANDS
from ms_clip.model.configuration_ms_clip import MsClipConfig
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.model.processing_ms_clip import MsClipProcessor

PROCESSOR = "processor_config.json"
NEW_CHANNELS = ("zero", "mean", "random")


def read_pretrained(folder: Path, fields: Mapping[str, Any], *, channels: Sequence[str], new_channels: str = "zero") -> MsClipModel:
    """The model of a folder, in the precision it was saved in, with a patch embedding for `channels`.

    Args:
        folder: config.json, processor_config.json and weights of our layout.
        fields: fields of `MsClipConfig` that are stated besides; they must be what the folder says.
        channels: wanted, as in `ProcessorOptions`.
        new_channels: weights of channels that the folder's model does not read: "zero" (as upstream: nothing changes until they are
            trained), the "mean" of its channels, or "random" with their deviation.

    Raises:
        ConfigError: there is no such folder, it is of other sizes, or another choice.
        CheckpointError: weights are missing or left over.
    """
    if new_channels not in NEW_CHANNELS:
        raise ConfigError(f"model.new_channels='{new_channels}' is unknown; choices: {', '.join(NEW_CHANNELS)}.")
    if not folder.is_dir():
        raise ConfigError(f"model.pretrained='{folder}' does not exist; nothing is downloaded. Make it with tools/import_weights.py.")
    check_model_folder(folder)
    model, report = load_model(MsClipModel, folder, output_loading_info=True)
    _check_sizes(folder, fields, config=model.config)
    stray = [*report["missing_keys"], *report["unexpected_keys"]]
    if stray:
        raise CheckpointError(
            f"{folder}: weights that are missing or that nothing reads: {some_of(sorted(stray))}. Import the model again."
        )
    known = _known_channels(folder, count=model.config.vision_config.num_channels)
    if tuple(channels) != tuple(known):
        place_channels(model, channels, known=known, new_channels=new_channels)
    return model


def place_channels(model: MsClipModel, wanted: Sequence[str], *, known: Sequence[str], new_channels: str) -> None:
    """Gives the model a patch embedding for `wanted` channels; what it knows by name keeps its weights, wherever it stands.

    Raises:
        ConfigError: none of the channels is known, so that nothing of what was learned would be used.
    """
    embeddings: Any = model.vision_model.embeddings
    old = embeddings.patch_embedding
    sources = [find_channel(channel, known) for channel in wanted]
    if all(source is None for source in sources):
        raise ConfigError(
            f"none of the channels {', '.join(wanted)} is among those of the pretrained model: {', '.join(known)}. Name its bands."
        )
    with torch.no_grad():
        weight = torch.stack([_weight(old.weight, source, kind=new_channels) for source in sources], dim=1)
    settings = {"kernel_size": old.kernel_size, "stride": old.stride, "bias": False, "dtype": old.weight.dtype, "device": old.weight.device}
    embeddings.patch_embedding = nn.Conv2d(len(wanted), old.out_channels, **settings)
    embeddings.patch_embedding.weight = nn.Parameter(weight)
    model.config.vision_config.num_channels = len(wanted)


def find_channel(channel: str, known: Sequence[str]) -> int | None:
    """Position of a channel among known ones, by its bands; red, green and blue of pictures are also those of sensors. None = not there."""
    for number, other in enumerate(known):
        if _bands(channel) & _bands(other):
            return number
    return None


def _bands(channel: str) -> set[str]:
    """Every name of a channel's bands, colours under all of theirs."""
    named = {part.partition(":")[2] for part in channel.split("|")}
    return named | {name for names in COLOUR_BANDS.values() for name in names if named & set(names)}


def _weight(weight: Tensor, source: int | None, *, kind: str) -> Tensor:
    """(D, p, p) weight of one channel."""
    if source is not None:
        return weight[:, source]
    if kind == "mean":
        return weight.mean(1)
    return torch.randn_like(weight[:, 0]) * weight.std() if kind == "random" else torch.zeros_like(weight[:, 0])


def read_processor(folder: Path, tokenizer: PreTrainedTokenizerBase | None = None) -> MsClipProcessor:
    """The processor of a folder of our layout; its Python files are not run.

    Args:
        folder: of a converted or imported model.
        tokenizer: None = the folder's own.

    Raises:
        CheckpointError: it has none, or it is damaged.
    """
    words = load_tokenizer(folder) if tokenizer is None else tokenizer
    processor: MsClipProcessor = MsClipProcessor.from_args_and_dict([words], read_json(folder / PROCESSOR))
    return processor


def _known_channels(folder: Path, *, count: int) -> list[str]:
    channels = read_json(folder / PROCESSOR).get("channels", []) if (folder / PROCESSOR).is_file() else []
    if len(channels) != count:
        raise CheckpointError(
            f"{folder}/{PROCESSOR} names {len(channels)} channels, the patch embedding in {CONFIG} has {count}: which band is which is not "
            "known. Import the model again."
        )
    return [str(channel) for channel in channels]


def _check_sizes(folder: Path, fields: Mapping[str, Any], *, config: MsClipConfig) -> None:
    """Raise ConfigError if a field is not what the folder says; channels and image size are the processor's."""
    found = describe_config(config).values
    wrong = list(_differences(fields, found, where="model"))
    if wrong:
        raise ConfigError(f"model.pretrained='{folder}' is of another size than the config says: {some_of(wrong)}. Remove these keys.")


def _differences(stated: Mapping[str, Any], found: Mapping[str, Any], *, where: str) -> list[str]:
    lines: list[str] = []
    for name, value in stated.items():
        if isinstance(value, Mapping):
            lines += _differences(value, found.get(name, {}), where=f"{where}.{name}")
        elif name != "num_channels" and found.get(name) != value:
            lines.append(f"{where}.{name} is {value}, the folder has {found.get(name)}")
    return lines
