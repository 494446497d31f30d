"""What is asked of an import or export of upstream weights, and what a system answers before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class LoraScale:
    """How LoRA was set up in a training, which the file does not say: the update is `alpha / rank` times B A."""

    alpha: float | None = None
    rank: int | None = None


NO_SCALE = LoraScale()


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What to import.

    Attributes:
        sources: files or folders; a later one replaces an earlier one where both hold a parameter.
        sam2: SAM 2 instead of the one that the sources hold, if any.
        language: folder of a causal language model, instead of theirs.
        tokenizer: folder of a tokenizer; None: the language model's, else that of the first source that holds one.
        lora: scale of the LoRA update in a training's .pth.
        fusion: how the model joins its sensors, where the files do not say; None: as they say. Names are the system's.
    """

    sources: Sequence[Path]
    sam2: Path | None = None
    language: Path | None = None
    tokenizer: Path | None = None
    lora: LoraScale = NO_SCALE
    fusion: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export.

    Attributes:
        layout: one of the system's upstream layouts.
        rest: what holds parts that the model here does not use but the upstream code loads; None: the model's own folder.
        without_video: leave the parts for video out.
    """

    layout: str
    rest: Path | None = None
    without_video: bool = False


class ImportPlan(Protocol):
    """What an import will write, known from the headers of the files."""

    def describe(self) -> str:
        """Tables, counts and notes, for the screen."""

    def write(self, out: Path, *, overwrite: bool, max_shard_size: str) -> None:
        """Writes the folder, whole or not at all. Raises CheckpointError where `out` is taken, OutputError where it cannot be written."""


class ExportPlan(Protocol):
    """What an export will write."""

    def describe(self, out: Path) -> str:
        """What was written to `out`, for the screen."""

    def write(self, out: Path, *, overwrite: bool, max_shard_size: str) -> None:
        """Writes the folder, whole or not at all. Raises CheckpointError where `out` is taken, OutputError where it cannot be written."""
