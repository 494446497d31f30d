"""Upstream weights become a folder of our layout: config, tokenizer, processor and weights."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedTokenizerBase

from eocore.checkpoints.composition import Composition, compose
from eocore.checkpoints.exchange import ImportRequest
from eocore.checkpoints.key_map import our_headers
from eocore.checkpoints.weight_files import LazyTensor
from eocore.checkpoints.weight_stream import write_weights
from eocore.errors import CheckpointError, ConfigError
from eocore.export.hf import MAX_SHARD_SIZE, Shipment, write_checkpoint
from eocore.models.vocabulary import describe_vocabulary
from ms_clip.building.models import build_processor, processor_options
from ms_clip.building.tokenizer import ends_texts, read_clip_tokenizer
from ms_clip.checkpoints import parity_check
from ms_clip.checkpoints.layouts import WHAT, Source, open_source
from ms_clip.export import AUTO_MAP, USAGE
from ms_clip.model import modeling_ms_clip
from ms_clip.model.channels import PRESETS
from ms_clip.model.configuration_ms_clip import MsClipConfig
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.model.processing_ms_clip import MsClipProcessor

CARD = """---
library_name: transformers
---

# MS-CLIP, imported

Made by `tools/import_weights.py` of `{source}` ({what}). Licences of these weights apply.

~~~
{table}
~~~

{notes}

## Use

{usage}
"""


@dataclass(frozen=True)
class Plan:
    """What an import will write, known from the headers of the files alone.

    Attributes:
        source: what is imported.
        config: of the model.
        composition: where every parameter comes from; whole.
        tensors: the model's state, in the model's order.
        processor: None where there is no tokenizer.
        notes: what a user should know besides the table.
    """

    source: Source
    config: MsClipConfig
    composition: Composition
    tensors: Mapping[str, LazyTensor]
    processor: MsClipProcessor | None
    notes: tuple[str, ...]

    def describe(self) -> str:
        """The table, counts and notes, for the screen."""
        values = sum(tensor.header.numel for tensor in self.tensors.values())
        return "\n".join([self.composition.table(), f"Model: {values:,} parameters.", *self.notes])

    def save_pretrained(self, folder: Path, *, max_shard_size: str) -> None:
        """Config and weights, streamed: saves itself as a model of transformers does."""
        self.config.save_pretrained(folder)
        write_weights(folder, self.tensors, max_shard_size=max_shard_size)

    def write(self, out: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
        """Writes the folder, whole or not at all.

        Raises:
            CheckpointError: `out` is taken, a size is none, or a source changed meanwhile.
            OutputError: the disk is full, or `out` may not be written to.
        """
        streamed: Any = self
        shipment = Shipment(
            title="MS-CLIP",
            usage=USAGE,
            model=streamed,
            processor=self.processor,
            model_package=Path(modeling_ms_clip.__file__).parent,
            auto_map=AUTO_MAP,
            parity_check=Path(parity_check.__file__),
            num_bytes=sum(tensor.header.nbytes for tensor in self.tensors.values()),
        )
        card = CARD.format(
            source=self.source.path.name,
            what=WHAT[self.source.layout],
            table=self.composition.table(),
            notes="\n\n".join(self.notes),
            usage=USAGE.strip(),
        )
        write_checkpoint(shipment, out, card=card, overwrite=overwrite, max_shard_size=max_shard_size)


def plan_import(request: ImportRequest) -> Plan:
    """Reads headers, configs and tokenizer, and says what an import would write; no weight is read.

    Raises:
        CheckpointError: the source is damaged or of an unknown layout, or a tensor does not fit.
        ConfigError: an option belongs to another system, or several sources are named.
    """
    _check_request(request)
    source = open_source(request.sources[0])
    mapped = source.map()
    tokenizer = _tokenizer(request, source)
    config = _config(source, tokenizer)
    with torch.device("meta"):
        model = MsClipModel(config)
    composition = compose([mapped], our_headers(model))
    composition.require_whole()
    config.dtype = Counter(tensor.header.dtype for tensor in composition.state.values()).most_common(1)[0][0]
    channels = config.vision_config.num_channels
    processor = None if tokenizer is None else _processor(config, tokenizer)
    notes = [*source.notes]
    if channels not in PRESETS:
        notes.append(f"Its patch embedding reads {channels} channels, of which nothing says which bands they are: name them in the config.")
    if tokenizer is None:
        notes.append(
            "No tokenizer lies beside the weights, so the folder will hold a model without a processor. Give one with --tokenizer."
        )
    tensors = {name: composition.state[name] for name in our_headers(model)}
    return Plan(source, config, composition, tensors, processor, tuple(notes))


def _check_request(request: ImportRequest) -> None:
    """Raise ConfigError if more is asked for than one CLIP."""
    if len(request.sources) != 1:
        raise ConfigError(f"{len(request.sources)} sources are named; a CLIP is imported from one file or folder. Name that.")
    for option, value in (("--sam2", request.sam2), ("--language", request.language), ("--fusion", request.fusion)):
        if value is not None:
            raise ConfigError(f"{option} belongs to other systems; a CLIP has no such part. Leave it out.")


def _tokenizer(request: ImportRequest, source: Source) -> PreTrainedTokenizerBase | None:
    """The tokenizer that is named, or lies beside the weights."""
    if request.tokenizer is not None:
        tokenizer = read_clip_tokenizer(request.tokenizer)
    else:
        try:
            tokenizer = read_clip_tokenizer(source.folder)
        except CheckpointError:
            return None
    if not ends_texts(tokenizer):
        raise CheckpointError(f"{request.tokenizer or source.folder}: its tokenizer puts no end token behind a text; it is not a CLIP's.")
    return tokenizer


def _config(source: Source, tokenizer: PreTrainedTokenizerBase | None) -> MsClipConfig:
    sizes = source.sizes()
    bias = "logit_bias" in source.tensors
    text = dict(sizes["text_config"])
    if tokenizer is None and source.layout != "clip":
        text |= {"bos_token_id": text["vocab_size"] - 2, "eos_token_id": text["vocab_size"] - 1, "pad_token_id": 0}
    elif tokenizer is not None:
        if len(tokenizer) > text["vocab_size"]:
            raise CheckpointError(
                f"the tokenizer has {len(tokenizer)} tokens, the text tower {text['vocab_size']}: it is of another model. Give its own."
            )
        text |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    try:
        config = MsClipConfig(**{**sizes, "text_config": text}, logit_bias_init_value=-10.0 if bias else None)
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise CheckpointError(f"the sizes of {source.path} make no model: {' '.join(str(error).split())}. It is damaged.") from error
    config.architectures = [MsClipModel.__name__]
    config.vocabulary = None if tokenizer is None else describe_vocabulary(tokenizer)
    return config


def _processor(config: MsClipConfig, tokenizer: PreTrainedTokenizerBase) -> MsClipProcessor | None:
    channels = config.vision_config.num_channels
    if channels not in PRESETS:
        return None
    fields = {
        "preset": channels,
        "image_size": config.vision_config.image_size,
        "context_length": config.text_config.max_position_embeddings,
        "long_texts": "cut",
    }
    return build_processor(processor_options(fields), tokenizer)
