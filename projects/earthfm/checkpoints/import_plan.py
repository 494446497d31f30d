"""A checkpoint of EarthFM-VLM-Bridge becomes a folder of our layout, with the encoder and language model that it was trained with."""

from dataclasses import dataclass
from pathlib import Path

from earthfm.building.models import build_model, build_processor
from earthfm.building.tokenizer import CausalTokenizer
from earthfm.checkpoints.bridge import FUSION, Bridge, load_bridge
from earthfm.export import USAGE, pack_model
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from eocore.checkpoints.exchange import NO_SCALE, ImportRequest
from eocore.errors import ConfigError
from eocore.export.hf import MAX_SHARD_SIZE, Shipment, write_checkpoint

CARD = """---
library_name: transformers
pipeline_tag: image-text-to-text
---

# EarthFM, imported

Made by `tools/import_weights.py` of a checkpoint of EarthFM-VLM-Bridge. Licences of the encoder's and language model's weights apply.

~~~
{description}
~~~

## Use

{usage}
"""
COMMAND = "python tools/import_weights.py CHECKPOINT ENCODER --language MOONDREAM --out DIR"


@dataclass(frozen=True)
class Plan:
    """What an import will write.

    Attributes:
        bridge: the checkpoint.
        model: made of it, of the encoder and of the language model.
        shipment: of the model.
        encoder, language: folders of these parts.
    """

    bridge: Bridge
    model: EarthFmForConditionalGeneration
    shipment: Shipment
    encoder: Path
    language: Path

    def describe(self) -> str:
        """Each part, its parameters and where they come from, for the screen."""
        bridge, model = self.bridge, self.model
        sizes = {
            name: sum(value.numel() for value in model.get_submodule(name).parameters())
            for name in ("encoder", "connector", "language_model")
        }
        trained = f"its text model from {bridge.path.name}" if bridge.text else f"LoRA of {len(bridge.updates)} weights merged"
        return "\n".join(
            [
                f"encoder         {sizes['encoder']:>15,}  {self.encoder} ({model.config.encoder_source})",
                f"connector       {sizes['connector']:>15,}  {bridge.path / FUSION}, {model.config.num_queries} queries",
                f"language_model  {sizes['language_model']:>15,}  {self.language}, {trained}",
                f"Model: {sum(sizes.values()):,} parameters. Not used: {bridge.num_vision} tensors of the vision tower.",
                "The checkpoint states no more of its encoder than the width: that it is the one it was trained with is for you to know.",
            ]
        )

    def write(self, out: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
        """Writes the folder, whole or not at all.

        Raises:
            CheckpointError: `out` is taken, or a size is none.
            OutputError: the disk is full, or `out` may not be written to.
        """
        card = CARD.format(description=self.describe(), usage=USAGE.strip())
        write_checkpoint(self.shipment, out, card=card, overwrite=overwrite, max_shard_size=max_shard_size)


def plan_import(bridge: Bridge, request: ImportRequest) -> Plan:
    """Reads the parts and joins them; the model is whole in memory then, so that LoRA can be merged.

    Args:
        bridge: of the first source.
        request: its second source is the encoder's folder, `language` that of Moondream 2 or of its text model.

    Raises:
        CheckpointError: a part is damaged, or does not fit another.
        ConfigError: a part is not named or not there, or an option belongs to another system.
    """
    encoder, language = _parts(request)
    tokenizer = CausalTokenizer(path=str(request.tokenizer or language))
    fields = {"encoder_weights": str(encoder), "language_weights": str(language)}
    queries = bridge.fusion.get("queries")  # where it is missing, `load_bridge` says so
    model = build_model({**fields, **({} if queries is None else {"num_queries": len(queries)})}, tokenizer).eval()
    load_bridge(model, bridge)
    processor = build_processor({}, tokenizer, config=model.config)
    return Plan(bridge, model, pack_model(model, processor), encoder, language)


def _parts(request: ImportRequest) -> tuple[Path, Path]:
    """Folders of encoder and language model. Raise ConfigError where one is not named, or another system's option is."""
    for option, given in (
        ("--sam2", request.sam2 is not None),
        ("--fusion", request.fusion is not None),
        ("--lora-alpha and --lora-rank", request.lora != NO_SCALE),
    ):
        if given:
            raise ConfigError(f"{option}: of other systems; a checkpoint of EarthFM-VLM-Bridge has no use for it. Leave it out.")
    if len(request.sources) != 2 or request.language is None:
        raise ConfigError(
            f"{request.sources[0]} is a checkpoint of EarthFM-VLM-Bridge, which holds neither OlmoEarth nor Moondream 2 (2024-08-26). "
            f"Name the folders of both: {COMMAND}"
        )
    return request.sources[1], request.language
