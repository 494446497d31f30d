"""A model of our layout as a checkpoint of EarthFM-VLM-Bridge."""

from dataclasses import dataclass
from pathlib import Path

from earthfm.checkpoints.bridge import ADAPTER_FOLDER, LAYOUT, TEXT_MODEL, require_phi, write_bridge
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from earthfm.pretrained import read_pretrained
from eocore.checkpoints.exchange import ExportRequest
from eocore.errors import CheckpointError, ConfigError
from eocore.export.hf import MAX_SHARD_SIZE, folder_aside, require_free
from eocore.models.folders import load_tokenizer

UPSTREAM_SIZES = {"num_heads": 8, "patch_size": 8}
"""Fields of `EarthFmConfig` that upstream's code sets itself. Source: olmoearth_vlm_bridge.py at 387787a."""


@dataclass(frozen=True)
class Publication:
    """What an export will write.

    Attributes:
        folder: of the model.
        model: its weights.
    """

    folder: Path
    model: EarthFmForConditionalGeneration

    def describe(self, out: Path) -> str:
        """What was written to `out`, and how upstream's code loads it, for the screen."""
        values = sum(value.numel() for part in (self.model.connector, self.model.language_model) for value in part.state_dict().values())
        encoder = self.model.config.encoder_source or "untrained"
        return (
            f"{out}: layout '{LAYOUT}', {values:,} values. The encoder ({encoder}) has no place in it; upstream loads OlmoEarth itself.\n"
            "LoRA is merged and the text model whole, of which upstream's from_pretrained, for adapters alone, warns and reads nothing. "
            f'Give it use_lora=False, then: bridge.vlm.load_state_dict(torch.load("{ADAPTER_FOLDER}/{TEXT_MODEL}"), strict=False)'
        )

    def write(self, out: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
        """Writes the folder, whole or not at all; its files are single, as upstream's are.

        Raises:
            CheckpointError: `out` is taken.
            OutputError: the disk is full, or `out` may not be written to.
        """
        require_free(out, overwrite=overwrite)
        parts = (self.model.connector, self.model.language_model)
        with folder_aside(out, needed=sum(value.nbytes for part in parts for value in part.state_dict().values())) as folder:
            write_bridge(self.model, folder)
            load_tokenizer(self.folder).save_pretrained(folder / ADAPTER_FOLDER)


def plan_export(model: Path, request: ExportRequest) -> Publication:
    """What an export of a folder of our layout will write.

    Raises:
        CheckpointError: the folder is damaged, or upstream's code would compute something else with the model.
        ConfigError: an option of another system is given.
    """
    if request.rest is not None or request.without_video:
        raise ConfigError("--rest and --without-video belong to other systems. Leave them out.")
    made = read_pretrained(model, {})
    require_phi(made)
    wrong = {name: found for name, value in UPSTREAM_SIZES.items() if (found := getattr(made.config, name)) != value}
    if wrong:
        told = ", ".join(f"{name}={found} (upstream: {UPSTREAM_SIZES[name]})" for name, found in wrong.items())
        raise CheckpointError(f"{model}: upstream's code, which sets these itself, would compute something else: {told}.")
    return Publication(model, made)
