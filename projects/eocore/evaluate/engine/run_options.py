"""The choices of a run of benchmarks, and how each ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from eocore.evaluate.protocols import TEMPLATES

State = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The choices of a run.

    Attributes:
        model: folder of a converted model.
        system: package that knows the model.
        out: folder; each benchmark gets one inside.
        data_root: the data folder.
        settings: sensor settings to run; () = all of each benchmark.
        prompts: benchmark -> what is asked instead of its own prompt.
        batch_size: samples answered together.
        max_new_tokens: longest answer; None = the benchmark's own.
        max_frames_num: most frames that are shown of a video; None = the benchmark's own.
        limit: only the first so many samples; None = all.
        any_count: run a benchmark whose number of samples is not the published one, and say so in its scores.
        overwrite: throw away predictions of another run that are in the folder.
        generation: how the model generates, in its system's options.
        dtype: of `eocore.system.DTYPES`, in which the model answers; None = as saved.
        templates: texts with `{label}`, for a model that scores classes; several make a prompt ensemble.
        boxes_by_masks: ask for masks where a benchmark offers it, and take the box around a mask for a box.
    """

    model: Path
    system: str
    out: Path
    data_root: str = "data"
    settings: Sequence[str] = ()
    prompts: Mapping[str, str] | None = None
    batch_size: int = 8
    max_new_tokens: int | None = None
    max_frames_num: int | None = None
    limit: int | None = None
    any_count: bool = False
    overwrite: bool = False
    boxes_by_masks: bool = False
    generation: Mapping[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    templates: Sequence[str] = TEMPLATES


@dataclass(frozen=True)
class Outcome:
    """How a benchmark ended; `reason` where it has no scores, or not under every setting."""

    benchmark: str
    state: State
    reason: str = ""
