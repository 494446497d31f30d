"""OlmoEarth's encoder, from the package `olmoearth-pretrain-minimal`, as a part of a model: its sizes, its parts that compute tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1 import olmoearth_pretrain_v1 as released
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.nn.flexi_vit import EncoderConfig, MultiModalPatchEmbeddings
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.nn.tokenization import ModalityTokenization, TokenizationConfig
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.datatypes import MaskedOlmoEarthSample, MaskValue
from torch import Tensor, nn

from .sensor_inputs import SENSORS, SensorInputs

VERSIONS = ("v1", "v1.1", "v1.2", "v1.3")
SIZES = ("nano", "tiny", "small", "base", "large")
TRAINING_ONLY = ("project_and_aggregate.", "attention_pooler.")
"""Parts of released encoders that serve losses of their training, not tokens: v1's projection for contrast, v1.3's location tokens."""


@dataclass(frozen=True, kw_only=True)
class EncoderSizes:
    """What one encoder is.

    Attributes:
        version: of OlmoEarth: v1 makes three tokens of a Sentinel-2 patch (bands of 10, 20 and 60 m), later ones one; v1.2 has rotary
            positions; v1.3's tokens are computed as v1.2's.
        embedding_size, depth, num_heads: of the transformer.
        mlp_ratio: hidden width of its MLPs, by `embedding_size`.
        max_patch_size: side of the patches that its kernels are stored for [px]; smaller ones are made of them.
        drop_path: largest rate of layers left out, while it trains.
        pixel_hidden_sizes: from v1.1 on, of an MLP over each pixel's bands before patches are embedded.

    Raises:
        ValueError: the version is unknown, a size is not positive, or heads do not divide the width.
    """

    version: str = "v1"
    embedding_size: int = 128
    depth: int = 4
    num_heads: int = 8
    mlp_ratio: float = 4.0
    max_patch_size: int = 8
    drop_path: float = 0.1
    pixel_hidden_sizes: Sequence[int] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixel_hidden_sizes", tuple(self.pixel_hidden_sizes))
        if self.version not in VERSIONS:
            raise ValueError(f"encoder.version='{self.version}' is unknown; choices: {', '.join(VERSIONS)}.")
        sizes = (self.embedding_size, self.depth, self.num_heads, self.mlp_ratio, self.max_patch_size, *self.pixel_hidden_sizes)
        if min(sizes) <= 0:
            raise ValueError(f"sizes of an encoder are positive, found {self}.")
        if self.embedding_size % (4 * self.num_heads) or self.embedding_size % 16:
            raise ValueError(
                f"encoder.embedding_size={self.embedding_size} must be a multiple of 16 (a quarter each for band set, date, month and "
                f"position, in pairs) and of 4 * num_heads ({4 * self.num_heads})."
            )

    @property
    def num_band_sets(self) -> dict[str, int]:
        """Sensor -> tokens of one patch of one date."""
        tokens = _tokenization(self.version)
        return {name: tokens.get_num_bandsets(name) for name in SENSORS}


def released_sizes(version: str, size: str) -> EncoderSizes:
    """Sizes of a released encoder, such as "v1" and "nano".

    Raises:
        ValueError: there is no such release.
    """
    offered = {
        "v1": released.V1_SUPPORTED_SIZES,
        "v1.1": released.V1_1_SUPPORTED_SIZES,
        "v1.2": released.V1_2_SUPPORTED_SIZES,
        "v1.3": released.V1_3_SUPPORTED_SIZES,
    }
    if size not in offered.get(version, ()):
        names = "; ".join(f"{name}: {', '.join(sizes)}" for name, sizes in offered.items())
        raise ValueError(f"there is no OlmoEarth {version} {size}. Releases: {names}.")
    sizes = released.MODEL_SIZE_CONFIGS[f"{size}_shallow_decoder"]
    return EncoderSizes(
        version=version,
        embedding_size=int(sizes["encoder_embedding_size"]),
        depth=int(sizes["encoder_depth"]),
        num_heads=int(sizes["encoder_num_heads"]),
        mlp_ratio=float(sizes["mlp_ratio"]),
        pixel_hidden_sizes=() if version == "v1" else released.V1_2_PATCH_EMBED_HIDDEN_SIZES[size],
    )


class OlmoEarthEncoder(nn.Module):
    """Images of Sentinel-2, Sentinel-1 and Landsat, at one date or several -> tokens.

    Args:
        sizes: see there.
    """

    def __init__(self, sizes: EncoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        built = _encoder_config(sizes).build()
        # a pass with masked tokens calls the projection, whatever is made of it
        built.project_and_aggregate = nn.Identity()
        built.restrict_input_modalities(list(SENSORS))
        self.model = built

    def forward(self, inputs: SensorInputs, patch_size: int) -> tuple[Tensor, Tensor]:
        """(B, N, D) tokens, and (B, N) True where a token stands for no data; in the order of `SENSORS`, row, column, date, band set.

        Args:
            inputs: normalised images.
            patch_size: side of a patch [px], from 1 to `max_patch_size`; it divides height and width.

        Raises:
            ValueError: another patch size, or a sample without any data.
        """
        if not 1 <= patch_size <= self.sizes.max_patch_size:
            raise ValueError(f"patch_size={patch_size} px; this encoder takes 1 to {self.sizes.max_patch_size} px.")
        missing = self._missing(inputs)
        if not self.has_gaps(missing):
            return self._encode(inputs, patch_size, whole=True), missing
        counts = (~missing).sum(1)
        if not bool(counts.all()):
            raise ValueError("a sample has no patch with data, so that there is nothing to encode. Leave it out.")
        # where tokens are left out the package pads samples to the longest, and attends to that padding outside of training
        tokens = missing.new_zeros((*missing.shape, self.sizes.embedding_size), dtype=self.dtype)
        for count in counts.unique():
            rows = (counts == count).nonzero().flatten()
            tokens[rows] = self._encode(inputs.rows(rows), patch_size, whole=False).to(tokens.dtype)
        return tokens.masked_fill(missing[..., None], 0.0), missing

    @staticmethod
    def has_gaps(missing: Tensor) -> bool:
        """Whether a token stands for no data."""
        return bool(missing.any())

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.model.norm.weight.dtype

    def _missing(self, inputs: SensorInputs) -> Tensor:
        """(B, N) True where a token stands for no data."""
        sets = self.sizes.num_band_sets
        return torch.cat([lacks[..., None].expand(*lacks.shape, sets[name]).flatten(1) for name, _, lacks in inputs.sensors()], dim=1)

    def _encode(self, inputs: SensorInputs, patch_size: int, *, whole: bool) -> Tensor:
        sets = self.sizes.num_band_sets
        fields: dict[str, Tensor] = {}
        for name, pixels, lacks in inputs.sensors():
            marks = lacks.long() * MaskValue.MISSING.value
            by_pixel = marks.repeat_interleave(patch_size, 1).repeat_interleave(patch_size, 2)
            fields |= {name: pixels.to(self.dtype), f"{name}_mask": by_pixel[..., None].expand(*by_pixel.shape, sets[name])}
        sample = MaskedOlmoEarthSample(timestamps=inputs.timestamps, **fields)
        found = self.model(sample, patch_size=patch_size, fast_pass=whole)["tokens_and_masks"]
        return torch.cat([getattr(found, name).flatten(1, -2) for name, _, _ in inputs.sensors()], dim=1)


def reset_band_indices(module: nn.Module) -> bool:
    """Whether a module holds tables of band indices; they are written anew, as a checkpoint does not hold them."""
    if not isinstance(module, MultiModalPatchEmbeddings):
        return False
    for name in module.supported_modality_names:
        for number, bands in enumerate(module.tokenization_config.get_bandset_indices(name)):
            getattr(module, f"{name}__{number}_buffer").copy_(torch.tensor(bands))
    return True


def sizes_of_release(config: Mapping[str, Any]) -> EncoderSizes:
    """Sizes from the `encoder_config` of a released folder's config.json.

    Raises:
        ValueError: a size is missing or wrong.
    """
    rope = str(config.get("position_encoding") or config.get("spatial_pos_encoding") or "absolute") != "absolute"
    pooled = config.get("attention_pooler_config") is not None
    version = "v1.3" if pooled else "v1.2" if rope else "v1.1" if config.get("tokenization_config") else "v1"
    names = ("embedding_size", "depth", "num_heads", "mlp_ratio", "max_patch_size", "drop_path")
    lacking = [name for name in names if not isinstance(config.get(name), int | float)]
    if lacking:
        raise ValueError(f"the encoder's config states no {', '.join(lacking)}.")
    return EncoderSizes(
        version=version, pixel_hidden_sizes=config.get("patch_embed_hidden_sizes") or (), **{name: config[name] for name in names}
    )


def _tokenization(version: str) -> TokenizationConfig:
    if version == "v1":
        return TokenizationConfig()
    groups = released.V1_1_BAND_GROUPS
    return TokenizationConfig(overrides={name: ModalityTokenization(band_groups=bands) for name, bands in groups.items()})


def _encoder_config(sizes: EncoderSizes) -> EncoderConfig:
    """As the package's `OlmoEarthPretrain_v1` makes it, for what computes tokens."""
    values = {name: value for name, value in asdict(sizes).items() if name not in ("version", "pixel_hidden_sizes")}
    if sizes.version != "v1":
        values |= {
            "tokenization_config": _tokenization(sizes.version),
            "use_linear_patch_embed": True,
            "patch_embed_hidden_sizes": list(sizes.pixel_hidden_sizes) or None,
        }
    if sizes.version in ("v1.2", "v1.3"):
        values |= {
            "position_encoding": released.V1_2_POS_ENCODING,
            "rope_mixed_base": released.V1_2_ROPE_MIXED_BASE,
            "rope_temporal_coordinate_scale": released.V1_2_ROPE_TEMPORAL_COORDINATE_SCALE,
        }
    return EncoderConfig(supported_modality_names=list(SENSORS), **values)
