"""Options of a task in groups that every system shares. In a config they stand side by side under `task`, each key in exactly one group.

A system mixes the groups it wants into one dataclass and adds its own fields:

    class MyOptions(ModelOptions, DataOptions, TrainabilityOptions): ...

Each group says beside its fields what a resumed training compares:

    uncompared: option -> why a resumed training need not find it unchanged; see `eocore.resolve`. All others count.
    option_kinds: option -> key of `ALLOWABLE` (eocore.train.checkpoint.allowable) under which a user may let it differ; `task` for
        all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from eocore.errors import ConfigError
from eocore.models.quantization import QuantizationOptions


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What is trained, and by which losses.

    Attributes:
        model: sizes of the model, or `pretrained` (a folder of the system's layout) and fields to change.
        tokenizer: config of the registry TOKENIZERS.
        processor: fields of the system's processor that the model does not decide.
        losses: fields of the system's loss settings; None = all at their defaults.
    """

    uncompared: ClassVar[Mapping[str, str]] = {}
    option_kinds: ClassVar[Mapping[str, str]] = {
        "model": "model",
        "tokenizer": "processor",
        "processor": "processor",
        "losses": "losses",
        "attention": "precision",  # what a task resolves besides its options: the attention kernels
    }
    model: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    processor: Mapping[str, Any]
    losses: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Samples, and how they become batches.

    Attributes:
        data: config of the registry DATASETS; None where only the model is wanted (conversion).
        batch_size: samples of one rank in one micro-step; with `packing`, as many as the budgets have room for.
        num_workers: loader processes of a rank.
        prefetch: batches that each loader process prepares ahead.
        max_length: most tokens of a sample; a longer one is an error, nothing is cut.
        row_length: tokens of a packed row, and so of the longest sample too; None = one sample a row.
        packing: fields of `PackingOptions`: a rank's samples of a micro-step fill one row up to budgets, ranks carry similar costs, and
            losses are means over the whole update. Instead of batch_size, row_length and length_window.
        length_window: steps within which samples are moved so that batches hold samples of similar length; None = random batches.
        data_faults: fields of `eocore.data.loading.error_policy.FaultOptions`: what becomes of broken samples.
        augmentation: configs of the registry TRANSFORMS, applied in turn to every training sample after the transforms of its data set;
            images, masks and words are changed together (docs/augmentation.md).
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        "num_workers": "the order of the data depends on the step alone",
        "prefetch": "the order of the data depends on the step alone",
        "batch_size": "samples per update are compared, whatever the number of ranks",
    }
    option_kinds: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("data", "packing", "length_window", "max_length", "row_length", "data_faults", "augmentation"), "data"
    )
    data: Mapping[str, Any] | None = None
    batch_size: int = 1
    num_workers: int = 4
    prefetch: int = 2
    max_length: int = 8192
    row_length: int | None = None
    packing: Mapping[str, Any] | None = None
    length_window: int | None = 16
    data_faults: Mapping[str, Any] | None = None
    augmentation: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        if isinstance(self.prefetch, bool) or not isinstance(self.prefetch, int) or self.prefetch < 1:
            raise ConfigError(f"task.prefetch is {self.prefetch!r}; expected a whole number of batches of at least 1.")
        for name, least in (("batch_size", 1), ("num_workers", 0), ("max_length", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"task.{name} is {getattr(self, name)}; expected a whole number of at least {least}.")
        if self.packing is not None and (self.batch_size != 1 or self.row_length is not None):
            raise ConfigError("task.packing decides which samples share a row: leave batch_size at 1 and row_length out.")


@dataclass(frozen=True, kw_only=True)
class TrainabilityOptions:
    """What trains, and how its layers are computed.

    Attributes:
        trainable: patterns of what is trained and saved (see `eocore.models.freeze`); with LoRA, its weights come on top.
        trainable_tokens: tokens, by name, whose rows of the embedding and the head train while both tables are frozen; to train both
            tables whole, name them in `trainable` instead.
        lora: fields of `eocore.models.lora.add_lora` but the module; None = no LoRA.
        quantization: fields of `eocore.models.quantization.QuantizationOptions`: the frozen linear layers of the part that LoRA goes into
            are held in 4 or 8 bits (ZeRO 0 to 2); None = as they come.
        gradient_checkpointing: "none", "selective", "attention" or "full" (False and True: the first and the last): what the language
            model, and the encoders that train, compute again in backward instead of keeping it; see `eocore.models.recompute`.
        lean_layers: the language model's norms and gated units keep less for backward and compute it again, which costs little; see
            `eocore.models.lean_layers`.
        compile: "none", "static" (rows should be of one length) or "dynamic": whether torch.compile makes graphs of layers; see
            `eocore.models.compilation`.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        "trainable": "the names of the trained weights are compared",
        "gradient_checkpointing": "what is computed again comes out the same",
    }
    option_kinds: ClassVar[Mapping[str, str]] = {
        "trainable_tokens": "model",
        "lora": "model",
        "quantization": "precision",
        "compile": "precision",
        "lean_layers": "precision",
    }
    sections: ClassVar[Mapping[str, type]] = {"quantization": QuantizationOptions}
    trainable: Sequence[str] = ("*",)
    trainable_tokens: Sequence[str] = ()
    lora: Mapping[str, Any] | None = None
    quantization: Mapping[str, Any] | None = None
    gradient_checkpointing: bool | str = False
    lean_layers: bool = False
    compile: str = "none"


@dataclass(frozen=True, kw_only=True)
class VisionCacheOptions:
    """Outputs of a frozen vision encoder kept on disk.

    Attributes:
        vision_cache: fields of `eocore.models.feature_cache.FeatureCacheOptions`; None = the encoder runs every time.
    """

    uncompared: ClassVar[Mapping[str, str]] = {"vision_cache": "states are kept as they are computed"}
    option_kinds: ClassVar[Mapping[str, str]] = {}
    vision_cache: Mapping[str, Any] | None = None


GROUPS = (ModelOptions, DataOptions, TrainabilityOptions, VisionCacheOptions)
