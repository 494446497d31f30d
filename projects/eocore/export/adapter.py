"""What a training with LoRA changed, alone, as a folder of peft: it is put onto the base that the training began with.

LoRA's weights keep their names. Other parts that were trained are `modules_to_save`, copied whole; single rows of the token tables are
peft's trainable tokens. So `PeftModel.from_pretrained(base, folder)` is the trained model, and nothing that was trained is left behind.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from safetensors.torch import save_file
from torch import Tensor, nn

from eocore.errors import ConfigError
from eocore.export.hf import Shipment, folder_aside, write_processor
from eocore.export.verify import Findings, compare, examine, examine_adapter
from eocore.models.freeze import trainable_names
from eocore.models.lora import ADAPTER, lora_names, merge_lora
from eocore.models.token_rows import RowEmbedding, RowHead, merge_token_rows

PREFIX = "base_model.model."
"""How peft's names begin. Source of this and of the endings: peft, utils/save_and_load.py."""
WEIGHTS = "adapter_model.safetensors"
ROWS = "token_adapter.trainable_tokens_delta"
ROW_PARAMETER = "rows"
MAGNITUDE = f".lora_magnitude_vector.{ADAPTER}.weight"


def base_folder(config: Config) -> Path:
    """The model folder that a training began with.

    Raises:
        ConfigError: the config names none, or it is not there.
    """
    named = dict(config.get("task", {})).get("model", {}).get("pretrained")
    if named is None:
        raise ConfigError(
            "task.model.pretrained is not set: the training began with weights drawn at random, and an adapter alone would have no base to "
            "be put onto. Convert the whole model, without --adapter-only."
        )
    if not Path(named).is_dir():
        raise ConfigError(f"task.model.pretrained='{named}' is no folder; an adapter is made for its base. Fetch or import it again.")
    return Path(named)


def plain_base(config: Config) -> Config:
    """The config without the few bits its base was held in: files of an adapter are the same, and are compared on the base as it is."""
    plain = Config(config.to_dict())
    plain.task.pop("quantization", None)
    return plain


def write_adapter(shipment: Shipment, out_dir: Path, *, base: Path, verify: bool) -> tuple[int, dict[str, float]]:
    """Writes the folder; returns the number of adapted layers and the largest differences to the model in memory.

    Args:
        shipment: of the trained task, with LoRA and token rows not merged; they are afterwards.
        out_dir: where to; it appears whole or not at all.
        base: folder of the base.
        verify: put it onto the base in a process of its own and compare.

    Raises:
        ConfigError: nothing of the model is LoRA.
        CheckpointError: the base with the adapter is not the trained model.
    """
    settings, weights = adapter_config(shipment.model, base), adapter_weights(shipment.model)
    num_layers = merge_lora(shipment.model)
    merge_token_rows(shipment.model)
    expected = examine(shipment) if verify else None
    differences: dict[str, float] = {}
    with folder_aside(out_dir, needed=sum(value.nbytes for value in weights.values())) as folder:
        folder.mkdir(exist_ok=True)
        settings.save_pretrained(str(folder))
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        write_processor(shipment, folder)
        (folder / "README.md").write_text(_card(shipment, base, settings=settings), encoding="utf-8")
        if expected is not None:
            differences = _compare_on_base(shipment, folder, base=base, expected=expected)
    return num_layers, differences


def _compare_on_base(shipment: Shipment, folder: Path, *, base: Path, expected: Findings) -> dict[str, float]:
    unmerged, merged = examine_adapter(folder, base, parity_check=shipment.parity_check, auto_class=shipment.model_class)
    differences = compare(unmerged, expected, folder=folder)
    return differences | {f"{name}, merged": value for name, value in compare(merged, expected, folder=folder).items()}


def adapter_config(model: nn.Module, base: Path) -> Any:
    """peft's `LoraConfig` of a trained model.

    Raises:
        ConfigError: nothing of it is LoRA.
    """
    from peft import LoraConfig

    names = lora_names(model)
    if not names:
        raise ConfigError("task.lora is not set: there is no adapter to write. Convert the whole model, without --adapter-only.")
    adapted: Any = next(module for module in model.modules() if hasattr(module, "peft_config"))
    used = adapted.peft_config[ADAPTER]
    layers = sorted({name.split(".lora_")[0] for name in names})
    rows = {name: table.token_ids.tolist() for name, table in _row_tables(model)}
    return LoraConfig(
        base_model_name_or_path=str(base),
        inference_mode=True,
        r=used.r,
        lora_alpha=used.lora_alpha,
        lora_dropout=used.lora_dropout,
        target_modules=layers,
        use_dora=used.use_dora,
        use_rslora=used.use_rslora,
        modules_to_save=saved_modules(model) or None,
        trainable_token_indices=rows or None,
    )


def adapter_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every trained weight, and what else the modules that are saved whole hold, by peft's names."""
    weights = {peft_name(name): model.get_parameter(name) for name in lora_names(model)}
    weights |= {f"{PREFIX}{name}.{ROWS}": table.rows for name, table in _row_tables(model)}
    for module in saved_modules(model):
        weights |= {f"{PREFIX}{module}.{name}": value for name, value in model.get_submodule(module).state_dict().items()}
    return {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}


def saved_modules(model: nn.Module) -> list[str]:
    """Modules that hold what was trained besides LoRA and token rows: as few as hold nothing else, and none that peft would mistake.

    peft takes a name for every module whose name ends with it; one that would mean a module that was not trained is replaced by its parts.
    """
    own = [name for name in trainable_names(model) if name not in lora_names(model) and not name.endswith(f".{ROW_PARAMETER}")]
    return sorted({part for module in _tops(model, own) for part in _unmistaken(model, module)})


def _tops(model: nn.Module, trained: list[str]) -> Iterator[str]:
    """The largest modules all of whose parameters are trained, and the owners of parameters that stand among others."""
    chosen = set(trained)
    for name in trained:
        module = name.rpartition(".")[0]
        while "." in module:
            wider = module.rpartition(".")[0]
            if not all(f"{wider}.{inner}" in chosen for inner, _ in model.get_submodule(wider).named_parameters()):
                break
            module = wider
        yield module


def _unmistaken(model: nn.Module, module: str) -> Iterator[str]:
    parts = [name for name, _ in model.get_submodule(module).named_children()]
    others = [name for name, _ in model.named_modules() if name.endswith(f".{module}")]
    if not others or not parts or all(parameter.requires_grad for name in others for parameter in model.get_submodule(name).parameters()):
        yield module
        return
    for part in parts:
        if any(True for _ in model.get_submodule(f"{module}.{part}").parameters()):
            yield from _unmistaken(model, f"{module}.{part}")


def _row_tables(model: nn.Module) -> list[tuple[str, Any]]:
    """Tables of which rows train, by name; a head that is the embedding again too, whose rows peft would leave as they were."""
    return [(name, table) for name, table in model.named_modules() if isinstance(table, RowEmbedding | RowHead)]


def peft_name(name: str) -> str:
    """What peft's files call a parameter of LoRA."""
    if name.endswith(MAGNITUDE):
        return PREFIX + name.removesuffix(MAGNITUDE) + ".lora_magnitude_vector"
    return PREFIX + name.replace(f".{ADAPTER}.", ".")


def _card(shipment: Shipment, base: Path, *, settings: Any) -> str:
    saved = ", ".join(f"`{name}`" for name in settings.modules_to_save or ()) or "nothing"
    rows = sum(len(ids) for ids in (settings.trainable_token_indices or {}).values())
    return f"""---
library_name: peft
base_model: {base.name}
---
# {shipment.title}, adapter

LoRA of rank {settings.r} in {len(settings.target_modules)} layers. Trained besides, and in this folder too: {saved}; {rows} rows of token
tables.

```python
from peft import PeftModel
from transformers import {shipment.model_class}, AutoProcessor

model = {shipment.model_class}.from_pretrained("{base.name}", trust_remote_code=True)  # the base that the training began with
model = PeftModel.from_pretrained(model, ".")  # this folder
processor = AutoProcessor.from_pretrained(".", trust_remote_code=True)
whole = model.merge_and_unload()  # a plain model again
```
"""


def check_dtype(dtype: str) -> None:
    """Raise ConfigError for another precision than the one adapters are written in."""
    if dtype != "float32":
        raise ConfigError(f"--dtype {dtype} and --adapter-only: adapters are written as they were trained, in float32. Leave --dtype out.")
