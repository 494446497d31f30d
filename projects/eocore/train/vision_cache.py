"""Outputs of a frozen vision encoder, read from disk for tiles that were seen before."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from eocore.config import read_options
from eocore.errors import ConfigError
from eocore.models.feature_cache import FeatureCache, FeatureCacheOptions
from eocore.models.freeze import trainable_names
from eocore.train.checkpoint.weights import frozen_hash

DROPOUTS = ("hidden_dropout_prob", "attention_dropout", "projection_dropout")


class VisionCache:
    """What a frozen vision encoder returns for tiles.

    A tile's key is its pixels as the encoder is given them (`eocore.models.feature_cache.content_keys`), so that another preparation finds
    nothing old. The encoder's weights are hashed when the first batch comes, in the precision that they are trained in.

    Args:
        encoder: whose outputs are kept.
        options: fields of `FeatureCacheOptions`: where and how much.
        compute: tiles (T, C, S, S) uint8 -> what `encoder` makes of their patches (T, P, D).
        preparation: says how `compute` prepares pixels, as its settings are when the first batch comes.

    Raises:
        ConfigError: the encoder trains or drops at random, so that its outputs change from step to step; or a wrong option.
    """

    def __init__(
        self,
        encoder: PreTrainedModel,
        options: Mapping[str, Any],
        *,
        compute: Callable[[Tensor], Tensor],
        preparation: Callable[[], str],
    ) -> None:
        trained = trainable_names(encoder)
        if trained:
            raise ConfigError(
                f"task.vision_cache is set, but {len(trained)} parameters of the vision tower train ({trained[0]}, ...): its states change "
                "at every step and old ones would be wrong. Take it out of task.trainable, or leave vision_cache out."
            )
        random = {name: value for name in DROPOUTS if (value := getattr(encoder.config, name, 0.0))}
        if random:
            raise ConfigError(
                f"task.vision_cache is set, but the vision tower drops at random ({random}): one draw would be kept for ever. "
                "Set these to 0, or leave vision_cache out."
            )
        self.encoder, self.compute, self.preparation = encoder, compute, preparation
        self.options = read_options(FeatureCacheOptions, options, name="vision_cache")
        self._cache: FeatureCache | None = None

    def states(self, tiles: Tensor, keys: Sequence[str]) -> Tensor:
        """Patch states (T, P, D) of tiles (T, C, S, S) uint8 with these keys.

        Raises:
            ConfigError: under ZeRO-3, where all ranks gather the encoder's weights together or not at all.
        """
        cache = self._cache = self._cache or self._open()
        return cache.fetch(keys, lambda positions: self._compute(tiles[positions]), device=tiles.device)

    @property
    def fraction_found(self) -> float:
        """Fraction of the tiles [1] that were on the disk, since the training began."""
        return self._cache.found / self._cache.asked if self._cache and self._cache.asked else 0.0

    @torch.no_grad()
    def _compute(self, tiles: Tensor) -> Tensor:
        return self.compute(tiles)

    def _open(self) -> FeatureCache:
        encoder = self.encoder
        if any(hasattr(parameter, "ds_id") for parameter in encoder.parameters()):
            raise ConfigError(
                "task.vision_cache is set under ZeRO-3, where a rank that finds its tiles would leave the others waiting for its part of "
                "the tower's weights. Set training.deepspeed to 'deepspeed_zero2', or leave vision_cache out."
            )
        choices = f"{encoder.config.to_json_string(use_diff=False)} {self.preparation()} {encoder.dtype}"
        digest = hashlib.sha256(f"{frozen_hash(encoder)} {choices}".encode()).hexdigest()
        return FeatureCache(self.options, encoder=digest)
