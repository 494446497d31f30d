"""A model as a Hugging Face folder: weights as safetensors, configs, processor, and the code that runs them without this repository."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, ProcessorMixin

from eocore.errors import CheckpointError
from eocore.export.shipped_code import ShippedFile, collect_code, require_classes
from eocore.files import grant_default_mode, require_space, writing
from eocore.progress import keep_bars_out_of_logs

ALLOWED_SUFFIXES = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model", ".py", ".md"})
"""Kinds of files a checkpoint may hold; none of them is a pickle. `.model` is SentencePiece's vocabulary (protobuf)."""

MAX_SHARD_SIZE = "5GB"
SIZE = re.compile(r"[1-9]\d*(KB|MB|GB|TB)")
PROCESSOR_CLASS = "AutoProcessor"
MODEL_CLASS_PREFIX = "AutoModel"
CONFIG = "config.json"
PROCESSOR_CONFIG = "processor_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TEMPORARY = ".writing-"


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """What becomes a checkpoint.

    Attributes:
        title: what the model is called in its card.
        usage: Markdown that shows how to call it.
        model: plain, LoRA merged, with its generation config set; or what saves itself as one does.
        processor: what prepares the model's inputs, with its tokenizer; None where there is none yet.
        model_package: folder of the files that define both; all of it but `__init__.py` is shipped, and with it the modules of
            `eocore.portable` that its files import (see `code`).
        auto_map: Auto class of transformers -> "file.Class" in that folder; models, AutoConfig and AutoProcessor.
        parity_check: file with a function `parity_outputs(model, processor) -> dict of tensors` that exercises every part of the model. It
            runs on the model here and on the reloaded one, in a process without this repository: it may import what shipped code may.
        num_bytes: of the weights, for a look at the free space beforehand; None = not known.
        libraries: that the code imports besides `shipped_code.CODE_LIBRARIES`; `usage` says how to install them.
    """

    title: str
    usage: str
    model: PreTrainedModel
    processor: ProcessorMixin | None
    model_package: Path
    auto_map: Mapping[str, str]
    parity_check: Path
    num_bytes: int | None = None
    libraries: tuple[str, ...] = ()

    @property
    def code(self) -> list[ShippedFile]:
        """The Python files of the checkpoint, those of the model package and of `eocore.portable`.

        Raises:
            CheckpointError: a file could not run there; see `shipped_code.collect_code`.
        """
        return collect_code(self.model_package, libraries=self.libraries)

    @property
    def model_class(self) -> str:
        """The first Auto class of the map that loads the model."""
        return next(name for name in self.auto_map if name.startswith(MODEL_CLASS_PREFIX))


def write_checkpoint(
    shipment: Shipment,
    out_dir: Path,
    *,
    card: str,
    overwrite: bool = False,
    max_shard_size: str = MAX_SHARD_SIZE,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Writes a checkpoint to `out_dir`, where it appears whole or not at all.

    Args:
        shipment: what to write.
        out_dir: must not exist, or be empty.
        card: text of README.md.
        overwrite: replace a checkpoint that is there.
        max_shard_size: largest weight file, as transformers writes sizes.
        check: called with the written folder before it takes its name; what it raises stops the writing.

    Raises:
        CheckpointError: `out_dir` is taken, a size is none, the shipped code could not run elsewhere, or a file of a kind that is not
            allowed was written.
        OutputError: the disk is full, or `out_dir` may not be written to.
    """
    require_free(out_dir, overwrite=overwrite)
    if not SIZE.fullmatch(max_shard_size):
        raise CheckpointError(
            f"largest weight file '{max_shard_size}' is no size. Write a number and KB, MB, GB or TB, such as {MAX_SHARD_SIZE}."
        )
    require_classes(shipment.auto_map, shipment.code)
    keep_bars_out_of_logs()
    with folder_aside(out_dir, needed=shipment.num_bytes) as folder:
        shipment.model.save_pretrained(folder, max_shard_size=max_shard_size)
        write_processor(shipment, folder)
        (folder / "README.md").write_text(card, encoding="utf-8")
        _check_kinds(folder)
        if check is not None:
            check(folder)


def write_processor(shipment: Shipment, folder: Path) -> None:
    """Writes processor, tokenizer and code into a folder, and says in its configs which class of the code is which."""
    if shipment.processor is not None:
        shipment.processor.save_pretrained(folder)
    _write_auto_map(folder, shipment.auto_map)
    for file in shipment.code:
        (folder / f"{file.name}.py").write_text(file.text, encoding="utf-8")


@contextmanager
def folder_aside(out_dir: Path, *, needed: int | None = None) -> Iterator[Path]:
    """A new folder beside `out_dir` to write a checkpoint into, which takes its place when the block ends well; else it is removed.

    Args:
        out_dir: where the checkpoint goes; what is there is replaced at the end.
        needed: least size of the checkpoint [bytes]; None = not known.

    Raises:
        OutputError: the disk is full, or has less than `needed` free, or the folder may not be written to. What was at `out_dir` stands.
    """
    with writing(out_dir, "the checkpoint", follows="Nothing half-written is left, and what was there before is unchanged.", needed=needed):
        if needed is not None:
            require_space(out_dir, "the checkpoint", needed=needed)
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=out_dir.parent))
        try:
            folder = aside / out_dir.name
            folder.mkdir()
            yield folder
            grant_default_mode(*(path for path in folder.rglob("*") if path.is_file()))
            _take_place(folder, out_dir, old=aside / f"old-{out_dir.name}")
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _take_place(folder: Path, out_dir: Path, *, old: Path) -> None:
    replaces = out_dir.exists()
    if replaces:
        out_dir.rename(old)
    try:
        folder.rename(out_dir)
    except OSError:
        if replaces:
            old.rename(out_dir)
        raise


def require_free(out_dir: Path, *, overwrite: bool) -> None:
    """Nothing, if a checkpoint may be written to `out_dir`.

    Raises:
        CheckpointError: it holds files, and they are no checkpoint or `overwrite` is not set.
    """
    if out_dir.is_dir() and not any(out_dir.iterdir()):
        return
    if not out_dir.exists():
        return
    if not (out_dir / CONFIG).is_file():
        raise CheckpointError(f"{out_dir} exists and is no checkpoint (it has no {CONFIG}); it is left alone. Name another folder.")
    if not overwrite:
        raise CheckpointError(f"{out_dir} holds a checkpoint, which would be lost. Name another folder, or allow it with --overwrite.")


def _write_auto_map(folder: Path, auto_map: Mapping[str, str]) -> None:
    """Done in the files: transformers' own `register_for_auto_class` knows one Auto class for each class, a model here has several."""
    processor = {name: target for name, target in auto_map.items() if name == PROCESSOR_CLASS}
    others = {name: target for name, target in auto_map.items() if name != PROCESSOR_CLASS}
    if (folder / CONFIG).is_file():  # an adapter has none
        _update_json(folder / CONFIG, {"auto_map": others})
    for file in (folder / PROCESSOR_CONFIG, folder / TOKENIZER_CONFIG):
        if file.is_file():
            _update_json(file, {"auto_map": processor})


def _update_json(path: Path, values: Mapping[str, Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(values)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_kinds(folder: Path) -> None:
    strange = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix not in ALLOWED_SUFFIXES)
    if strange:
        raise CheckpointError(
            f"the checkpoint would hold {', '.join(strange)}; allowed: {', '.join(sorted(ALLOWED_SUFFIXES))}, since others may "
            "execute code when loaded. Save this part in one of them."
        )
