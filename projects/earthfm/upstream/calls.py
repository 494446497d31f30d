"""The upstream class by its own arguments, on local folders; and its checkpoints, read and written."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from earthfm.building.models import build_model, build_processor
from earthfm.checkpoints.bridge import load_bridge, read_bridge, write_bridge
from earthfm.checkpoints.downloads import ENCODERS
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from earthfm.model.processing_earthfm import EarthFmProcessor
from eocore.errors import ConfigError
from eocore.models.folders import load_tokenizer
from eocore.models.freeze import apply_trainable
from eocore.models.lora import add_lora
from eocore.portable.packed_attention import use_packed_attention
from eocore.text import did_you_mean

PRETRAINED = Path("pretrained")
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")
"""Attention and MLP of Phi. Upstream names the same, of which only fc1 and fc2 exist in its own text model."""
LORA_DROPOUT = 0.05
"""Source: as upstream."""
VISION_REFUSED = (
    "freeze_vlm_vision speaks of Moondream's SigLIP tower, which upstream loads and never uses: nothing it freezes would take part. Leave "
    "it out; images are read by OlmoEarth alone."
)


@dataclass(kw_only=True)
class OlmoEarthVLMBridge:
    """A model as upstream's class of this name makes it.

    Attributes:
        olmoearth_model_id: upstream's name (OLMOEARTH_V1_NANO), a download's folder below pretrained/, or any folder of OlmoEarth.
        vlm_model_id: folder of Moondream 2 (2024-08-26) or of any causal language model; by default below pretrained/.
        freeze_olmoearth: the encoder does not train.
        freeze_vlm_vision: refused, with the reason.
        use_lora, lora_r, lora_alpha: LoRA in attention and MLP of the text model, which does not train else.
        num_geo_queries: embeddings of an image.
        device: as torch names it.
        model, processor, tokenizer: what was made.

    Raises:
        ConfigError: a folder is not there, or `freeze_vlm_vision`.
        CheckpointError: a folder is damaged.
    """

    olmoearth_model_id: str = "OLMOEARTH_V1_NANO"
    vlm_model_id: str = "vikhyatk/moondream2"
    freeze_olmoearth: bool = True
    freeze_vlm_vision: bool = False
    use_lora: bool = True
    lora_r: int = 16
    lora_alpha: int = 32
    num_geo_queries: int = 32
    device: str = "cpu"
    model: EarthFmForConditionalGeneration = field(init=False)
    processor: EarthFmProcessor = field(init=False)
    tokenizer: PreTrainedTokenizerBase = field(init=False)

    def __post_init__(self) -> None:
        if self.freeze_vlm_vision:
            raise ConfigError(VISION_REFUSED)
        language = language_folder(self.vlm_model_id)
        self.tokenizer = load_tokenizer(language)
        fields: dict[str, Any] = {
            "encoder_weights": str(encoder_folder(self.olmoearth_model_id)),
            "language_weights": str(language),
            "num_queries": self.num_geo_queries,
        }
        self.model = build_model(fields, self.tokenizer)
        self.processor = build_processor({}, self.tokenizer, config=self.model.config)
        use_packed_attention(self.model.language_model)
        parts = ["connector", *([] if self.freeze_olmoearth else ["encoder.model.blocks", "encoder.model.norm"])]
        apply_trainable(self.model, parts if self.use_lora else [*parts, "language_model"])
        if self.use_lora:
            add_lora(self.model.language_model, rank=self.lora_r, alpha=self.lora_alpha, dropout=LORA_DROPOUT, target_modules=LORA_TARGETS)
        self.model.to(self.device)

    def load_checkpoint(self, folder: Path) -> None:
        """Puts one of upstream's checkpoints into the model, its LoRA merged into the text model.

        Raises:
            ConfigError: the model has LoRA of its own; give use_lora=False.
            CheckpointError: the checkpoint has no config.json, is damaged, or does not fit.
        """
        if self.use_lora:
            raise ConfigError("the checkpoint's LoRA is merged into the text model, which must have none of its own. Give use_lora=False.")
        load_bridge(self.model, read_bridge(folder))

    def save_checkpoint(self, folder: Path) -> None:
        """Writes fusion.pt, config.json and vlm/. Raises ConfigError with LoRA, which must be merged first."""
        if self.use_lora:
            raise ConfigError("the model has LoRA; convert it (tools/convert_to_hf.py), which merges it, or give use_lora=False.")
        write_bridge(self.model, folder)


def encoder_folder(name: str) -> Path:
    """The folder of an encoder by upstream's name, by that of its download, or as it is.

    Raises:
        ConfigError: it is not there; nothing is downloaded.
    """
    if Path(name).is_dir():
        return Path(name)
    known = {wanted.folder.replace("-", "_").upper(): (download, wanted) for download, wanted in ENCODERS.items()}
    key = name.removeprefix("ModelID.").replace("-", "_").upper()
    if key not in known:
        raise ConfigError(f"no OlmoEarth '{name}'.{did_you_mean(key, list(known))} Names: {', '.join(known)}; or a folder.")
    download, wanted = known[key]
    folder = PRETRAINED / wanted.folder
    if not folder.is_dir():
        raise ConfigError(f"{folder} does not exist; nothing is downloaded on its own. Fetch it: python tools/download.py {download}")
    return folder


def language_folder(name: str) -> Path:
    """The folder of a language model, as it is or below pretrained/.

    Raises:
        ConfigError: it is not there; nothing is downloaded.
    """
    for folder in (Path(name), PRETRAINED / name.rpartition("/")[2]):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"no folder '{name}', nor {PRETRAINED / name.rpartition('/')[2]}; nothing is downloaded on its own. Fetch it: python "
        "tools/download.py moondream2 (revision 2024-08-26), or name the folder of another causal language model."
    )
