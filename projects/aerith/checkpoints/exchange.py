"""The promised folders through `tools/import_weights.py` and `tools/export_weights.py`, and from a training's checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from aerith.checkpoints.upstream_folder import ADAPTER_FOLDER, is_upstream_folder, read_upstream, write_upstream
from aerith.export import USAGE, pack, pack_model
from aerith.model.modeling_aerith import AerithForConditionalGeneration
from aerith.model.processing_aerith import AerithProcessor
from aerith.predictor import read_processor
from eocore.checkpoints.exchange import NO_SCALE, ExportRequest, ImportRequest
from eocore.errors import ConfigError
from eocore.export.convert import load_task
from eocore.export.hf import MAX_SHARD_SIZE, require_free, write_checkpoint
from eocore.models.folders import load_model
from eocore.models.quantization import dequantize
from eocore.system import system_of_config
from eocore.train.checkpoint.files import resolve_checkpoint
from eocore.train.device import set_deepspeed_accelerator

LAYOUT = "aerithvlm"
CARD = """---
library_name: transformers
pipeline_tag: image-text-to-text
---

# Aerith, imported

Made by `tools/import_weights.py` of a folder of AerithVLM; LoRA is merged. Licences of the towers' and language model's weights apply.

## Use

{usage}
"""


@dataclass(frozen=True)
class Plan:
    """What an import or an export will write.

    Attributes:
        model, processor: of the source.
        source: its folder.
    """

    model: AerithForConditionalGeneration
    processor: AerithProcessor
    source: Path

    @property
    def size(self) -> str:
        """Number of weights, for the screen."""
        return f"{sum(value.numel() for value in self.model.parameters()):,} parameters"


class ImportPlan(Plan):
    """Of a promised folder, into our layout."""

    def describe(self) -> str:
        """What is imported, for the screen."""
        adapter = "LoRA merged" if (self.source / ADAPTER_FOLDER).is_dir() else f"no {ADAPTER_FOLDER}/"
        return f"{self.source}: a folder of AerithVLM, {self.size}, {adapter}."

    def write(self, out: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
        """Writes the folder, whole or not at all. Raises CheckpointError where `out` is taken, OutputError where it cannot be written."""
        shipment = pack_model(self.model, self.processor)
        write_checkpoint(shipment, out, card=CARD.format(usage=USAGE.strip()), overwrite=overwrite, max_shard_size=max_shard_size)


class ExportPlan(Plan):
    """Of our layout, into a promised folder."""

    def describe(self, out: Path) -> str:
        """What was written, for the screen."""
        return (
            f"{out}: layout '{LAYOUT}', {self.size}. LoRA is merged into language_model/, so that there is no {ADAPTER_FOLDER}/: "
            "tools/aerith/write_upstream.py writes it of a training's checkpoint."
        )

    def write(self, out: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
        """Writes the folder, whole or not at all. Raises CheckpointError where `out` is taken, OutputError where it cannot be written."""
        write_upstream(self.model, self.processor, out=out, overwrite=overwrite)


def plan_import(request: ImportRequest) -> ImportPlan:
    """Reads a promised folder; the model is whole in memory then.

    Raises:
        CheckpointError: the folder lacks something, or is damaged.
        ConfigError: an option belongs to another system, or there are several sources.
    """
    others = (request.sam2, request.language, request.tokenizer, request.fusion)
    if len(request.sources) != 1 or request.lora != NO_SCALE or any(value is not None for value in others):
        raise ConfigError(
            "a folder of AerithVLM is imported alone: it holds language model and tokenizer, and adapter_config.json states the scale of "
            "LoRA. Name that folder and no other option than --out, --overwrite and --max-shard-size."
        )
    (source,) = request.sources
    return ImportPlan(read_upstream(source), read_processor(source), source)


def plan_export(model: Path, request: ExportRequest) -> ExportPlan:
    """Reads a converted model.

    Raises:
        CheckpointError: the folder is damaged.
        ConfigError: an option of another system is given.
    """
    if request.rest is not None or request.without_video:
        raise ConfigError("--rest and --without-video belong to other systems. Leave them out.")
    if is_upstream_folder(model):
        raise ConfigError(f"{model} is a folder of AerithVLM already. Name a converted model.")
    return ExportPlan(load_model(AerithForConditionalGeneration, model, dtype="auto"), read_processor(model), model)


def write_trained(config: Config, checkpoint: Path, *, out: Path, overwrite: bool = False) -> None:
    """Writes a promised folder of a training's checkpoint, its LoRA as llama_lora_adapter/.

    Args:
        config: the one it was trained with, of stage 1 or 2.
        checkpoint: as `eocore.export.convert.convert` takes it.
        out: the folder.
        overwrite: replace a model that is there.

    Raises:
        ConfigError: the config is of another system, of a stage without a language model, or does not build.
        CheckpointError: the checkpoint does not fit, or `out` is taken.
        OutputError: the disk is full, or `out` may not be written to.
    """
    set_deepspeed_accelerator()  # transformers imports it when it saves, if it is there
    require_free(out, overwrite=overwrite)
    if (system := system_of_config(config)).name != "aerith":
        raise ConfigError(f"{config.filename} is of system '{system.name}'; folders of AerithVLM are written of aerith's trainings.")
    task = load_task(config, resolve_checkpoint(checkpoint))
    dequantize(task)
    pack(task)  # refuses a stage without a language model, and notes what ends an answer
    write_upstream(task.model, task.processor, out=out, overwrite=overwrite)
