"""The states of a frozen vision tower, read from disk for tiles that were seen before."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.errors import ConfigError
from eocore.models.feature_cache import FeatureCache, FeatureCacheOptions, content_keys
from eocore.models.freeze import trainable_names
from eocore.train.checkpoint.snapshot import frozen_hash

TILE_KEYS = "tile_keys"
DROPOUTS = ("hidden_dropout_prob", "attention_dropout", "projection_dropout")


class WithTileKeys:
    """Collates samples and gives each tile of the batch its key, in the loader's processes.

    Args:
        collate: samples -> batch.
    """

    def __init__(self, collate: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]) -> None:
        self.collate = collate

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch, with `TILE_KEYS` where it has tiles."""
        batch = self.collate(samples)
        return {**batch, TILE_KEYS: content_keys(batch["tiles"])} if "tiles" in batch else batch


class VisionCache:
    """What the vision tower makes of tiles, before the projector.

    A tile's key is its pixels as the tower is given them, so that another preparation finds nothing old. The tower's weights are hashed
    when the first batch comes, in the precision that they are trained in.

    Args:
        model: whose tower it is.
        options: where and how much.

    Raises:
        ConfigError: the tower trains or drops at random, so that its states change from step to step.
    """

    def __init__(self, model: EarthMindForConditionalGeneration, options: FeatureCacheOptions) -> None:
        trained = trainable_names(model.vision_tower)
        if trained:
            raise ConfigError(
                f"task.vision_cache is set, but {len(trained)} parameters of the vision tower train ({trained[0]}, ...): its states change "
                "at every step and old ones would be wrong. Take it out of task.trainable, or leave vision_cache out."
            )
        random = {name: value for name in DROPOUTS if (value := getattr(model.config.vision_config, name, 0.0))}
        if random:
            raise ConfigError(
                f"task.vision_cache is set, but the vision tower drops at random ({random}): one draw would be kept for ever. "
                "Set these to 0, or leave vision_cache out."
            )
        self.model = model
        self.options = options
        self._cache: FeatureCache | None = None

    def states(self, tiles: Tensor, keys: Sequence[str]) -> Tensor:
        """Patch states (T, P, D) of tiles (T, C, S, S) uint8 with these keys.

        Raises:
            ConfigError: under ZeRO-3, where all ranks gather the tower's weights together or not at all.
        """
        cache = self._cache = self._cache or self._open()
        return cache.fetch(keys, lambda places: self._compute(tiles[places]), tiles.device)

    @property
    def share_found(self) -> float:
        """Share of the tiles [1] that were on the disk, since the training began."""
        return self._cache.found / self._cache.asked if self._cache and self._cache.asked else 0.0

    @torch.no_grad()
    def _compute(self, tiles: Tensor) -> Tensor:
        return self.model.patch_states(tiles)

    def _open(self) -> FeatureCache:
        tower, config = self.model.vision_tower, self.model.config
        if any(hasattr(parameter, "ds_id") for parameter in tower.parameters()):
            raise ConfigError(
                "task.vision_cache is set under ZeRO-3, where a rank that finds its tiles would leave the others waiting for its share of "
                "the tower's weights. Set training.deepspeed to 'deepspeed_zero2', or leave vision_cache out."
            )
        choices = f"{tower.config.to_json_string(use_diff=False)} {config.pixel_mean} {config.pixel_std} {tower.dtype}"
        encoder = hashlib.sha256(f"{frozen_hash(tower)} {choices}".encode()).hexdigest()
        return FeatureCache(self.options, encoder=encoder)
