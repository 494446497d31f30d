"""From a training checkpoint to a Hugging Face folder: load, merge LoRA, write, verify."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from eocore.config import require
from eocore.errors import ConfigError
from eocore.export.adapter import adapter_weights, base_folder, check_dtype, plain_base, write_adapter
from eocore.export.hf import MAX_SHARD_SIZE, Shipment, require_free, write_checkpoint
from eocore.export.model_card import CardFacts, read_scores, write_card
from eocore.export.same_config import require_same_task
from eocore.export.verify import examine, verify_checkpoint
from eocore.files import require_writable
from eocore.models.lora import merge_lora
from eocore.models.quantization import dequantize
from eocore.models.token_rows import merge_token_rows
from eocore.registry import TASKS
from eocore.system import system_of_config
from eocore.train.checkpoint.files import STATE, read_state, resolve_checkpoint
from eocore.train.checkpoint.weights import load_trainable
from eocore.train.device import set_deepspeed_accelerator

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How to convert.

    Attributes:
        adapter_only: write what was trained alone (`eocore.export.adapter`).
        dtype: of the written weights, one of `DTYPES`.
        overwrite: replace a checkpoint that is there.
        scores: scores.json to show in the card.
        verify: reload what was written and compare.
        max_shard_size: largest weight file.
    """

    adapter_only: bool = False
    dtype: str = "float32"
    overwrite: bool = False
    scores: Path | None = None
    verify: bool = True
    max_shard_size: str = MAX_SHARD_SIZE


@dataclass(frozen=True)
class Summary:
    """What was converted.

    Attributes:
        checkpoint: the one that was read.
        num_parameters: of the written model.
        num_merged: layers whose LoRA update was merged.
        differences: largest difference of each compared tensor after reloading; empty where nothing was compared.
        files: file name -> size [bytes].
        adapter: what was trained was written alone, nothing merged.
    """

    checkpoint: Path
    num_parameters: int
    num_merged: int
    differences: dict[str, float] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    adapter: bool = False


def convert(config: Config, checkpoint: Path, *, out_dir: Path, choices: Choices) -> Summary:
    """Writes the model of `checkpoint` as a Hugging Face folder and, unless told otherwise, compares it with the model in memory.

    Args:
        config: the one it was trained with.
        checkpoint: an `iter_*` folder, a run's folder or its `latest` file, a .safetensors or a .pth file.
        out_dir: where to.
        choices: how.

    Raises:
        ConfigError: the config does not build, is not the one of the training, or its system cannot be converted.
        CheckpointError: the checkpoint does not fit, `out_dir` is taken, or the result is not what it was made from.
        OutputError: the disk is full, or `out_dir` may not be written to.
    """
    set_deepspeed_accelerator()  # transformers imports it when it saves, if it is there
    require_free(out_dir, overwrite=choices.overwrite)
    require_writable(out_dir.parent, "the checkpoint")
    if choices.dtype not in DTYPES:
        raise ConfigError(f"dtype '{choices.dtype}' is unknown; choices: {', '.join(DTYPES)}.")
    scores = read_scores(choices.scores) if choices.scores else None
    checkpoint = resolve_checkpoint(checkpoint)
    if (checkpoint / STATE).is_file():
        require_same_task(config.pretty_text, str(read_state(checkpoint)["config"]), source=str(checkpoint))
    system = system_of_config(config)
    pack = system.need(system.export, "its models cannot be converted")
    if choices.adapter_only:
        return _convert_adapter(config, checkpoint, out_dir=out_dir, choices=choices)
    task = load_task(config, checkpoint)
    dequantize(task)
    num_merged = merge_lora(task)
    merge_token_rows(task)
    shipment = pack(task)
    round_weights(shipment.model, DTYPES[choices.dtype])
    num_parameters = sum(parameter.numel() for parameter in shipment.model.parameters())
    facts = CardFacts(
        title=shipment.title,
        usage=shipment.usage,
        num_parameters=num_parameters,
        dtype=choices.dtype,
        config=config,
        config_name=Path(config.filename or "config.py").name,
        config_text=config.pretty_text,
        checkpoint=checkpoint.name,
        num_merged=num_merged,
        scores=scores,
    )
    differences: dict[str, float] = {}
    check = _comparison(shipment, differences) if choices.verify else None
    _store_weights(shipment.model, DTYPES[choices.dtype])
    write_checkpoint(
        replace(shipment, num_bytes=sum(parameter.nbytes for parameter in shipment.model.parameters())),
        out_dir,
        card=write_card(facts),
        overwrite=choices.overwrite,
        max_shard_size=choices.max_shard_size,
        check=check,
    )
    files = {path.name: path.stat().st_size for path in sorted(out_dir.iterdir())}
    return Summary(checkpoint, num_parameters, num_merged, differences, files)


def _convert_adapter(config: Config, checkpoint: Path, *, out_dir: Path, choices: Choices) -> Summary:
    """As `convert`, for `Choices.adapter_only`."""
    check_dtype(choices.dtype)
    system, base = system_of_config(config), base_folder(config)
    task = load_task(plain_base(config), checkpoint)
    shipment = system.need(system.export, "its models cannot be converted")(task)
    num_parameters = sum(value.numel() for value in adapter_weights(shipment.model).values())
    num_layers, differences = write_adapter(shipment, out_dir, base=base, verify=choices.verify)
    files = {path.name: path.stat().st_size for path in sorted(out_dir.iterdir())}
    return Summary(checkpoint, num_parameters, num_layers, differences, files, adapter=True)


def load_task(config: Config, checkpoint: Path) -> Any:
    """The task of a config in float32, with the weights of a checkpoint; LoRA is not merged. Raises as `convert`."""
    # a folder in half precision would round what was trained before it is merged
    task = _build_task(config).float()
    load_trainable(task, checkpoint)
    return task


def _build_task(config: Config) -> Any:
    return TASKS.build({key: value for key, value in require(config, "task").items()})


def round_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """The weights rounded to `dtype` but held in float32, so that both models compute with the same numbers in the same precision."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).float()


def _store_weights(model: nn.Module, dtype: torch.dtype) -> None:
    # parameters alone: buffers such as rotary frequencies are made again from the config and must not be rounded
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def _comparison(shipment: Shipment, differences: dict[str, float]) -> Callable[[Path], None]:
    expected = examine(shipment)

    def compare(folder: Path) -> None:
        differences.update(verify_checkpoint(folder, expected, parity_check=shipment.parity_check, auto_class=shipment.model_class))

    return compare
