"""What a sample costs to train on, in floating-point operations, from its sizes and the model's."""

from dataclasses import dataclass

import numpy as np

from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from eocore.data.loading.sample_stats import FIELDS
from eocore.train.planning.operations import (
    FROZEN_PASSES,
    MULTIPLY_ADD,
    TRAINED_PASSES,
    SampleCost,
    attention_scores,
    count_weights,
    language_cost,
    passes,
    trains,
)

SENSOR = "sentinel2_l2a"
"""Whose patches stand for those of all sensors: embedding one costs a few hundredths of what the blocks do with it."""


@dataclass(frozen=True, kw_only=True)
class ImageTextCost:
    """Operations of a forward and backward pass, where a tile is a token of the encoder: a patch of one date in one set of bands.

    Attributes:
        text: of the language model.
        tile, tile_square: of a token of the encoder, and of two that see each other.
        sample: of the connector's queries, which are as many whatever they read.
    """

    text: SampleCost
    tile: float
    tile_square: float
    sample: float

    def __call__(self, sizes: np.ndarray) -> np.ndarray:
        """(N,) operations of samples of (N, len(FIELDS)) sizes."""
        tiles = sizes[:, FIELDS.index("tiles")].astype(np.float64)
        return self.text(sizes) + self.tile * tiles + self.tile_square * tiles**2 + self.sample


def sample_cost(model: EarthFmForConditionalGeneration, *, recomputed: bool = False) -> ImageTextCost:
    """The cost of samples for a model as it trains: frozen parts that no gradient passes through run forward alone.

    Not counted: norms, activations, tables, the optimiser; and patches without data, which the encoder leaves out, are counted.

    Args:
        model: weights are counted, not read; it may lie on the meta device.
        recomputed: the language model runs forward twice.
    """
    encoder, connector = model.encoder, model.connector
    sizes, repeats = encoder.sizes, passes(encoder)
    width, queries = connector.sizes.width, connector.sizes.num_queries
    read = TRAINED_PASSES if trains(connector) else FROZEN_PASSES if trains(encoder) else 1
    square, mlp = width**2, 2 * connector.sizes.mlp_ratio * width**2
    # each token: its projection, its key and value, and the scores of all queries with it
    reading = MULTIPLY_ADD * (connector.sizes.input_width * width + 2 * square) + 2 * MULTIPLY_ADD * queries * width
    blocks = MULTIPLY_ADD * count_weights(encoder.model.blocks)
    return ImageTextCost(
        text=language_cost(model.language_model, model.config.text_config, recomputed=recomputed),
        tile=blocks * repeats + _embedding(model) + reading * read,
        tile_square=attention_scores([sizes.embedding_size] * sizes.depth) * repeats,
        sample=MULTIPLY_ADD * queries * (2 * square + mlp) * read,
    )


def _embedding(model: EarthFmForConditionalGeneration) -> float:
    """Of one token, from the pixels of its patch: a projection of all of them, and, from v1.1 on, an MLP over the bands of each before.

    The image itself takes no gradient, so that the first layer has a pass less.
    """
    sizes, embeddings = model.encoder.sizes, model.encoder.model.patch_embeddings.per_modality_embeddings[SENSOR]
    pixels = sizes.max_patch_size**2  # smaller patches are enlarged to it
    layers = [(weight, 1) for name, weight in embeddings.named_parameters() if name.endswith(".proj.weight")]
    per_pixel = [(weight, pixels) for name, weight in embeddings.named_parameters() if ".pixel_proj." in name and weight.ndim == 2]
    first = per_pixel[:1] or layers
    whole, without = (sum(weight.numel() * count for weight, count in part) for part in ([*per_pixel, *layers], first))
    repeats = passes(model.encoder)
    return float(MULTIPLY_ADD * (whole * repeats - without * (repeats > 1)) / sizes.num_band_sets[SENSOR])
