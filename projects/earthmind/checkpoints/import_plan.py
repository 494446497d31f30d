"""External checkpoints become a folder of our layout: config, tokenizer, processor and weights from one or several sources."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from earthmind.building.models import build_processor
from earthmind.checkpoints.fusion_choice import fusion_fields, fusion_notes, set_aside_queries
from earthmind.checkpoints.key_maps.upstream import upstream_name
from earthmind.checkpoints.layouts import EARTHMIND, LANGUAGE, SAM_LAYOUTS, TRAINING, Layout, Source, open_source
from earthmind.checkpoints.vocabulary import EMBEDDING, SpecialTokens, Vocabulary, read_tokenizer, read_vocabulary, with_new_rows
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import EarthMindProcessor
from eocore.checkpoints.composition import Composition, compose
from eocore.checkpoints.exchange import ImportRequest, LoraScale
from eocore.checkpoints.key_map import Mapped, our_headers
from eocore.checkpoints.key_maps.language import TIED_HEAD
from eocore.checkpoints.weight_files import Header, LazyTensor
from eocore.errors import CheckpointError
from eocore.export.hf import MAX_SHARD_SIZE
from eocore.models.vocabulary import describe_vocabulary
from eocore.portable.chat_templates import template_names

SEED = 0
"""Of parameters that are newly initialised."""
LANGUAGE_PREFIX, SAM_PREFIX = "language_model.", "seg_head.sam."
OWN_PARTS = ("fusion", "seg_head.projector")
"""What no base model holds; it is newly initialised where the source is not a trained EarthMind."""
OF_TEXT_WIDTH = ("projector.", "fusion.", "seg_head.projector.")
"""Parts that are as wide as the language model's hidden states."""


@dataclass(frozen=True)
class Plan:
    """What an import will write, known from the headers of the files alone.

    Attributes:
        sources: in the order they count.
        config: of the model.
        composition: where every parameter comes from; whole.
        vocabulary: tokenizer, ids and new rows.
        processor: None where there is no tokenizer.
        tensors: the model's state, with new parameters and new rows, in the model's order.
        not_used: what the sources hold besides, by the name that the upstream layout gives it.
        notes: what a user should know besides the table.
    """

    sources: tuple[Source, ...]
    config: EarthMindConfig
    composition: Composition
    vocabulary: Vocabulary
    processor: EarthMindProcessor | None
    tensors: Mapping[str, LazyTensor]
    not_used: Mapping[str, LazyTensor]
    notes: tuple[str, ...] = field(default=())

    @property
    def num_parameters(self) -> int:
        """Of the model."""
        return sum(tensor.header.numel for tensor in self.tensors.values())

    def describe(self) -> str:
        """The table, counts and notes, for the screen."""
        unused = sum(row.numel for row in self.composition.rows() if row.outcome == "not used")
        lines = [self.composition.table(), f"Model: {self.num_parameters:,} parameters. Not used: {unused:,}."]
        return "\n".join([*lines, *self.notes])

    def write(self, out: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
        """Writes the folder; see `import_writer.write_import`."""
        from earthmind.checkpoints.import_writer import write_import

        write_import(self, out, overwrite=overwrite, max_shard_size=max_shard_size)


def plan_import(request: ImportRequest) -> Plan:
    """Reads headers, configs and tokenizer, and says what an import would write; no weight is read.

    Raises:
        CheckpointError: a source is damaged or unknown, a part of the model has no source, or the sources do not fit together.
        ConfigError: there is no fusion of the name that is asked for.
    """
    sources = _open(request)
    fields = _fields(sources) | fusion_fields(request.fusion, sources)
    mapped = _map(sources, request.lora)
    not_used = dict(_not_used(sources, mapped))
    set_aside_queries(mapped, fields.get("fusion"))
    new = [*OWN_PARTS, *_set_aside(sources, mapped)]
    tokenizer = read_tokenizer(_tokenizer_folders(request, sources))
    vocabulary = read_vocabulary(tokenizer, fields, rows=_rows(sources, mapped), special=_state_of_tokens(sources, mapped))
    config = _config(fields, vocabulary)
    model = _empty_model(config)
    for part in mapped:
        part.tensors = with_new_rows(part.tensors, vocabulary, seed=SEED)
    composition = compose(mapped, our_headers(model), new=new)
    composition.require_whole()
    config.dtype = _dtype(composition.state)
    config.vocabulary = None if tokenizer is None else describe_vocabulary(tokenizer)
    tensors = _complete(model, composition, dtype=config.dtype)
    unused = {name for headers in composition.unused.values() for name in headers}
    notes = (
        *_notes(vocabulary, composition, dtype=config.dtype),
        *fusion_notes(request.fusion, sources, fusion=config.fusion, unused=unused),
    )
    return Plan(tuple(sources), config, composition, vocabulary, _processor(sources, tokenizer, config=config), tensors, not_used, notes)


def _open(request: ImportRequest) -> list[Source]:
    opened = [open_source(path) for path in request.sources]
    sources = [source for source in opened if source.layout is not TRAINING]
    for path, layouts, option in ((request.sam2, SAM_LAYOUTS, "--sam2"), (request.language, (LANGUAGE,), "--language")):
        if path is not None:
            sources.append(_require_kind(open_source(path), layouts, option=option))
    return sources + [source for source in opened if source.layout is TRAINING]


def _map(sources: Sequence[Source], lora: LoraScale) -> list[Mapped]:
    """Each source under our names; what was trained comes last and builds on the others."""
    mapped: list[Mapped] = []
    for source in sources:
        base = {name: tensor for part in mapped for name, tensor in part.tensors.items()}
        mapped.append(source.map(base, lora))
    return mapped


def _require_kind(source: Source, layouts: tuple[Layout, ...], *, option: str) -> Source:
    if source.layout not in layouts:
        wanted = " or ".join(layout.what for layout in layouts)
        raise CheckpointError(f"{option} {source.path} is {source.layout.what}, expected {wanted}. Name it as SRC if it is a model.")
    return source


def _fields(sources: Sequence[Source]) -> dict[str, Any]:
    """Fields of `EarthMindConfig`, later sources deciding last."""
    fields: dict[str, Any] = {}
    for source in sources:
        fields |= source.fields()
    lacking = {
        "vision_config": "the vision tower: give an InternVL or EarthMind folder as SRC",
        "text_config": "the language model: give an InternVL or EarthMind folder as SRC, or --language DIR",
        "sam_config": "SAM 2, which draws the masks: give --sam2 FILE, such as sam2.1_hiera_large.pt",
    }
    missing = [text for name, text in lacking.items() if name not in fields]
    if missing:
        given = ", ".join(f"{source.path} ({source.layout.what})" for source in sources)
        raise CheckpointError(f"no source holds {'; nor '.join(missing)}. Given: {given}. See pretrained/README.md.")
    return fields


def _not_used(sources: Sequence[Source], mapped: Sequence[Mapped]) -> Iterator[tuple[str, LazyTensor]]:
    """What our model has no parameter for, but the upstream layout has; kept so that an export is complete."""
    for source, part in zip(sources, mapped, strict=True):
        for name in (name for what, headers in part.unused.items() if what != TIED_HEAD for name in headers):
            upstream = upstream_name(source.layout.name, name)
            if upstream is not None:
                yield upstream, source.weights.lazy(name)


def _set_aside(sources: Sequence[Source], mapped: Sequence[Mapped]) -> list[str]:
    """Takes out of earlier sources the parts that a later one gives whole; returns patterns of what is new because of it."""
    new: list[str] = []
    for number, (source, part) in enumerate(zip(sources, mapped, strict=True)):
        earlier = mapped[:number]
        if source.layout in SAM_LAYOUTS:
            _move(earlier, (SAM_PREFIX,), part=f"SAM 2, replaced by {source.path.name}")
        elif source.layout is LANGUAGE:
            width, before = _header([part], EMBEDDING), _header(earlier, EMBEDDING)
            _move(earlier, (LANGUAGE_PREFIX,), part=f"language model, replaced by {source.path.name}")
            if width and before and width.shape[1] != before.shape[1]:
                _move(earlier, OF_TEXT_WIDTH, part=f"for a language model {before.shape[1]} wide")
                new += [prefix.rstrip(".") for prefix in OF_TEXT_WIDTH]
    return new


def _move(mapped: Sequence[Mapped], prefixes: tuple[str, ...], *, part: str) -> None:
    for source in mapped:
        moved = {name: tensor.header for name, tensor in source.tensors.items() if name.startswith(prefixes)}
        if moved:
            source.unused[part] = moved
            source.tensors = {name: tensor for name, tensor in source.tensors.items() if name not in moved}


def _header(mapped: Sequence[Mapped], name: str) -> Header | None:
    """Header of our `name` in the last source that gives it."""
    return next((part.tensors[name].header for part in reversed(mapped) if name in part.tensors), None)


def _rows(sources: Sequence[Source], mapped: Sequence[Mapped]) -> int | None:
    """Rows of the token embedding, the last source's.

    Raises:
        CheckpointError: a source has another number of them than its config.json states.
    """
    for source, part in zip(sources, mapped, strict=True):
        stated = source.fields().get("text_config", {}).get("vocab_size")
        header = part.tensors[EMBEDDING].header if EMBEDDING in part.tensors else None
        if stated is not None and header is not None and header.shape[0] != stated:
            raise CheckpointError(
                f"vocabulary mismatch: the token embedding of {source.path} has {header.shape[0]} rows, its config.json says {stated}: "
                "tokens would be read as other words. The files are of different releases; fetch them again together."
            )
    header = _header(mapped, EMBEDDING)
    return None if header is None else header.shape[0]


def _state_of_tokens(sources: Sequence[Source], mapped: Sequence[Mapped]) -> SpecialTokens:
    """What is known of the special tokens' rows: the source that gives the embedding decides."""
    giver = next((source for source, part in reversed(list(zip(sources, mapped, strict=True))) if EMBEDDING in part.tensors), None)
    known: dict[str, SpecialTokens] = {EARTHMIND.name: "in tokenizer", TRAINING.name: "after tokenizer"}
    return "new" if giver is None else known.get(giver.layout.name, "new")


def _tokenizer_folders(request: ImportRequest, sources: Sequence[Source]) -> list[Path]:
    if request.tokenizer is not None:
        return [request.tokenizer]
    return [request.language] if request.language is not None else [source.folder for source in sources]


def _config(fields: Mapping[str, Any], vocabulary: Vocabulary) -> EarthMindConfig:
    text = {**fields["text_config"], "vocab_size": vocabulary.size}
    try:
        config = EarthMindConfig(**{**fields, **vocabulary.ids, "text_config": text})
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise _no_model(error) from error
    config.architectures = [EarthMindForConditionalGeneration.__name__]
    return config


def _no_model(error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split()).rstrip(".")
    return CheckpointError(f"the sizes in config.json make no model: {reason}. Take the file of the release.")


def _empty_model(config: EarthMindConfig) -> EarthMindForConditionalGeneration:
    """The model without memory for its weights."""
    try:
        with torch.device("meta"):
            return EarthMindForConditionalGeneration(config)
    except (TypeError, ValueError, KeyError, RuntimeError, StrictDataclassError) as error:
        raise _no_model(error) from error


def _dtype(state: Mapping[str, LazyTensor]) -> torch.dtype:
    """The type of most values; the model is loaded in it."""
    counts: Counter[torch.dtype] = Counter()
    for tensor in state.values():
        counts[tensor.header.dtype] += tensor.header.numel
    return counts.most_common(1)[0][0]


def _complete(model: EarthMindForConditionalGeneration, composition: Composition, *, dtype: torch.dtype) -> dict[str, LazyTensor]:
    """The whole state in the model's order; what no source gives is drawn as the model draws it, always the same."""
    drawn = {name: _drawn(model, name, dtype=dtype) for name in composition.new}
    state = {**composition.state, **drawn}
    return {name: state[name] for name in our_headers(model)}


def _drawn(model: EarthMindForConditionalGeneration, name: str, *, dtype: torch.dtype) -> LazyTensor:
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    header = Header(tuple(getattr(module, leaf).shape), dtype)

    def read() -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            module.to_empty(device="cpu", recurse=False)
            model._init_weights(module)
        return getattr(module, leaf).detach().to(dtype)

    return LazyTensor(header, read)


def _processor(
    sources: Sequence[Source], tokenizer: PreTrainedTokenizerBase | None, *, config: EarthMindConfig
) -> EarthMindProcessor | None:
    if tokenizer is None:
        return None
    fields: dict[str, Any] = {}
    for upstream in (source.config for source in sources):
        names = {"min_tiles": "min_dynamic_patch", "max_tiles": "max_dynamic_patch", "use_thumbnail": "use_thumbnail"}
        fields |= {ours: upstream[theirs] for ours, theirs in names.items() if theirs in upstream}
        fields |= {"min_tiles": 1, "max_tiles": 1} if upstream.get("dynamic_image_size") is False else {}
        fields |= {"template": upstream["template"]} if upstream.get("template") in template_names() else {}
    return build_processor(fields, tokenizer, config=config)


def _notes(vocabulary: Vocabulary, composition: Composition, *, dtype: torch.dtype) -> Iterator[str]:
    if vocabulary.tokenizer is None:
        yield "No tokenizer lies beside the weights, so the folder will hold a model without a processor. Give one with --tokenizer DIR."
    if vocabulary.new_ids:
        words = vocabulary.tokenizer.convert_ids_to_tokens(list(vocabulary.new_ids)) if vocabulary.tokenizer else []
        yield f"New tokens, whose rows of embedding and head are newly initialised: {' '.join(words)}."
    others = Counter(str(tensor.header.dtype) for tensor in composition.state.values() if tensor.header.dtype != dtype)
    if others:
        found = ", ".join(f"{count} tensors are {name}" for name, count in others.items())
        yield f"Most weights are {dtype}, and the model is loaded so; {found} in the file."
