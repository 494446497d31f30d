"""An import as a folder: our layout, and beside it what our model does not use, so that an export can put it back."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from earthmind.checkpoints import parity_check
from earthmind.checkpoints.import_plan import Plan
from earthmind.export import AUTO_MAP, USAGE
from earthmind.model import modeling_earthmind
from eocore.checkpoints.key_maps.language import EMBEDDING, HEAD, TIED_HEAD
from eocore.checkpoints.weight_stream import write_file, write_weights
from eocore.errors import CheckpointError
from eocore.export.hf import MAX_SHARD_SIZE, Shipment, write_checkpoint

NOT_USED = "not_used.safetensors"
ORIGIN = "imported_from.json"
CARD = """---
library_name: transformers
pipeline_tag: image-text-to-text
---

# EarthMind, imported

Made by `tools/import_weights.py` of {sources}. Licences of these weights apply.

~~~
{table}
~~~

{notes}

## Use

{usage}
"""


def write_import(plan: Plan, out_dir: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
    """Writes the folder of an import, whole or not at all; weights pass through memory one at a time.

    Raises:
        CheckpointError: `out_dir` is taken, a size is none, or a source changed meanwhile.
        OutputError: the disk is full, or `out_dir` may not be written to.
    """
    _require_tied(plan)
    shipment = Shipment(
        title="EarthMind",
        usage=USAGE,
        model=_Streamed(plan),
        processor=plan.processor,
        model_package=Path(modeling_earthmind.__file__).parent,
        auto_map=AUTO_MAP,
        parity_check=Path(parity_check.__file__),
        num_bytes=sum(tensor.header.nbytes for tensor in [*plan.tensors.values(), *plan.not_used.values()]),
    )
    write_checkpoint(shipment, out_dir, card=_card(plan), overwrite=overwrite, max_shard_size=max_shard_size)


class _Streamed:
    """Saves itself as a model of transformers does, without ever being in memory."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def save_pretrained(self, folder: Path, *, max_shard_size: str) -> None:
        """Config, generation config, weights, and what belongs to the source alone."""
        plan = self.plan
        plan.config.save_pretrained(folder)
        stop: dict[str, Any] = {} if plan.processor is None else plan.processor.stop_settings()
        stop.pop("tokenizer", None)
        GenerationConfig(do_sample=False, **stop).save_pretrained(folder)
        write_weights(folder, plan.tensors, max_shard_size=max_shard_size)
        if plan.not_used:
            write_file(folder / NOT_USED, plan.not_used)
        tied_head = any(part == TIED_HEAD for _, part in plan.composition.unused)
        origin = {"layout": plan.sources[0].layout.name, "tied_head": tied_head, "config": plan.sources[0].config}
        (folder / ORIGIN).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")


def _require_tied(plan: Plan) -> None:
    """Nothing, if a head that the config calls one with the token embedding is so in the file."""
    for source in plan.sources:
        for name in (name for (_, part), headers in plan.composition.unused.items() if part == TIED_HEAD for name in headers):
            embedding = name.removesuffix(HEAD) + EMBEDDING
            if name in source.weights.headers and not torch.equal(source.weights.read(name), source.weights.read(embedding)):
                raise CheckpointError(
                    f"config.json of {source.path} says that head and token embedding are one, but {name} and {embedding} differ: one "
                    "of them would be lost. Set tie_word_embeddings to false in that file."
                )


def _card(plan: Plan) -> str:
    sources = " and ".join(f"`{source.path.name}` ({source.layout.what})" for source in plan.sources)
    return CARD.format(sources=sources, table=plan.composition.table(), notes="\n\n".join(plan.notes), usage=USAGE.strip())
