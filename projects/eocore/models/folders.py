"""Model folders, which are untrusted: local files, safetensors, native classes, nothing fetched and nothing run."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import CONFIG_MAPPING, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from eocore.errors import CheckpointError
from eocore.progress import keep_bars_out_of_logs

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
MAX_JSON_BYTES = 256 * 2**20
"""Larger JSON files of a model folder are not read: tokenizer.json of the largest vocabularies has some 35 MB."""

ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
"""Fields at which transformers fetches a kernel from the hub when they name a repository. Source: CVE-2026-4372."""
CODE_OF_OTHERS = "--"
"""Stands in an auto_map between another repository and the class taken from it. Source: transformers, dynamic_module_utils."""


def load_model(model_class: type[PreTrainedModel], folder: Path, **choices: Any) -> Any:
    """The model of a folder, built by `model_class`; Python files in the folder are not run.

    Args:
        model_class: a class of ours or of transformers.
        folder: config.json and safetensors weights.
        **choices: of `from_pretrained`.

    Raises:
        CheckpointError: there is no such folder, it asks for code or files from elsewhere, its weights are pickled, missing or damaged,
            or it is of another kind of model.
    """
    check_model_folder(folder)
    kind = read_json(folder / CONFIG).get("model_type")
    expected = model_class.config_class.model_type if model_class.config_class else kind
    if kind != expected:
        raise CheckpointError(f"{folder} holds a model of type {str(kind)[:60]!r}, expected {expected!r}. Name the folder of such a model.")
    keep_bars_out_of_logs()
    try:
        return model_class.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, **choices)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{folder} cannot be loaded ({type(error).__name__}: {reason}). Convert or fetch the model again.") from error


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder.

    Raises:
        CheckpointError: as `load_model`.
    """
    if not folder.is_dir():
        raise CheckpointError(f"tokenizer folder {folder} does not exist; nothing is downloaded. Fetch the model (pretrained/README.md).")
    check_json_files(folder)
    try:
        return AutoTokenizer.from_pretrained(str(folder), config=tokenizer_config(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the Rust library raises plain Exception for a damaged file
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{folder}: its tokenizer cannot be loaded ({type(error).__name__}: {reason}). Fetch it again.") from error


def tokenizer_config(folder: Path) -> PretrainedConfig | None:
    """What `AutoTokenizer` takes as the config of a folder whose kind of model transformers does not know; None = it may read it itself.

    Left to itself it reads such a config as one of a model without a type, and warns that this may go wrong. For a tokenizer it cannot: its
    class stands in tokenizer_config.json.
    """
    if not (folder / CONFIG).is_file():
        return None
    values = read_json(folder / CONFIG)
    if values.pop("model_type", None) in CONFIG_MAPPING:
        return None
    return PretrainedConfig(**{name: values[name] for name in ("tokenizer_class",) if name in values})


def check_model_folder(folder: Path) -> None:
    """Nothing; raises CheckpointError unless the folder can be loaded without running, fetching or unpickling anything."""
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder} is not a converted model (it has no {CONFIG}); nothing is downloaded. Convert a checkpoint with "
            "tools/convert_to_hf.py, or fetch the model (pretrained/README.md)."
        )
    check_json_files(folder)
    _check_weights(folder)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises CheckpointError where it is missing, broken, too large, or no object."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(f"{path}: {path.stat().st_size} bytes, at most {MAX_JSON_BYTES} are read. Fetch the model again.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: no usable JSON ({type(error).__name__}: {error}). Fetch the model again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds {type(content).__name__}; expected an object. Fetch the model again.")
    return content


def check_json_files(folder: Path) -> None:
    """Nothing; raises CheckpointError if a config of the folder asks for code or files from elsewhere, or is broken."""
    for path in sorted(folder.glob("*config.json")):
        for key, value in _walk(read_json(path)):
            name = key.rpartition(".")[2]
            if name in ATTENTION and isinstance(value, str) and "/" in value:
                raise _refused(path, key, value=value, effect="fetches a kernel from a repository and runs it")
            if CODE_OF_OTHERS in str(value) and ".auto_map." in f".{key}":
                raise _refused(path, key, value=value, effect="fetches code from another repository and runs it")
            if name == "trust_remote_code" and value:
                raise _refused(path, key, value=value, effect="asks to run code from outside")


def _refused(path: Path, key: str, *, value: Any, effect: str) -> CheckpointError:
    return CheckpointError(f"{path}: {key} is {str(value)[:80]!r}, which {effect}; nothing was loaded. Remove the field first.")


def _check_weights(folder: Path) -> None:
    index = folder / INDEX
    if index.is_file():
        check_shard_names(read_json(index), index)
    elif not any(folder.glob("*.safetensors")):
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        raise CheckpointError(
            f"{folder} holds no .safetensors weights (found {found}); pickled weights can run code and are not loaded. Import them with "
            "tools/import_weights.py."
        )


def check_shard_names(index: Mapping[str, Any], source: Path) -> dict[str, str]:
    """Tensor name -> file name of an index of shards. Raises CheckpointError unless all files are named plainly, beside the index."""
    placed = index.get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise CheckpointError(f"{source}: no table 'weight_map' of tensor and file names. Fetch the model again.")
    for name in set(map(str, placed.values())):
        if Path(name).name != name or "\0" in name or "\\" in name:
            raise CheckpointError(f"{source}: weight_map names {name[:80]!r}, which does not lie beside it. Fetch the model again.")
    return {str(tensor): str(name) for tensor, name in placed.items()}


def _walk(values: Any) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything inside."""
    waiting: list[tuple[str, Any]] = [("", values)]
    while waiting:
        key, node = waiting.pop()
        yield key, node
        inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        waiting += [(f"{key}.{name}" if key else str(name), value) for name, value in inner]
