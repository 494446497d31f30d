"""More channels than the weights of a folder know: bands beside red, green and blue, seen by the one patch embedding."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.errors import ConfigError
from eocore.models.patch_embedding import widen_patch_embedding

PATCHES = "vision_tower.embeddings.patch_embeddings"
STATISTICS = ("pixel_mean", "pixel_std")


def wanted_channels(fields: Mapping[str, Any], config: EarthMindConfig) -> int:
    """Channels of the patch embedding as the config states them; those of the folder where it does not."""
    return int(fields.get("vision_config", {}).get("num_channels", config.vision_config.num_channels))


def without_channels(fields: Mapping[str, Any], config: EarthMindConfig) -> dict[str, Any]:
    """`fields` as they are to be compared with the folder's: where more channels are wanted, without what they change.

    Raises:
        ConfigError: mean or deviation of the channels that the weights know are other ones, or there are not as many as channels.
    """
    wanted, known = wanted_channels(fields, config), config.vision_config.num_channels
    if wanted <= known:
        return dict(fields)
    for name in STATISTICS:
        given, learned = list(fields.get(name, [])), getattr(config, name)
        if given and (len(given) != wanted or given[:known] != learned):
            raise ConfigError(
                f"model.{name} has {len(given)} values for {wanted} channels; expected as many, the first {known} those that the weights "
                f"learned with: {learned}. Other ones would show the first channels in other colours."
            )
    vision = {name: value for name, value in fields["vision_config"].items() if name != "num_channels"}
    return {name: value for name, value in fields.items() if name not in STATISTICS} | {"vision_config": vision}


def widen_channels(model: EarthMindForConditionalGeneration, fields: Mapping[str, Any]) -> None:
    """The model takes as many channels as `fields` state; new ones weigh nothing until training moves them.

    The first channels stay what they are, so the presentation's views must begin with red, green and blue.
    """
    config = model.config
    wanted = wanted_channels(fields, config)
    if wanted <= config.vision_config.num_channels:
        return
    patches: Any = model.get_submodule(PATCHES)
    patches.projection.weight = nn.Parameter(widen_patch_embedding(patches.projection.weight.data, wanted))
    patches.projection.in_channels = patches.num_channels = wanted
    values = {**config.to_dict(), **{name: fields.get(name) for name in STATISTICS}}
    values["vision_config"] = {**values["vision_config"], "num_channels": wanted}
    made = EarthMindConfig(**values)
    config.vision_config.num_channels = model.vision_tower.config.num_channels = wanted
    for name in STATISTICS:
        known = getattr(config, name)
        setattr(config, name, [*known, *getattr(made, name)[len(known) :]])


def check_new_channels(model: EarthMindForConditionalGeneration, folder: Path, *, known: int) -> None:
    """Nothing, if the channels beyond the `known` ones of `folder` are trained and so saved.

    Raises:
        ConfigError: they are not: they would stay at zero, and the bands they show be seen by nothing.
    """
    wanted = model.config.vision_config.num_channels
    weight: Any = model.get_submodule(PATCHES).projection.weight
    if wanted > known and not weight.requires_grad:
        raise ConfigError(
            f"the patch embedding takes {wanted} channels, of which {folder} knows {known}: the others begin at zero and would stay so, "
            f"their bands unseen. Add '{PATCHES}' to task.trainable."
        )
