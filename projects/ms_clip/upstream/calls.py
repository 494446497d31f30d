"""The upstream package's functions with its arguments, given by name: a model by its name, images by a path, tables as DataFrames.

Source of names and defaults: IBM/MS-CLIP at 9dbeb33, msclip/inference.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pandas as pd

from eocore.errors import ConfigError
from eocore.files import write_file
from eocore.log import get_logger
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.upstream.embedding import Reading
from ms_clip.upstream.inference import DECIMALS, classify_images, retrieve_images
from ms_clip.upstream.lists import choose_list, table_path
from ms_clip.upstream.models import RELEASED, Loaded, Tokenize, build_model


class Call(TypedDict, total=False):
    """What both functions take.

    Attributes:
        model, preprocess, tokenizer: what `build_model` returns; without them the model that `model_name` names is loaded.
        model_name, pretrained, ckpt_path, device: see `build_model`.
        image_path: see `lists.image_paths`; required.
        save_path: a CSV file that the table is also written to; .csv is added.
        verbose: also log the table (default: True).
        reading: how files are read; not upstream's.
    """

    model: MsClipModel | None
    preprocess: Callable[[Any], Any] | None
    tokenizer: Tokenize | None
    model_name: str
    pretrained: bool
    ckpt_path: str | Path | None
    device: str | None
    image_path: str | Path | Sequence[str | Path]
    save_path: str | Path | None
    verbose: bool
    reading: Reading


class ClassificationCall(Call, total=False):
    """See `run_inference_classification`."""

    class_names: Sequence[str]
    classes_file: str | Path | None
    templates: str


class RetrievalCall(Call, total=False):
    """See `run_inference_retrieval`."""

    queries: Sequence[str]
    queries_file: str | Path | None
    top_k: int


def run_inference_classification(**call: Unpack[ClassificationCall]) -> pd.DataFrame:
    """See `classify_images`.

    Args:
        **call: see `Call`; also `class_names` or `classes_file`, and `templates` (default: msclip).

    Raises:
        ConfigError: no images or no classes are named, or a name is unknown.
        DataError: an image is missing, cannot be read, or does not fit the model.
    """
    classes = _wanted(call.get("class_names"), call.get("classes_file"), key="classes", options=("class_names", "classes_file"))
    loaded, images = _loaded(call), _images(call)
    table = classify_images(loaded, images, class_names=classes, templates=call.get("templates", "msclip"), reading=call.get("reading"))
    return _tell(table, call, title="Zero-shot classification", index=False)


def run_inference_retrieval(**call: Unpack[RetrievalCall]) -> pd.DataFrame:
    """See `retrieve_images`.

    Args:
        **call: see `Call`; also `queries` or `queries_file`, and `top_k` (default: 5).

    Raises:
        ConfigError: no images or no queries are named, or a name is unknown.
        DataError: as `run_inference_classification`.
    """
    queries = _wanted(call.get("queries"), call.get("queries_file"), key="queries", options=("queries", "queries_file"))
    loaded, images = _loaded(call), _images(call)
    table = retrieve_images(loaded, images, queries=queries, top_k=call.get("top_k", 5), reading=call.get("reading"))
    return _tell(table, call, title="Retrieval of images", index=True)


def _wanted(words: Sequence[str] | None, file: str | Path | None, *, key: str, options: tuple[str, str]) -> list[str]:
    """Upstream takes the words and ignores the file where both are given; here that is an error. See `choose_list`."""
    return choose_list(list(words or ()), file, key=key, options=options)


def _images(call: Call) -> str | Path | Sequence[str | Path]:
    """Raise ConfigError if no image is named."""
    if call.get("image_path") is None:
        raise ConfigError("image_path is missing. Name a folder, a .txt or .yaml file, or a list of files.")
    return call["image_path"]


def _loaded(call: Call) -> Loaded:
    """What is given, or the model that is named. Raise ConfigError if a part of a model is given."""
    model, preprocess, tokenizer = call.get("model"), call.get("preprocess"), call.get("tokenizer")
    device = call.get("device")
    if model is not None and preprocess is not None and tokenizer is not None:
        return Loaded(model if device is None else model.to(device), preprocess, tokenizer)
    if any(part is not None for part in (model, preprocess, tokenizer)):
        raise ConfigError("model, preprocess and tokenizer belong together. Give all three, as build_model returns them, or none.")
    name, pretrained = call.get("model_name", RELEASED), call.get("pretrained", True)
    return build_model(name, pretrained, ckpt_path=call.get("ckpt_path"), device=device)


def _tell(table: pd.DataFrame, call: Call, *, title: str, index: bool) -> pd.DataFrame:
    """The table, logged and written as the call asks for."""
    if call.get("verbose", True):
        get_logger().info("%s:\n%s", title, table.to_string(index=index, float_format=f"%.{DECIMALS}f"))
    save_path = call.get("save_path")
    if save_path is not None:
        out = table_path(save_path)
        write_file(out, table.to_csv(index=index))
        get_logger().info("written to %s", out)
    return table
